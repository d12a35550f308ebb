"""Rules from free text to SCP-ECG codes against PTB-XL's own codes of the same records.

    python benchmarks/statements/run.py --data DIR

The rules were written with the reports of folds 1 to 7; folds 8 and 9 are the test. `--folds 1 2 3`
prints other folds and writes nothing. Intervals: 95 %, bootstrap over patients.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fascicle.data.sources.ptbxl import DATABASE, parse_statements
from fascicle.labels.text import Reading, count_unmatched, read_report
from fascicle.metrics.bootstrap import sums_interval
from fascicle.metrics.counts import f1_score, predictivity, sensitivity

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import measuring  # noqa: E402

TEST_FOLDS = (8, 9)
FEWEST = 20
SURE = 50.0
"""Likelihood in percent from which a code counts in the stricter reference; 0 is "not given"."""
LATER = re.compile(r"edit:|consensus", re.IGNORECASE)
"""Where PTB-XL's editors wrote codes into a report: they are the answer, not the text."""
SILENT = "trace only requested."
MEASURES = ("precision", "recall", "f1")
QUICK = (
    ("sinus rhythm. no evidence of left bundle branch block.", {"SR": 0.0}),
    ("sinusrhythmus inferiorer infarkt nicht auszuschliessen", {"SR": 0.0, "IMI": 15.0}),
    ("vorhofflimmern/-flattern etwas anderes", {"AFIB": 0.0, "LVH": 100.0}),
)


class Case(NamedTuple):
    """A report as written, the codes with their likelihood, and the patient."""

    report: str
    codes: dict[str, float]
    patient: str


def main() -> None:
    parser = measuring.parser(__doc__.splitlines()[0], HERE)
    parser.add_argument("--folds", type=int, nargs="+", default=list(TEST_FOLDS))
    parser.add_argument("--resamples", type=int, default=2000)
    asked = parser.parse_args()
    about = measuring.describe(["numpy"], None, asked.note)
    cases, fewest = (quick_cases(), 1) if asked.quick else (read_cases(asked), FEWEST)
    edited = sum(bool(LATER.search(case.report)) for case in cases)
    texts = [LATER.split(case.report)[0] for case in cases]
    readings = [read_report(text) for text in measuring.progress(texts, "read")]
    result = about | {
        "command": "python benchmarks/statements/run.py --data DIR",
        "quick": asked.quick,
        "folds": asked.folds,
        "reports": len(cases),
        "reports_with_edits_cut": edited,
        "reports_without_text": sum(case.report.strip() == SILENT for case in cases),
        "patients": len({case.patient for case in cases}),
        "fewest_positives": fewest,
        **compare(cases, readings, fewest, asked.resamples),
        **coverage(cases, readings),
    }
    if asked.folds != list(TEST_FOLDS):
        print(table(result))
        for entry in count_unmatched(readings)[:40]:
            print(entry.reports, entry.words)
        return
    measuring.write(measuring.out_folder(asked, HERE), result, table(result))


def quick_cases() -> list[Case]:
    return [Case(text, codes, str(n % 20)) for n in range(10) for text, codes in QUICK]


def read_cases(asked: argparse.Namespace) -> list[Case]:
    if asked.data is None:
        raise SystemExit("--data DIR is needed, the folder that holds ptbxl/; or --quick")
    with (asked.data / "ptbxl" / DATABASE).open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if int(row["strat_fold"]) in asked.folds]
    return [
        Case(row["report"], parse_statements(row["scp_codes"], row["ecg_id"]), row["patient_id"])
        for row in rows
    ]


def compare(
    cases: Sequence[Case], readings: Sequence[Reading], fewest: int, resamples: int
) -> dict[str, Any]:
    """Return the figures per label, and averages of three comparisons with intervals."""
    stated = [set(case.codes) for case in cases]
    sure = [{c for c, v in case.codes.items() if v == 0 or v >= SURE} for case in cases]
    said = [set(reading.codes("present")) for reading in readings]
    open_ = [set(reading.codes("possible")) for reading in readings]
    either = [a | b for a, b in zip(said, open_, strict=True)]
    names = sorted({code for codes in (*stated, *either) for code in codes})
    patients = [case.patient for case in cases]
    count = counts(stated, said, names)
    judged = count[:, :, [0, 2]].sum(axis=(0, 2)) >= fewest
    labels = {
        name: figures(count[:, k].sum(axis=0))
        | {
            "positives": int(count[:, k, [0, 2]].sum()),
            "present": int(count[:, k, [0, 1]].sum()),
            "possible": sum(name in codes for codes in open_),
            "possible_and_stated": sum(
                name in a and name in b for a, b in zip(open_, stated, strict=True)
            ),
            "absent": sum(name in reading.codes("absent") for reading in readings),
            "in_averages": bool(judged[k]),
        }
        for k, name in enumerate(names)
    }
    pairs = {
        "present": (stated, said),
        "present_or_possible": (stated, either),
        "present_against_likelihood_50": (sure, said),
    }
    averages = {
        key: averaged(counts(reference, found, names)[:, judged], patients, resamples)
        for key, (reference, found) in pairs.items()
    }
    return {"labels": labels, "averages": averages}


