import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.metrics.waves import (
    BOUNDARIES,
    Counts,
    annotated_span,
    boundary_counts,
    dice,
    dice_counts,
    dice_scores,
    match_times,
    tally,
    tally_scores,
    wave_scores,
)
from fascicle.record import Wave, WaveKind

TIMES = st.lists(st.integers(0, 3000), max_size=25).map(lambda ms: np.sort(np.array(ms) / 1000))


def beat(start_s: float, lead: str | None = "II") -> list[Wave]:
    """Return P, QRS and T of one normal beat, P from `start_s` on."""
    return [
        Wave(lead, "P", start_s, start_s + 0.05, start_s + 0.10),
        Wave(lead, "QRS", start_s + 0.16, start_s + 0.20, start_s + 0.26),
        Wave(lead, "T", start_s + 0.40, start_s + 0.50, start_s + 0.56),
    ]


REFERENCE = [wave for start in (1.0, 2.0, 3.0) for wave in beat(start)]
QRS_ONLY = [wave for wave in REFERENCE if wave.kind == "QRS"]
LABELS = np.array([0, 1, 1, 0, 2, 2, 2, 0])
GUESS = np.array([0, 1, 0, 0, 2, 2, 3, 3])
INSIDE = np.array([True] * 7 + [False])


def moved(waves: list[Wave], by_s: float) -> list[Wave]:
    return [shift(wave, by_s) for wave in waves]


def shift(wave: Wave, by_s: float) -> Wave:
    assert wave.onset_s is not None
    assert wave.peak_s is not None
    assert wave.offset_s is not None
    return replace(
        wave,
        onset_s=wave.onset_s + by_s,
        peak_s=wave.peak_s + by_s,
        offset_s=wave.offset_s + by_s,
    )


def score(
    reference: list[Wave], estimate: list[Wave], tolerance_s: float = 0.15
) -> dict[str, float]:
    counts = boundary_counts(
        reference, estimate, tolerance_s=tolerance_s, span=annotated_span(reference)
    )
    return wave_scores([counts])


def test_nearest_pair_comes_first() -> None:
    # 1.10 is nearer to 1.12; 1.00 is left with 0.95
    reference, estimate = match_times([1.0, 1.12], [0.95, 1.10], 0.15)
    assert reference.tolist() == [0, 1]
    assert estimate.tolist() == [0, 1]


def test_nearest_first_may_leave_a_neighbour_alone() -> None:
    # 0.10 goes to 0.12, so 0.00 finds nobody although both could be served
    reference, estimate = match_times([0.0, 0.12], [0.10, 0.25], 0.11)
    assert (reference.tolist(), estimate.tolist()) == ([1], [0])


def test_the_tolerance_is_inclusive_at_any_sample() -> None:
    # in binary, (sample + 75) / 500 - sample / 500 is above 0.15 for one sample in twelve
    for sample in range(500):
        for other in (sample - 75, sample + 75):
            assert len(match_times([sample / 500], [other / 500], 0.15)[0]) == 1
        for other in (sample - 76, sample + 76):
            assert len(match_times([sample / 500], [other / 500], 0.15)[0]) == 0


def test_a_tie_goes_to_the_earlier_at_any_sample() -> None:
    for sample in range(10, 500):
        sides = [(sample - 10) / 500, (sample + 10) / 500]
        assert match_times([sample / 500], sides, 0.15)[1].tolist() == [0]
        assert match_times(sides, [sample / 500], 0.15)[0].tolist() == [0]


def test_equal_times_pair_up_in_order() -> None:
    reference, estimate = match_times([1.0, 1.0], [1.0, 1.0, 1.0], 0.0)
    assert (reference.tolist(), estimate.tolist()) == ([0, 1], [0, 1])


def test_empty_sides_give_no_pairs() -> None:
    sides: list[tuple[list[float], list[float]]] = [([], []), ([1.0], []), ([], [1.0])]
    for reference, estimate in sides:
        rows, columns = match_times(reference, estimate, 0.15)
        assert rows.size == columns.size == 0


@given(TIMES, TIMES, st.sampled_from([0.0, 0.04, 0.15]))
@settings(max_examples=100)
def test_equals_a_plain_greedy_search(
    reference: np.ndarray, estimate: np.ndarray, tolerance_s: float
) -> None:
    candidates = sorted(
        (round(abs(a - b), 6), i, j)
        for i, a in enumerate(reference)
        for j, b in enumerate(estimate)
        if round(abs(a - b), 6) <= tolerance_s
    )
    expected: dict[int, int] = {}
    for _, i, j in candidates:
        if i not in expected and j not in expected.values():
            expected[i] = j
    rows, columns = match_times(reference, estimate, tolerance_s)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


