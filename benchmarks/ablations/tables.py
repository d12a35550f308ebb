"""Lines of finished nets become gains with intervals, verdicts, and Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import measuring
import numpy as np
import scoring
from nets import NETS, QUESTIONS, Question
from numpy.typing import NDArray
from scipy.stats import t
from scoring import Doubles, Test

from fascicle.metrics.bootstrap import sums_interval

RESAMPLES = 2000
MARGIN = 0.005
"""A gain below this is none worth having."""
NAMES = {
    "waves.f1_150": "waves F1, 150 ms",
    "waves.f1_40": "waves F1, 40 ms",
    "waves.dice": "waves Dice",
    "beats.sensitivity": "beats Se",
    "beats.ppv": "beats PPV",
    "beats.v_f1": "V F1",
    "diagnosis.auroc": "AUROC",
    "diagnosis.f1": "F1",
    "diagnosis.challenge": "Challenge score",
}
HELPS, HARMS, DOES_NOT, OPEN = "helps", "harms", "does not", "not certain"
Lines = Sequence[Mapping[str, Any]]
Runs = Mapping[str, Mapping[int, Mapping[str, Any]]]


def summary(lines: Lines, tests: Mapping[str, Test]) -> dict[str, Any]:
    """Return the scores of each net, and what each question's choice gains."""
    runs: dict[str, dict[int, Mapping[str, Any]]] = {}
    for line in lines:
        runs.setdefault(line["net"], {})[line["seed"]] = line
    return {
        "nets": {name: _net(runs[name]) for name in NETS if name in runs},
        "questions": [
            found
            for question in measuring.progress(QUESTIONS, "question")
            if (found := answered(question, runs, tests))
        ],
    }


