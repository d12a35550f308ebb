"""Expectations are means over repeats with intervals by patient, and doubts are said in words."""

from __future__ import annotations

import numpy as np
import pytest

from fascicle.train.expectation import doubts, expect
from fascicle.train.new_class import HeldOut


def test_scores_by_hand() -> None:
    labels = np.array([True, True, False, False, False])
    logits = np.array([[3.0, 1.0], [2.0, -1.0], [1.0, 0.0], [0.0, -2.0], [-1.0, -3.0]])
    found = expect(labels, HeldOut(logits, logits > 0.5), list("abcde"), resamples=0)
    assert found["f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found["precision"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["recall"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["auroc"] == pytest.approx((1 + 5 / 6) / 2)
    assert found["auprc"] == pytest.approx((1 + (1 + 2 / 3) / 2) / 2)
    assert "f1.low" not in found


@pytest.mark.parametrize("all_found", [True, False])
def test_five_of_five_and_none_of_five_leave_doubt(all_found: bool) -> None:
    labels = np.arange(200) < 5
    logits = np.where(labels == all_found, 1.0, -1.0)[:, np.newaxis]
    found = expect(labels, HeldOut(logits, (logits > 0) & labels[:, np.newaxis]), range(200))
    assert found["f1"] == float(all_found)
    assert found["f1.low"] <= found["f1"] <= found["f1.high"]
    assert 0.3 < found["f1.high"] - found["f1.low"] < 0.6


def test_more_patients_narrow_the_interval_and_more_records_of_them_do_not() -> None:
    def width(patients: int, each: int) -> float:
        rng = np.random.default_rng(0)
        labels = np.repeat(np.arange(patients) < patients // 4, each)
        logits = np.repeat(rng.normal(size=patients), each) + 2 * labels
        held_out = HeldOut(logits[:, np.newaxis], logits[:, np.newaxis] > 1)
        found = expect(labels, held_out, np.repeat(np.arange(patients), each).tolist())
        return found["f1.high"] - found["f1.low"]

    assert width(400, 1) < 0.7 * width(80, 1)
    assert width(80, 10) > 0.8 * width(80, 1)


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) < 20
    held_out = HeldOut(rng.normal(size=(60, 2)), rng.random((60, 2)) > 0.5)
    one, two, other = (expect(labels, held_out, range(60), seed=seed) for seed in (1, 1, 2))
    assert one == two != other


def test_doubts() -> None:
    expected = {"f1.low": 0.1, "f1.high": 0.8}
    assert doubts(expected, 20, 12, seen=False) == []
    (few,) = doubts(expected, 19, 12, seen=False)
    assert "19 positive records of 12 patients" in few
    assert "0.10 to 0.80" in few
    (seen,) = doubts(expected, 20, 12, seen=True)
    assert "was trained on some of these records" in seen
    (unknown,) = doubts(expected, 20, 12, seen=None)
    assert "not known" in unknown
