"""Equality with WFDB's bxb; the golden file and its script are in golden/."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fascicle.io.beats import read_beat_files
from fascicle.io.marks import Mark, encode_marks
from fascicle.metrics.beats import aami_scores, confusion
from fascicle.metrics.ec57 import average, ec57_scores, match_as_bxb

GOLDEN = Path(__file__).with_name("golden") / "bxb_cases.json"
CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())
PRINTED = {
    "QRS sensitivity": "QRS.sensitivity",
    "QRS positive predictivity": "QRS.ppv",
    "VEB sensitivity": "V.sensitivity",
    "VEB positive predictivity": "V.ppv",
    "VEB false positive rate": "V.fpr",
    "SVEB sensitivity": "S.sensitivity",
    "SVEB positive predictivity": "S.ppv",
}


@pytest.mark.parametrize("number", range(len(CASES)))
def test_equals_bxb(number: int, tmp_path: Path) -> None:
    case = CASES[number]
    length = "" if case["samples"] is None else f" {case['samples']}"
    (tmp_path / "r.hea").write_text(f"r 1 {case['rate_hz']:g}{length}\nr.dat 16 200 16 0 0 0 0 I\n")
    for suffix, part in (("atr", "reference"), ("qrs", "estimate")):
        marks = [Mark(sample, symbol) for sample, symbol in case[part]]
        (tmp_path / f"r.{suffix}").write_bytes(encode_marks(marks, case["rate_hz"]))
    files = read_beat_files(tmp_path / "r.atr", tmp_path / "r.qrs", escape="S")
    match = match_as_bxb(
        files.reference.samples,
        files.estimate.samples,
        files.rate_hz,
        start_s=case["start_s"],
        samples=files.length,
        flutter=files.reference.flutter,
    )
    table = confusion(files.reference.kinds, files.estimate.kinds, match)
    np.testing.assert_array_equal(table, case["table"])
    scores = ec57_scores(table)
    for name, (part, whole) in case["shares"].items():
        expected = part / whole if whole else math.nan
        np.testing.assert_allclose(scores[PRINTED[name]], expected, rtol=1e-12, err_msg=name)


def test_the_golden_cases_try_everything() -> None:
    total = np.sum([case["table"] for case in CASES], axis=0)
    assert (total[:5, 5] > 0).all()
    assert (total[5, :5] > 0).all()
    assert (np.diag(total)[:5] > 0).all()
    assert {case["samples"] is None for case in CASES} == {True, False}
    assert {symbol for case in CASES for _, symbol in case["reference"]} >= set('NVS![]"~')


def pairs(reference: list[int], estimate: list[int], **options: Any) -> list[tuple[int, int]]:
    match = match_as_bxb(reference, estimate, 100.0, **{"start_s": 0.0, **options})
    return list(zip(match.reference.tolist(), match.estimate.tolist(), strict=True))


def test_the_window_is_inclusive_in_whole_samples() -> None:
    assert pairs([100], [115]) == [(0, 0)]
    assert pairs([100], [116]) == []
    assert len(match_as_bxb([1000], [1038], 250.0, start_s=0).reference) == 1  # 37.5 is 38


def test_a_beat_that_fits_the_next_one_better_waits_for_it() -> None:
    assert pairs([100, 112], [110]) == [(1, 0)]
    assert pairs([100, 112], [110, 113]) == [(0, 0), (1, 1)]


def test_an_estimate_of_the_learning_period_may_match_the_first_beat() -> None:
    assert pairs([505, 600], [498, 600], start_s=5.0) == [(0, 0), (1, 1)]
    match = match_as_bxb([490, 600], [501, 600], 100.0, start_s=5.0)
    assert (match.reference.tolist(), match.estimate.tolist()) == ([1], [1])
    assert match.extra.size == 0  # its partner lies in the learning period
    late = match_as_bxb([490, 600], [520, 600], 100.0, start_s=5.0)
    assert late.extra.tolist() == [0]


def test_without_a_length_nothing_counts_after_the_last_reference() -> None:
    assert match_as_bxb([100], [100, 200], 100.0, start_s=0).extra.size == 0
    assert match_as_bxb([100], [100, 200], 100.0, start_s=0, samples=300).extra.tolist() == [1]
    assert match_as_bxb([100], [100, 200], 100.0, start_s=0, samples=150).extra.size == 0


def test_flutter_is_not_scored() -> None:
    match = match_as_bxb(
        [100, 250, 400], [100, 200, 300, 350], 100.0, start_s=0, samples=500, flutter=[(200, 300)]
    )
    assert match.reference.tolist() == [0]
    assert match.missed.tolist() == [2]
    assert match.extra.tolist() == [3]


def test_nothing_at_all() -> None:
    for match in (
        match_as_bxb([], [], 100.0, samples=1000),
        match_as_bxb([], [], 100.0, start_s=0),
    ):
        assert [len(part) for part in match] == [0, 0, 0, 0]
    assert match_as_bxb([], [500], 100.0, start_s=0, samples=1000).extra.tolist() == [0]
    assert match_as_bxb([500], [], 100.0, start_s=0, samples=1000).missed.tolist() == [0]


@pytest.mark.parametrize(
    ("reference", "estimate", "options", "text"),
    [
        ([2, 1], [1], {}, "reference beats must ascend"),
        ([1], [-1, 3], {}, "estimate beats must ascend from sample 0"),
        ([1.5], [1], {}, "reference beats must be whole samples"),
        ([[1]], [1], {}, "reference beats must be whole samples"),
        ([1], [1], {"rate_hz": 0.0}, "must be positive"),
        ([1], [1], {"rate_hz": math.nan}, "must be positive"),
        ([1], [1], {"start_s": -1.0}, "must be positive"),
    ],
)
def test_refusals(
    reference: list[Any], estimate: list[Any], options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        match_as_bxb(reference, estimate, **{"rate_hz": 100.0, **options})


def test_flutter_waves_match_and_count_as_nothing() -> None:
    match = match_as_bxb([100, 200, 300], [100, 200, 400], 100.0, start_s=0, samples=500)
    table = confusion([None, "N", None], ["V", None, None], match)
    assert table[5, 2] == table[0, 5] == 1
    assert table.sum() == 2


def test_undefined_as_bxb_and_average_over_the_defined() -> None:
    silent, loud = np.zeros((6, 6), dtype=int), np.zeros((6, 6), dtype=int)
    silent[0, 0], silent[2, 0] = 9, 1
    loud[0, 0], loud[2, 2], loud[0, 2] = 8, 1, 1
    assert math.isnan(ec57_scores(silent)["V.ppv"])
    assert aami_scores(silent)["V.ppv"] == 0
    both = ec57_scores(np.stack([silent, loud]))
    assert both["V.sensitivity"].tolist() == [0, 1]
    means = average(both)
    assert means["V.ppv"] == 0.5
    assert means["V.sensitivity"] == 0.5
    assert means["V.fpr"] == pytest.approx((0 + 1 / 9) / 2)
    assert math.isnan(means["S.ppv"])
