"""Lines of finished nets become the paper's tables, differences with intervals, and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

import measuring
import scoring
from nets import SETS
from scipy.stats import t
from scoring import Test


class Shown(NamedTuple):
    """A net, how it decides, and the lead set that it is tested on."""

    net: str
    way: str
    lead_set: str


TABLE_1 = (
    ("1", "one threshold for all classes", Shown("plain-2", "global", "2"), 0.612),
    ("2", "a threshold per class", Shown("plain-2", "class", "2"), 0.621),
    ("3", "mixup 0.3, one threshold", Shown("mixup30-2", "global", "2"), 0.598),
    ("4", "weak classes weighted", Shown("weighted-2", "class", "2"), 0.602),
    ("5", "EfficientNet", Shown("efficientnet-2", "class", "2"), 0.578),
    ("6", "mixup 0.15", Shown("mixup15-2", "class", "2"), 0.623),
    ("7", "weights of 12 leads", Shown("handed-2", "class", "2"), 0.560),
    ("8", "all data, threshold 0.1, majority of epochs", Shown("all-data-2", "majority", "2"), 0.162),
    ("9", "mean of epochs", Shown("plain-2", "mean", "2"), 0.625),
    ("-", "BCE alone", Shown("bce-2", "class", "2"), None),
)  # fmt: skip
"""Submission, what it is, the net, and the paper's score on the hidden validation set."""
Version = tuple[str, tuple[Shown, ...], tuple[float, ...]]
TABLE_2: tuple[Version, ...] = (
    (
        "1: weights of 12 leads",
        (
            Shown("plain-12", "class", "12"),
            *(Shown(f"handed-{s}", "class", s) for s in SETS if s != "12"),
        ),
        (0.631, 0.603, 0.597, 0.574, 0.560),
    ),
    (
        "2: mixup 0.15",
        tuple(Shown(f"mixup15-{s}", "class", s) for s in SETS),
        (0.620, 0.615, 0.615, 0.623, 0.620),
    ),
    (
        "3: mean of epochs",
        tuple(Shown(f"plain-{s}", "mean", s) for s in SETS),
        (0.637, 0.622, 0.623, 0.621, 0.625),
    ),
    ("five nets, last weights", tuple(Shown(f"plain-{s}", "class", s) for s in SETS), ()),
    ("one masked net, thresholds per set", tuple(Shown("masked", "class", s) for s in SETS), ()),
    ("one masked net, one set of thresholds", tuple(Shown("masked", "bundle", s) for s in SETS), ()),
)  # fmt: skip


def _pairs(mine: str, my_way: str, theirs: str, their_way: str, sets: Sequence[str]) -> Any:
    return [(Shown(mine.format(s), my_way, s), Shown(theirs.format(s), their_way, s)) for s in sets]


FEWER = SETS[1:]
DIFFERENCES = (
    ("a threshold per class - one for all", _pairs("plain-2", "class", "plain-2", "global", ["2"]), 0.009),
    ("challenge loss - BCE alone", _pairs("plain-2", "class", "bce-2", "class", ["2"]), None),
    ("mixup 0.15 - none, 2 leads", _pairs("mixup15-2", "class", "plain-2", "class", ["2"]), 0.002),
    ("mixup 0.15 - none, five lead sets", _pairs("mixup15-{}", "class", "plain-{}", "class", SETS), None),
    ("mixup 0.3 - none, one threshold", _pairs("mixup30-2", "global", "plain-2", "global", ["2"]), -0.014),
    ("weak classes weighted - not", _pairs("weighted-2", "class", "plain-2", "class", ["2"]), -0.019),
    ("mean of epochs - last weights, 2 leads", _pairs("plain-2", "mean", "plain-2", "class", ["2"]), 0.004),
    ("mean of epochs - last weights, five lead sets", _pairs("plain-{}", "mean", "plain-{}", "class", SETS), None),
    ("majority of epochs - last weights, five lead sets", _pairs("plain-{}", "majority", "plain-{}", "class", SETS), None),
    ("weights of 12 leads - none, 2 leads", _pairs("handed-2", "class", "plain-2", "class", ["2"]), -0.061),
    ("weights of 12 leads - none, four lead sets", _pairs("handed-{}", "class", "plain-{}", "class", FEWER), None),
    ("EfficientNet - ResNet-18", _pairs("efficientnet-2", "class", "plain-2", "class", ["2"]), -0.043),
    ("one masked net, thresholds per set - five nets", _pairs("masked", "class", "plain-{}", "class", SETS), None),
    ("one masked net, one set of thresholds - five nets", _pairs("masked", "bundle", "plain-{}", "class", SETS), None),
)  # fmt: skip
"""What is asked, the pairs whose mean difference answers it, and the paper's difference."""