def counts(
    reference: Sequence[set[str]], estimate: Sequence[set[str]], names: Sequence[str]
) -> NDArray[np.float64]:
    """Return hits, false alarms and misses, (report, label, 3)."""
    truth = np.array([[name in codes for name in names] for codes in reference])
    found = np.array([[name in codes for name in names] for codes in estimate])
    return np.stack([truth & found, ~truth & found, truth & ~found], axis=-1).astype(np.float64)


def figures(sums: NDArray[np.float64]) -> dict[str, float | None]:
    values = three(sums)
    named = zip(MEASURES, values.tolist(), strict=True)
    return {name: None if np.isnan(value) else value for name, value in named}


def three(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return precision, recall and F1, (..., 3), from (..., hits false alarms misses)."""
    tp, fp, fn = np.moveaxis(sums, -1, 0)
    return np.stack([predictivity(tp, fp, fn), sensitivity(tp, fn), f1_score(tp, fp, fn)], -1)


def averaged(count: NDArray[np.float64], patients: list[str], resamples: int) -> dict[str, Any]:
    """Return micro and macro averages of the labels, each with its interval over patients."""

    def both(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        micro, macro = three(sums.sum(axis=-2)), np.nanmean(three(sums), axis=-2)
        return np.concatenate([micro, macro], axis=-1)

    values = both(count.sum(axis=0))
    rng = np.random.default_rng(0)
    low, high = sums_interval(both, count, patients, resamples=resamples, rng=rng)
    names = [f"{kind}.{measure}" for kind in ("micro", "macro") for measure in MEASURES]
    return {
        name: {"value": float(v), "low": float(a), "high": float(b)}
        for name, v, a, b in zip(names, values, low, high, strict=True)
    }


def coverage(cases: Sequence[Case], readings: Sequence[Reading]) -> dict[str, Any]:
    """Return how much of the text no rule knew, and of how many codes the text says nothing."""
    unsaid = [
        reading
        for case, reading in zip(cases, readings, strict=True)
        for code in case.codes
        if code not in reading.statuses
    ]
    letters = sum(len(reading.text) for reading in readings)
    left = sum(end - start for reading in readings for start, end in reading.unmatched)
    return {
        "reports_wholly_understood": sum(not reading.unmatched for reading in readings),
        "reports_without_a_code": sum(not reading.mentions for reading in readings),
        "share_of_letters_unmatched": round(left / letters, 4),
        "stated_codes": sum(len(case.codes) for case in cases),
        "not_mentioned": len(unsaid),
        "not_mentioned_and_no_word_unmatched": sum(not reading.unmatched for reading in unsaid),
        "unmatched_phrases": len(count_unmatched(readings)),
    }


def table(result: dict[str, Any]) -> str:
    titles = {
        "present": "present; every stated code",
        "present_or_possible": "present or possible; every stated code",
        "present_against_likelihood_50": "present; codes stated with 50 % or more, or none given",
    }
    kept = {name: row for name, row in result["labels"].items() if row["in_averages"]}
    body = [
        [
            f"{titles[key]}, {kind}",
            *(limits(row[f"{kind}.{measure}"]) for measure in MEASURES),
        ]
        for key, row in result["averages"].items()
        for kind in ("micro", "macro")
    ]
    head = ["label", "stated", "present", "possible", "of these stated", *MEASURES]
    rows = sorted(kept.items(), key=lambda item: -item[1]["positives"])
    lines = [
        [
            name,
            *(str(row[key]) for key in ("positives", "present", "possible", "possible_and_stated")),
            *("none" if row[key] is None else f"{row[key]:.3f}" for key in MEASURES),
        ]
        for name, row in rows
    ]
    title = f"{len(kept)} labels; counts as found; against"
    return (
        f"{measuring.rows([title, *MEASURES], body)}\n\n{measuring.rows(head, lines)}\n\n"
        f"Folds {' '.join(map(str, result['folds']))}: {result['reports']} reports of "
        f"{result['patients']} patients; {result['reports_without_text']} say only "
        f'"{SILENT}"; from {result["reports_with_edits_cut"]} the editors\' codes were cut off. '
        f"{result['reports_wholly_understood']} reports have no unmatched word, "
        f"{result['share_of_letters_unmatched']:.1%} of all letters are unmatched. Of "
        f"{result['stated_codes']} stated codes {result['not_mentioned']} are not mentioned, "
        f"{result['not_mentioned_and_no_word_unmatched']} of them in reports without an unmatched "
        f"word. "
        f"Commit {result['commit']}."
    )


def limits(figure: dict[str, float]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


if __name__ == "__main__":
    main()
