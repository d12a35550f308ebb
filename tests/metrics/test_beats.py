import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from fascicle.metrics.beats import (
    LEARNING_S,
    NONE,
    aami_scores,
    confusion,
    detection_scores,
    j_kappa,
    match_beats,
)
from fascicle.record import BeatKind

KINDS = st.lists(st.sampled_from(get_args(BeatKind)), min_size=1, max_size=40)
N, S, V, F, Q = range(5)


def table(**cells: int) -> NDArray[np.int64]:
    """Return a confusion table from cells in bxb's notation: Nv=3, Vo=1 (missed), Ov=2 (extra)."""
    counts = np.zeros((6, 6), dtype=np.int64)
    for name, count in cells.items():
        counts["NSVFQO".index(name[0]), "nsvfqo".index(name[1])] = count
    return counts


FULL = table(
    Nn=900, Ns=10, Nv=5, No=4, Sn=20, Ss=60, Sv=3, So=1, Vn=6, Vs=2, Vv=80, Vf=1, Vo=2,
    Fn=3, Fs=1, Fv=4, Ff=2, Qn=5, Qs=7, Qv=9, Qq=1, On=8, Os=2, Ov=3,
)  # fmt: skip


def test_matching_and_its_leftovers() -> None:
    match = match_beats([1.0, 2.0, 3.0], [1.01, 2.5, 3.14])
    assert match.reference.tolist() == [0, 2]
    assert match.estimate.tolist() == [0, 2]
    assert match.missed.tolist() == [1]
    assert match.extra.tolist() == [1]


def test_the_learning_period_is_not_scored() -> None:
    match = match_beats([100, 299, 300, 301], [299, 301, 302], start_s=LEARNING_S)
    assert match.reference.tolist() == [3]
    assert match.missed.tolist() == [2]
    assert match.extra.tolist() == [2]


def test_a_pair_across_the_start_counts_by_its_reference() -> None:
    late = match_beats([300.0], [299.9], start_s=300)
    assert (late.reference.tolist(), late.missed.tolist()) == ([0], [])
    early = match_beats([299.9], [300.0], start_s=300)
    assert early.reference.size == early.missed.size == early.extra.size == 0


def test_skipped_spans_are_not_scored() -> None:
    match = match_beats([1, 5, 6, 9], [1, 5.5, 7, 9.5], skip=[(4, 8)])
    assert match.reference.tolist() == [0]
    assert match.missed.tolist() == [3]
    assert match.extra.tolist() == [3]


def test_a_skipped_span_holds_its_start_but_not_its_end() -> None:
    assert match_beats([4.0, 8.0], [], skip=[(4, 8)]).missed.tolist() == [1]


def test_matching_refuses() -> None:
    with pytest.raises(ValueError, match="reference times must ascend"):
        match_beats([2, 1], [1])
    with pytest.raises(ValueError, match="run forwards, not from 8 s to 4 s"):
        match_beats([1], [1], skip=[(8, 4)])


def test_confusion_counts_pairs_misses_and_extras() -> None:
    match = match_beats([1.0, 2.0, 3.0], [1.01, 2.5, 3.14])
    counts = confusion(["N", "V", "S"], ["N", "F", "V"], match)
    np.testing.assert_array_equal(counts, table(Nn=1, Vo=1, Of=1, Sv=1))


def test_confusion_at_given_positions() -> None:
    counts = confusion(["N", "N", "V", "Q"], ["N", "S", "V", "N"])
    np.testing.assert_array_equal(counts, table(Nn=1, Ns=1, Vv=1, Qn=1))