def _net(runs: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    some = next(iter(runs.values()))
    seeds = sorted(runs)
    return {
        **{key: some[key] for key in ("training", "records", "steps", "windows")},
        "seeds": seeds,
        "train_cpu_s": [runs[seed]["train_cpu_s"] for seed in seeds],
        "commits": sorted({run["commit"] for run in runs.values()}),
        "scored": sorted({run.get("scored", run["commit"]) for run in runs.values()}),
        "scores": {
            score: [runs[seed]["scores"][score] for seed in seeds] for score in some["scores"]
        },
    }


def answered(question: Question, runs: Runs, tests: Mapping[str, Test]) -> dict[str, Any]:
    """Return the gains of a question in all scores that both nets have; {} without such seeds."""
    having, lacking = (runs.get(name, {}) for name in (question.having, question.lacking))
    seeds = sorted(set(having) & set(lacking))
    if not seeds:
        return {}
    gains: dict[str, dict[str, Any]] = {}
    for name, test in tests.items():
        pairs = [[side[seed]["kept"].get(name) for seed in seeds] for side in (having, lacking)]
        if all(kept is not None for side in pairs for kept in side):
            gains |= gained(test, *([_read(kept) for kept in side] for side in pairs))
    for found in gains.values():
        found["verdict"] = verdict(found["by_seeds"], found["by_patients"])
    return {
        "what": question.what,
        "nets": [question.having, question.lacking],
        "seeds": seeds,
        "judged": list(question.judged),
        "gains": gains,
        "verdict": together([gains[score]["verdict"] for score in question.judged]),
    }


def _read(kept: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    return {key: scoring.from_text(text) for key, text in kept.items()}


def gained(
    test: Test, having: Sequence[scoring.Kept], lacking: Sequence[scoring.Kept]
) -> dict[str, dict[str, Any]]:
    """Return the mean gain over pairs of nets of one seed, with limits over seeds and patients."""

    def differences(weights: Doubles) -> tuple[list[str], Doubles]:
        """Return the scores' names and (draw, seed, score)."""
        each = [
            (scoring.scores(test, mine, weights), scoring.scores(test, theirs, weights))
            for mine, theirs in zip(having, lacking, strict=True)
        ]
        names = list(each[0][0])
        return names, np.stack(
            [np.stack([mine[n] - theirs[n] for n in names], axis=-1) for mine, theirs in each],
            axis=1,
        )

    records = len(test.patients)
    names, ((values),) = differences(np.ones((1, records)))
    # the sums over an identity are how often each record is drawn
    low, high = sums_interval(
        lambda weights: differences(weights)[1].mean(axis=1),
        np.eye(records),
        test.patients,
        resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return {
        name: {
            "mean": fmean(values[:, place]),
            "by_seeds": over_seeds(values[:, place].tolist()),
            "by_patients": _plain([float(low[place]), float(high[place])]),
            "values": [round(value, 5) for value in values[:, place].tolist()],
        }
        for place, name in enumerate(names)
    }


def _plain(limits: list[float]) -> list[float] | None:
    """Return limits that JSON can hold: none where too few draws have the score."""
    return limits if np.isfinite(limits).all() else None


def over_seeds(values: Sequence[float]) -> list[float] | None:
    """Return the 95 % interval of a mean over seeds (t distribution), None for a single one."""
    if len(values) < 2:
        return None
    reach = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return [fmean(values) - reach, fmean(values) + reach]


def verdict(by_seeds: Sequence[float] | None, by_patients: Sequence[float] | None) -> str:
    """Return what both intervals of a gain say together; without one of them, nothing."""
    if by_seeds is None or by_patients is None:
        return OPEN
    low = min(by_seeds[0], by_patients[0])
    high = max(by_seeds[1], by_patients[1])
    if low > 0:
        return HELPS
    if high < 0:
        return HARMS
    return DOES_NOT if high < MARGIN else OPEN


def together(verdicts: Sequence[str]) -> str:
    """Return one verdict of several scores: a help or a harm counts where nothing contradicts."""
    told = set(verdicts)
    if {HELPS, HARMS} <= told:
        return OPEN
    for one in (HELPS, HARMS):
        if one in told:
            return one
    return DOES_NOT if told == {DOES_NOT} else OPEN


def show(found: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Return the tables in Markdown."""
    nets = {name: one for name, one in found["nets"].items() if one["scores"]}
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    trained, scored = (
        ", ".join(sorted({commit for one in nets.values() for commit in one[key]}))
        for key in ("commits", "scored")
    )
    return "\n\n".join(
        [
            "**What each choice gains** (helps / harms / does not / not certain)",
            "\n".join(f"- {one['what']}: **{one['verdict']}**" for one in found["questions"]),
            "**Gains in the scores that decide**",
            measuring.rows(
                ("what", "score", "gain", "95 % by seeds", "95 % by patients", "each seed", ""),
                [row for one in found["questions"] for row in _gains(one)],
            ),
            "**Scores**: mean over seeds ± standard deviation",
            measuring.rows(
                ("net", "updates", "windows", *NAMES.values()),
                [_scores(name, one) for name, one in nets.items()],
            ),
            f"Trained at commit {trained}, scored at {scored}, written at {about['commit']}. "
            f"{about['machine']['processor']}, one core a net. {versions}.",
        ]
    )


def _gains(one: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for score in one["judged"]:
        gain = one["gains"][score]
        yield (
            one["what"],
            NAMES[score],
            f"{gain['mean']:+.3f}",
            _limits(gain["by_seeds"]),
            _limits(gain["by_patients"]),
            " ".join(f"{value:+.3f}" for value in gain["values"]),
            gain["verdict"],
        )


def _limits(limits: Sequence[float] | None) -> str:
    return "" if limits is None else f"{limits[0]:+.3f} to {limits[1]:+.3f}"


def _scores(name: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    cells = [_spread(one["scores"].get(score)) for score in NAMES]
    return name, str(one["steps"]), str(one["windows"]), *cells


def _spread(values: Sequence[float] | None) -> str:
    if not values:
        return ""
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
