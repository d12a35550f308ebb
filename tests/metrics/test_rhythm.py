"""Rhythms by duration: exact seconds, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from fascicle.metrics.rhythm import rhythm_durations, rhythm_scores
from fascicle.record import Rhythm

KINDS = ("sinus", "AF", "flutter")


def test_seconds_of_each_pair_are_exact() -> None:
    reference = (Rhythm(0, 10, "sinus"), Rhythm(10, 30.5, "AF"), Rhythm(30.5, 40, ""))
    estimate = (Rhythm(0, 12, "sinus"), Rhythm(12, 20, "AF"), Rhythm(22, 40, "flutter"))
    table = rhythm_durations(reference, estimate, KINDS)
    expected = np.array([[10, 0, 0, 0], [2, 8, 8.5, 2], [0, 0, 0, 0]])  # 20 to 22 nothing was told
    np.testing.assert_allclose(table, expected, atol=1e-9)


def test_nothing_told_is_missed_and_nothing_known_is_not_scored() -> None:
    spans = (Rhythm(1, 4, "AF"),)
    assert rhythm_durations(spans, (), KINDS)[1].tolist() == [0, 0, 0, 3]
    assert not rhythm_durations((), spans, KINDS).any()
    assert not rhythm_durations((), (), KINDS).any()
    assert not rhythm_durations((Rhythm(0, 9, "B"),), spans, KINDS).any()


def test_a_perfect_answer_scores_one() -> None:
    spans = (Rhythm(0, 3, "sinus"), Rhythm(3, 7, "AF"), Rhythm(7, 8, "flutter"))
    scores = rhythm_scores(rhythm_durations(spans, spans, KINDS), KINDS)
    for kind in (*KINDS, "AF_or_flutter"):
        assert scores[f"{kind}.sensitivity"] == scores[f"{kind}.ppv"] == scores[f"{kind}.f1"] == 1
    assert scores["accuracy"] == scores["told"] == 1
    assert scores["AF.reference_s"] == 4


def test_scores_are_shares_of_time() -> None:
    table = np.array([[80, 15, 0, 5], [4, 30, 6, 0], [0, 8, 2, 0]], dtype=float)
    scores = rhythm_scores(table, KINDS)
    assert scores["AF.sensitivity"] == pytest.approx(30 / 40)
    assert scores["AF.ppv"] == pytest.approx(30 / 53)
    assert scores["AF_or_flutter.sensitivity"] == pytest.approx(46 / 50)
    assert scores["AF_or_flutter.ppv"] == pytest.approx(46 / 61)
    assert scores["accuracy"] == pytest.approx(112 / 150)
    assert scores["told"] == pytest.approx(145 / 150)


def test_tables_of_many_draws_are_scored_at_once() -> None:
    tables = np.random.default_rng(0).random((5, 3, 4))
    together = rhythm_scores(tables, KINDS)
    for row, table in enumerate(tables):
        for key, value in rhythm_scores(table, KINDS).items():
            assert together[key][row] == pytest.approx(float(value))


def test_silence_has_no_ppv_of_one_and_absence_has_no_score() -> None:
    table = np.zeros((3, 4))
    table[1, 3] = 9
    scores = rhythm_scores(table, KINDS)
    assert scores["AF.sensitivity"] == scores["AF.ppv"] == 0
    assert np.isnan(scores["flutter.sensitivity"])
    assert np.isnan(scores["flutter.ppv"])


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ((Rhythm(0, 5, "AF"), Rhythm(4, 6, "AF")), "in order"),
        ((Rhythm(5, 4, "AF"),), "in order"),
        ((Rhythm(0, float("nan"), "AF"),), "in order"),
        ((Rhythm(0, 1, "AFIB"),), "estimates must be of sinus, AF, flutter"),
    ],
)
def test_spans_that_cannot_be_are_refused(spans: tuple[Rhythm, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rhythm_durations((Rhythm(0, 9, "AF"),), spans, KINDS)