def test_confusion_refuses() -> None:
    with pytest.raises(ValueError, match="pass match"):
        confusion(["N", "N"], ["N"])
    with pytest.raises(ValueError, match="estimate classes must be among"):
        confusion(["N"], ["L"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="match names estimate beat 1, but there are 1"):
        confusion(["N", "N"], ["N"], match_beats([1, 2], [1, 2]))
    with pytest.raises(ValueError, match="match names reference beat 1"):
        confusion(["N"], ["N"], match_beats([1, 2], []))


def test_detection_ignores_classes() -> None:
    scores = detection_scores(table(Nn=80, Nv=10, Vo=10, On=30))
    assert scores["sensitivity"] == pytest.approx(0.9)
    assert scores["ppv"] == pytest.approx(90 / 120)
    assert scores["f1"] == pytest.approx(180 / 220)


def test_veb_as_bxb_counts_it() -> None:
    scores = aami_scores(FULL)
    false = 5 + 3 + 3  # Nv Sv Ov, without Fv and Qv
    negative = 900 + 10 + 20 + 60 + 3 + 1 + 2 + 5 + 7 + 1 + 8 + 2
    assert scores["V.sensitivity"] == pytest.approx(80 / (80 + 6 + 2 + 1 + 2))
    assert scores["V.ppv"] == pytest.approx(80 / (80 + false))
    assert scores["V.fpr"] == pytest.approx(false / (false + negative))
    assert scores["V.f1"] == pytest.approx(160 / (160 + false + 11))


def test_sveb_as_bxb_counts_it() -> None:
    scores = aami_scores(FULL)
    false = 10 + 2 + 1 + 2  # Ns Vs Fs Os, without Qs
    assert scores["S.sensitivity"] == pytest.approx(60 / (60 + 20 + 3 + 1))
    assert scores["S.ppv"] == pytest.approx(60 / (60 + false))


def test_other_classes_leave_nothing_out() -> None:
    scores = aami_scores(FULL)
    assert scores["N.ppv"] == pytest.approx(900 / (900 + 20 + 6 + 3 + 5 + 8))
    assert scores["F.ppv"] == pytest.approx(2 / 3)


def test_excused_beats_change_no_ppv() -> None:
    more = FULL + table(Fv=100, Qv=100)
    for key in ("V.ppv", "V.sensitivity", "V.fpr", "V.f1"):
        assert aami_scores(more)[key] == aami_scores(FULL)[key]
    for key in ("S.ppv", "S.sensitivity", "S.f1"):
        assert aami_scores(FULL + table(Qs=100))[key] == aami_scores(FULL)[key]
        assert aami_scores(FULL + table(Fs=100))["S.ppv"] < aami_scores(FULL)["S.ppv"]


def test_accuracy_counts_missed_beats() -> None:
    assert aami_scores(table(Nn=8, Nv=1, No=1, On=5))["accuracy"] == pytest.approx(0.8)


def test_kappa_is_that_of_scikit_learn() -> None:
    square = FULL[:4, :4]
    rows, columns = np.nonzero(square)
    reference = np.repeat(rows, square[rows, columns])
    estimate = np.repeat(columns, square[rows, columns])
    only_square = np.zeros_like(FULL)
    only_square[:4, :4] = square
    kappa, _ = j_kappa(only_square)
    assert kappa == pytest.approx(cohen_kappa_score(reference, estimate))


def test_j_kappa_by_hand() -> None:
    kappa, value = j_kappa(table(Nn=90, Ns=2, Sn=3, Ss=5, Vv=8, Vn=2, Qv=50, Ov=9))
    agreed = (90 + 5 + 8) / 110
    chance = (92 * 95 + 8 * 7 + 10 * 8) / 110**2
    assert kappa == pytest.approx((agreed - chance) / (1 - chance))
    assert value == pytest.approx(kappa / 2 + (5 / 8 + 5 / 7 + 8 / 10 + 8 / 8) / 8)


def test_calling_beats_q_or_missing_them_helps_no_kappa() -> None:
    honest, _ = j_kappa(table(Nn=90, Ss=5, Sn=5, Vv=10))
    for evasive in (table(Nn=90, Ss=5, Sq=5, Vv=10), table(Nn=90, Ss=5, So=5, Vv=10)):
        kappa, value = j_kappa(evasive)
        assert kappa < 1
        assert value < 1
        assert kappa == pytest.approx(honest, abs=0.1)


def test_a_net_that_never_says_s_has_no_nan() -> None:
    _, value = j_kappa(table(Nn=90, Sn=10, Vv=10))
    assert math.isfinite(value)
    assert aami_scores(table(Nn=90, Sn=10))["S.ppv"] == 0


def test_absent_classes_are_nan() -> None:
    scores = aami_scores(table(Nn=10))
    assert math.isnan(scores["V.sensitivity"])
    assert math.isnan(scores["V.f1"])
    assert math.isnan(scores["j_kappa"])
    assert scores["V.fpr"] == 0


@given(KINDS)
@settings(max_examples=25)
def test_perfect_is_one(kinds: list[BeatKind]) -> None:
    scores = aami_scores(confusion(kinds, kinds))
    assert scores["accuracy"] == 1
    for kind in set(kinds):
        assert scores[f"{kind}.f1"] == 1
        assert scores[f"{kind}.fpr"] == 0 or len(set(kinds)) == 1


@given(KINDS)
@settings(max_examples=25)
def test_order_of_positions_does_not_matter(kinds: list[BeatKind]) -> None:
    estimate = kinds[::-1]
    order = np.random.default_rng(len(kinds)).permutation(len(kinds))
    shuffled = confusion([kinds[i] for i in order], [estimate[i] for i in order])
    np.testing.assert_array_equal(shuffled, confusion(kinds, estimate))


def test_many_tables_at_once() -> None:
    both = np.stack([FULL, table(Nn=10)])
    scores = aami_scores(both)
    for key, value in aami_scores(FULL).items():
        assert scores[key][0] == pytest.approx(float(value))
    assert detection_scores(both)["f1"].shape == (2,)


def test_tables_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(\.\.\., 6, 6\), not \(5, 5\)"):
        aami_scores(np.zeros((5, 5)))
    with pytest.raises(ValueError, match="not negative"):
        detection_scores(-FULL)
    assert FULL[NONE, NONE] == 0
