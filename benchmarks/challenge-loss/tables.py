"""Lines of finished nets become the paper's tables, differences with intervals, and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import measuring
import scoring
from nets import SETS
from questions import DIFFERENCES, TABLE_1, TABLE_2, Shown, shown
from scipy.stats import t
from scoring import Test


def summary(lines: Sequence[Mapping[str, Any]], tests: Sequence[Test]) -> dict[str, Any]:
    """Return the figures of one size: rows of both tables, differences, spreads, budgets."""
    by_net: dict[str, dict[int, Mapping[str, Any]]] = {}
    for line in lines:
        by_net.setdefault(line["net"], {})[line["seed"]] = line
    first = [
        {"submission": name, "what": what, "paper": paper, **row}
        for name, what, one, paper in TABLE_1
        if (row := _row(by_net, one, tests))
    ]
    second = [
        {
            "version": name,
            "paper": list(paper),
            "sets": {s: row for s in SETS if (row := _row(by_net, shown(*net, s), tests))},
        }
        for name, net, paper in TABLE_2
    ]
    return {
        "nets": {net: _budget(runs) for net, runs in by_net.items()},
        "table_1": first,
        "table_2": [_with_spread(row) for row in second if len(row["sets"]) == len(SETS)],
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
    by_net: Mapping[str, Mapping[int, Any]], one: Shown, test: str
) -> dict[int, Mapping[str, Any]]:
    """Return seed -> scores."""
    key = f"{one.way} {one.lead_set} {test}"
    return {
        seed: run["scores"][key]
        for seed, run in sorted(by_net.get(one.net, {}).items())
        if key in run["scores"]
    }


def _row(
    by_net: Mapping[str, Mapping[int, Any]], one: Shown, tests: Sequence[Test]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for test in tests:
        results = _results(by_net, one, test.name)
        if not results:
            return {}
        low, high = scoring.score_interval(test, scoring.mean_earned(list(results.values())))
        found[test.name] = {
            "seeds": list(results),
            **{m: _spread([r[m] for r in results.values()]) for m in ("challenge", "auroc", "f1")},
        }
        found[test.name]["challenge"] |= {"low": low, "high": high}
    return {"net": one._asdict(), **found}


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
            f"**{size} size, 2 leads (Table 1)**",
            measuring.rows(
                ("submission", "paper", "Challenge score", "AUROC", "F1", "other hospitals"),
                [_first(row) for row in found["table_1"]],
            ),
            f"**{size} size, lead sets (Table 2)**: Challenge score, the paper's in brackets",
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
    trained = sorted({c for f in sizes.values() for n in f["nets"].values() for c in n["commits"]})
    parts.append(
        f"Trained at commit {', '.join(trained)}, written at {about['commit']}. "
        f"{about['machine']['processor']}, one core. {versions}."
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
    cells = [f"{c} ({paper[s]:.3f})" if s in paper else c for s, c in zip(SETS, cells, strict=True)]
    return row["version"], *cells, f"{row['mean']:.3f}", f"{row['spread']:.3f}"


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