def summary(lines: Sequence[Mapping[str, Any]], tests: Sequence[Test]) -> dict[str, Any]:
    """Return the figures of one size: rows of both tables, differences, spreads, budgets."""
    by_net: dict[str, dict[int, Mapping[str, Any]]] = {}
    for line in lines:
        by_net.setdefault(line["net"], {})[line["seed"]] = line
    first = [
        {"submission": name, "what": what, "paper": paper, **row}
        for name, what, shown, paper in TABLE_1
        if (row := _row(by_net, shown, tests))
    ]
    second = [
        {
            "version": name,
            "paper": list(paper),
            "sets": {s.lead_set: row for s in shown if (row := _row(by_net, s, tests))},
        }
        for name, shown, paper in TABLE_2
    ]
    return {
        "nets": {net: _budget(runs) for net, runs in by_net.items()},
        "table_1": first,
        "table_2": [_with_spread(row) for row in second if row["sets"]],
        "differences": [
            {"what": what, "paper": paper, **found}
            for what, pairs, paper in DIFFERENCES
            if (found := _difference(by_net, pairs, tests[0]))
        ],
    }


def _budget(runs: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    some = next(iter(runs.values()))
    return {
        "steps": some["steps"],
        "rows": some["rows"],
        "seeds": sorted(runs),
        "train_cpu_s": [runs[seed]["train_cpu_s"] for seed in sorted(runs)],
        "commits": sorted({run["commit"] for run in runs.values()}),
    }


def _results(
    by_net: Mapping[str, Mapping[int, Any]], shown: Shown, test: str
) -> dict[int, Mapping[str, Any]]:
    """Return seed -> scores."""
    key = f"{shown.way} {shown.lead_set} {test}"
    return {
        seed: run["scores"][key]
        for seed, run in sorted(by_net.get(shown.net, {}).items())
        if key in run["scores"]
    }


def _row(
    by_net: Mapping[str, Mapping[int, Any]], shown: Shown, tests: Sequence[Test]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for test in tests:
        results = _results(by_net, shown, test.name)
        if not results:
            return {}
        low, high = scoring.score_interval(test, scoring.mean_earned(list(results.values())))
        found[test.name] = {
            "seeds": list(results),
            **{m: _spread([r[m] for r in results.values()]) for m in ("challenge", "auroc", "f1")},
        }
        found[test.name]["challenge"] |= {"low": low, "high": high}
    return {"net": shown._asdict(), **found}


def _spread(values: Sequence[float]) -> dict[str, Any]:
    sd = stdev(values) if len(values) > 1 else None
    return {"mean": fmean(values), "sd": sd, "values": [round(v, 5) for v in values]}


def _with_spread(row: dict[str, Any]) -> dict[str, Any]:
    means = [one["fold9"]["challenge"]["mean"] for one in row["sets"].values()]
    return {**row, "mean": fmean(means), "spread": max(means) - min(means)}


def _difference(
    by_net: Mapping[str, Mapping[int, Any]], pairs: Sequence[tuple[Shown, Shown]], test: Test
) -> dict[str, Any]:
    """Return the mean difference over pairs and seeds, with limits over patients and over seeds."""
    every = [[_results(by_net, one, test.name) for one in pair] for pair in pairs]
    seeds = sorted(set.intersection(*(set(found) for pair in every for found in pair)))
    if not seeds:
        return {}
    values = [
        fmean(mine[seed]["challenge"] - theirs[seed]["challenge"] for mine, theirs in every)
        for seed in seeds
    ]
    mine, theirs = (
        scoring.mean_earned([pair[side][seed] for pair in every for seed in seeds])
        for side in (0, 1)
    )
    low, high = scoring.score_interval(test, mine, theirs)
    over_seeds = None
    if len(seeds) > 1:
        reach = float(t.ppf(0.975, len(seeds) - 1)) * stdev(values) / len(seeds) ** 0.5
        over_seeds = [fmean(values) - reach, fmean(values) + reach]
    return {
        "mean": fmean(values),
        "by_patients": [low, high],
        "by_seeds": over_seeds,
        "values": [round(v, 5) for v in values],
        "seeds": seeds,
    }


def show(sizes: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Return the tables in Markdown."""
    parts = []
    for size, found in sizes.items():
        parts += [
            f"**{size} size, 2 leads (the paper's Table 1)**",
            measuring.rows(
                ("submission", "paper", "Challenge score", "AUROC", "F1", "other hospitals"),
                [_first(row) for row in found["table_1"]],
            ),
            f"**{size} size, lead sets (the paper's Table 2)**: Challenge score, paper's in brackets",
            measuring.rows(
                ("version", *(f"{s} leads" for s in SETS), "mean", "spread"),
                [_second(row) for row in found["table_2"]],
            ),
            f"**{size} size, differences of the Challenge score on fold 9**",
            measuring.rows(
                ("what", "paper", "difference", "95 % by patients", "95 % by seeds", "each seed"),
                [_third(row) for row in found["differences"]],
            ),
        ]
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    parts.append(
        f"Commit {about['commit']}. {about['machine']['processor']}, one core. {versions}."
    )
    return "\n\n".join(parts)


def _first(row: Mapping[str, Any]) -> tuple[str, ...]:
    own, others = row["fold9"], row["others"]
    paper = "" if row["paper"] is None else f"{row['paper']:.3f}"
    name = row["what"] if row["submission"] == "-" else f"{row['submission']}: {row['what']}"
    return name, paper, _score(own), _plain(own["auroc"]), _plain(own["f1"]), _score(others)


def _second(row: Mapping[str, Any]) -> tuple[str, ...]:
    paper = dict(zip(SETS, row["paper"], strict=False))
    cells = [
        f"{row['sets'][s]['fold9']['challenge']['mean']:.3f}" if s in row["sets"] else ""
        for s in SETS
    ]
    shown = [f"{c} ({paper[s]:.3f})" if s in paper else c for s, c in zip(SETS, cells, strict=True)]
    return row["version"], *shown, f"{row['mean']:.3f}", f"{row['spread']:.3f}"


def _third(row: Mapping[str, Any]) -> tuple[str, ...]:
    paper = "" if row["paper"] is None else f"{row['paper']:+.3f}"
    seeds = "" if row["by_seeds"] is None else _limits(row["by_seeds"])
    each = " ".join(f"{value:+.3f}" for value in row["values"])
    return row["what"], paper, f"{row['mean']:+.3f}", _limits(row["by_patients"]), seeds, each


def _limits(limits: Sequence[float]) -> str:
    return f"{limits[0]:+.3f} to {limits[1]:+.3f}"


def _score(found: Mapping[str, Any]) -> str:
    score = found["challenge"]
    return f"{_plain(score)} ({score['low']:.3f} to {score['high']:.3f})"


def _plain(found: Mapping[str, Any]) -> str:
    return f"{found['mean']:.3f}" + ("" if found["sd"] is None else f" ± {found['sd']:.3f}")