@given(TIMES, TIMES)
@settings(max_examples=50)
def test_swapping_the_sides_keeps_the_number_and_the_distances(
    reference: np.ndarray, estimate: np.ndarray
) -> None:
    one, other = match_times(reference, estimate, 0.15), match_times(estimate, reference, 0.15)
    distances = np.sort(np.abs(reference[one[0]] - estimate[one[1]]))
    swapped = np.sort(np.abs(estimate[other[0]] - reference[other[1]]))
    # ties can break differently, but the nearest pair is the same
    assert distances[:1] == pytest.approx(swapped[:1])


@pytest.mark.parametrize(
    ("reference", "estimate", "tolerance_s", "message"),
    [
        ([2.0, 1.0], [1.0], 0.1, "reference times must ascend, but time 1"),
        ([1.0], [3.0, 4.0, 2.0], 0.1, "estimate times must ascend, but time 2"),
        ([1.0, float("nan")], [1.0], 0.1, "reference times must be finite"),
        ([1.0], [float("inf")], 0.1, "estimate times must be finite"),
        ([[1.0]], [1.0], 0.1, r"shape \(time,\)"),
        ([1.0], [1.0], -0.1, "tolerance_s"),
        ([1.0], [1.0], float("nan"), "tolerance_s"),
    ],
)
def test_times_refuse(
    reference: list[float], estimate: list[float], tolerance_s: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        match_times(reference, estimate, tolerance_s)


def test_perfect_is_one_without_error() -> None:
    scores = score(REFERENCE, REFERENCE)
    assert all(value == 1 for key, value in scores.items() if not key.endswith("_ms"))
    assert all(value == 0 for key, value in scores.items() if key.endswith("_ms"))


def test_a_late_estimate_has_a_positive_error() -> None:
    scores = score(REFERENCE, moved(REFERENCE, 0.02))
    assert scores["QRS.onset.error_mean_ms"] == pytest.approx(20)
    assert scores["QRS.onset.error_sd_ms"] == pytest.approx(0, abs=1e-6)


def test_error_and_spread_are_those_of_the_matched() -> None:
    late = [shift(wave, by) for wave, by in zip(REFERENCE[1::3], (0.0, 0.01, 0.05), strict=True)]
    scores = score(REFERENCE, late)
    assert scores["QRS.offset.error_mean_ms"] == pytest.approx(20)
    assert scores["QRS.offset.error_sd_ms"] == pytest.approx(np.std([0, 10, 50], ddof=1))
    assert math.isnan(scores["P.onset.error_mean_ms"])
    assert scores["P.onset.ppv"] == 0


def test_tolerance_decides() -> None:
    late = moved(REFERENCE, 0.1)
    assert score(REFERENCE, late, 0.15)["T.onset.sensitivity"] == 1
    assert score(REFERENCE, late, 0.04)["T.onset.sensitivity"] == 0


def test_each_boundary_is_counted_alone() -> None:
    wide = [replace(wave, offset_s=9.0) if wave.kind == "T" else wave for wave in REFERENCE]
    scores = score(REFERENCE, wide)
    assert scores["T.onset.f1"] == 1
    assert scores["T.offset.f1"] == 0
    assert scores["T.f1"] == pytest.approx(2 * 3 / (2 * 3 + 0 + 3))


def test_a_wave_too_many_is_false_and_one_too_few_is_missed() -> None:
    extra = Wave("II", "P", 2.7, 2.75, 2.8)
    counts = boundary_counts(
        REFERENCE, [*REFERENCE[1:], extra], tolerance_s=0.15, span=annotated_span(REFERENCE)
    )
    assert counts["P", "onset"] == Counts(2, 1, 1, (0.0, 0.0))
    assert counts["QRS", "onset"].fp == 0


def test_kinds_do_not_match_each_other() -> None:
    renamed = [replace(wave, kind="T") for wave in REFERENCE if wave.kind == "P"]
    scores = score([wave for wave in REFERENCE if wave.kind == "P"], renamed)
    assert scores["P.sensitivity"] == 0
    assert scores["T.ppv"] == 0


@given(st.permutations(list(range(9))), st.permutations(list(range(9))))
@settings(max_examples=20)
def test_the_order_of_waves_does_not_matter(one: list[int], two: list[int]) -> None:
    late = moved(REFERENCE, 0.013)
    shuffled = score([REFERENCE[i] for i in one], [late[i] for i in two])
    assert shuffled == score(REFERENCE, late)


def test_boundaries_refuse() -> None:
    with pytest.raises(ValueError, match="reference waves must be of one lead, not of I, II"):
        boundary_counts([*REFERENCE, *beat(5, "I")], [], tolerance_s=0.1, span=(0, 10))
    with pytest.raises(ValueError, match="estimate waves must be of one lead"):
        boundary_counts([], [*REFERENCE, *beat(5, None)], tolerance_s=0.1, span=(0, 10))
    with pytest.raises(ValueError, match="inside an ordered span"):
        boundary_counts(REFERENCE, [], tolerance_s=0.1, span=(0, 2))
    with pytest.raises(ValueError, match="inside an ordered span"):
        boundary_counts([], [], tolerance_s=0.1, span=(2, 0))
    with pytest.raises(ValueError, match="span is None"):
        boundary_counts(REFERENCE, [], tolerance_s=0.1, span=None)


# LUDB's convention: what lies outside a lead's first and last mark has no truth.


def test_span_is_first_to_last_mark_of_any_sort() -> None:
    assert annotated_span(QRS_ONLY) == pytest.approx((1.16, 3.26))
    half = [Wave("II", "QRS", None, 0.9, None), *QRS_ONLY]
    assert annotated_span(half) == pytest.approx((0.9, 3.26))
    assert annotated_span([]) is None


def test_unmarked_waves_before_and_after_are_not_false() -> None:
    # the P before the first QRS and the T after the last are there but not marked
    inner = [wave for wave in REFERENCE if (wave.onset_s or 0) >= 1.16][:-1]
    scores = score(inner, REFERENCE)
    assert scores["P.ppv"] == scores["T.ppv"] == scores["P.sensitivity"] == 1


def test_far_outside_is_ignored_and_inside_is_false() -> None:
    far = [Wave("II", "QRS", 0.1, 0.2, 0.3), Wave("II", "QRS", 8.0, 8.1, 8.2)]
    assert score(QRS_ONLY, [*QRS_ONLY, *far])["QRS.ppv"] == 1
    inside = Wave("II", "QRS", 1.6, 1.65, 1.7)
    assert score(QRS_ONLY, [*QRS_ONLY, inside])["QRS.ppv"] == pytest.approx(3 / 4)


def test_just_outside_may_match() -> None:
    early = moved(QRS_ONLY, -0.1)
    assert score(QRS_ONLY, early)["QRS.onset.sensitivity"] == 1


def test_the_margin_is_150_ms_whatever_the_tolerance() -> None:
    early = moved(QRS_ONLY[:1], -0.2)
    assert score(QRS_ONLY[:1], early, 0.5)["QRS.onset.sensitivity"] == 0
    assert score(QRS_ONLY[:1], moved(early, 0.05), 0.5)["QRS.onset.sensitivity"] == 1


def test_just_outside_without_partner_is_not_false() -> None:
    near = Wave("II", "QRS", 1.05, 1.08, 1.1)
    counts = boundary_counts(
        QRS_ONLY,
        [near, *QRS_ONLY],
        tolerance_s=0.04,
        span=annotated_span(QRS_ONLY),
    )
    assert counts["QRS", "onset"].fp == counts["QRS", "offset"].fp == 0


def test_a_boundary_left_out_is_neither_missed_nor_false() -> None:
    half = [replace(wave, onset_s=None) if i == 4 else wave for i, wave in enumerate(REFERENCE)]
    counts = boundary_counts(half, REFERENCE, tolerance_s=0.15, span=annotated_span(half))
    assert counts["QRS", "onset"] == Counts(2, 0, 0, (0.0, 0.0))
    assert counts["QRS", "offset"].tp == 3


def test_a_boundary_left_out_excuses_no_other_wave() -> None:
    half = [replace(wave, onset_s=None) if i == 4 else wave for i, wave in enumerate(REFERENCE)]
    elsewhere = Wave("II", "QRS", 2.65, 2.7, 2.75)
    counts = boundary_counts(
        half, [*REFERENCE, elsewhere], tolerance_s=0.15, span=annotated_span(half)
    )
    assert counts["QRS", "onset"].fp == 1


def test_a_lead_without_marks_judges_nothing() -> None:
    counts = boundary_counts([], REFERENCE, tolerance_s=0.15, span=annotated_span([]))
    assert all(one == Counts(0, 0, 0) for one in counts.values())
    assert math.isnan(wave_scores([counts])["P.f1"])


def test_a_wholly_annotated_lead_without_waves_makes_all_false() -> None:
    counts = boundary_counts([], REFERENCE, tolerance_s=0.15, span=(0, 10))
    assert counts["T", "offset"] == Counts(0, 3, 0)


def test_scores_pool_the_leads() -> None:
    full = {boundary: Counts(3, 0, 0, (0.01, 0.02, 0.03)) for boundary in BOUNDARIES}
    poor = {boundary: Counts(1, 3, 1, (0.04,)) for boundary in BOUNDARIES}
    scores = wave_scores([full, poor])
    assert scores["P.onset.sensitivity"] == pytest.approx(4 / 5)
    assert scores["P.onset.ppv"] == pytest.approx(4 / 7)
    assert scores["P.ppv"] == pytest.approx(8 / 14)
    assert scores["P.onset.error_mean_ms"] == pytest.approx(25)
    assert scores["P.onset.error_sd_ms"] == pytest.approx(np.std([10, 20, 30, 40], ddof=1))


def test_tallies_of_many_resamples_score_at_once() -> None:
    one = tally(boundary_counts(REFERENCE, REFERENCE[1:], tolerance_s=0.15, span=(0, 10)))
    many = tally_scores(np.stack([one, 2 * one, 0 * one]))
    assert many["P.onset.sensitivity"][:2] == pytest.approx([2 / 3, 2 / 3])
    assert np.isnan(many["P.onset.sensitivity"][2])


def test_one_hit_has_no_spread() -> None:
    one = {boundary: Counts(1, 0, 0, (0.01,)) for boundary in BOUNDARIES}
    assert math.isnan(wave_scores([one])["P.onset.error_sd_ms"])


def test_names_cover_kinds_and_boundaries() -> None:
    kinds: tuple[WaveKind, ...] = ("P", "QRS", "T")
    names = {f"{kind}{side}.f1" for kind in kinds for side in ("", ".onset", ".offset")}
    assert names <= set(score(REFERENCE, REFERENCE))


def test_sums_refuse() -> None:
    with pytest.raises(ValueError, match="at least one lead"):
        wave_scores([])
    with pytest.raises(ValueError, match=r"\(\.\.\., 6, 5\)"):
        tally_scores(np.zeros((5, 6)))


def test_known_overlap() -> None:
    values = dice(LABELS, GUESS, INSIDE)
    assert values == pytest.approx([2 * 2 / (2 + 3), 2 * 1 / (2 + 1), 2 * 2 / (3 + 2), 0])


def test_outside_changes_nothing() -> None:
    changed = GUESS.copy()
    changed[-1] = 1
    expected = dice(LABELS, GUESS, INSIDE)
    np.testing.assert_array_equal(dice(LABELS, changed, INSIDE), expected)


def test_perfect_is_one_and_absent_is_nan() -> None:
    values = dice(LABELS, LABELS, INSIDE)
    assert values[:3].tolist() == [1, 1, 1]
    assert np.isnan(values[3])


def test_counts_add_up_over_records() -> None:
    parts = [
        dice_counts(LABELS[cut], GUESS[cut], INSIDE[cut]) for cut in (slice(0, 3), slice(3, 8))
    ]
    expected = dice(LABELS, GUESS, INSIDE)
    np.testing.assert_array_equal(dice_scores(parts[0] + parts[1]), expected)


def test_leads_by_samples() -> None:
    both = np.stack([LABELS, GUESS])
    counts = dice_counts(both, both, np.ones(both.shape, dtype=bool))
    assert counts.sum(axis=0).tolist() == [16, 16, 16]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_dice_is_symmetric_and_blind_to_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, two = rng.integers(0, 4, (2, 30))
    inside = rng.random(30) < 0.7
    order = rng.permutation(30)
    expected = dice(one, two, inside)
    np.testing.assert_array_equal(dice(two, one, inside), expected)
    np.testing.assert_array_equal(dice(one[order], two[order], inside[order]), expected)


def test_dice_refuse() -> None:
    with pytest.raises(ValueError, match="one shape"):
        dice(LABELS, GUESS[:-1], INSIDE)
    with pytest.raises(ValueError, match="inside must be boolean"):
        dice(LABELS, GUESS, INSIDE.astype(int))
    with pytest.raises(ValueError, match="estimate labels must be integers"):
        dice(LABELS, GUESS * 1.0, INSIDE)
    with pytest.raises(ValueError, match=r"estimate labels must be 0\.\.2"):
        dice(LABELS, GUESS, INSIDE, classes=3)
    with pytest.raises(ValueError, match=r"reference labels must be 0\.\.3"):
        dice(LABELS - 1, GUESS, INSIDE)
