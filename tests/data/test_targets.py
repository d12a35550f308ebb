"""Targets: exact places, and no weight where nothing is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fascicle.data.pack import Entry
from fascicle.data.targets import (
    BUMP_S,
    NO_P,
    RHYTHM_WEIGHT,
    SOME_P,
    beat_class_target,
    beats_target,
    labels_target,
    rhythm_target,
    timing_target,
    waves_target,
)
from fascicle.labels import Term, Vocabulary, rhythm_classes
from fascicle.record import LEADS, Beat, Rhythm, Wave

Make = Callable[..., Entry]
NONE, P, QRS, T = 0, 1, 2, 3
BEAT = (
    Wave("II", "P", 1.0, 1.04, 1.08),
    Wave("II", "QRS", 1.2, 1.24, 1.28),
    Wave("II", "T", 1.4, 1.5, 1.6),
)


def _spans(values: NDArray[Any]) -> list[tuple[int, int]]:
    """Return first and last place of each run that is not 0."""
    padded = np.concatenate([[0], values != 0, [0]])
    edges = np.flatnonzero(np.diff(padded))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_waves_stand_from_onset_to_offset_in_their_lead(entry: Make) -> None:
    target, weight = waves_target(entry(waves=BEAT), 0, 600, 250.0, None)
    assert target.dtype == weight.dtype == np.float32
    assert target.shape == weight.shape == (12, 600)
    row = target[LEADS.index("II")]
    assert _spans(row == P) == [(250, 270)]
    assert _spans(row == QRS) == [(300, 320)]
    assert _spans(row == T) == [(350, 400)]
    others = [i for i, lead in enumerate(LEADS) if lead != "II"]
    assert not target[others].any()


def test_a_lead_counts_from_its_first_mark_to_its_last(entry: Make) -> None:
    waves = (*BEAT, Wave("V1", "QRS", 1.21, 1.24, 1.27))
    _, weight = waves_target(entry(waves=waves), 0, 600, 250.0, None)
    assert _spans(weight[LEADS.index("II")]) == [(250, 400)]
    assert _spans(weight[LEADS.index("V1")]) == [(303, 317)]
    unmarked = [i for i, lead in enumerate(LEADS) if lead not in ("II", "V1")]
    assert not weight[unmarked].any()


def test_boundaries_between_samples_round_inwards(entry: Make) -> None:
    waves = (Wave("I", "QRS", 0.1009, 0.12, 0.1391),)
    target, weight = waves_target(entry(waves=waves), 0, 100, 250.0, None)
    assert _spans(target[0]) == _spans(weight[0]) == [(26, 34)]  # 25.2 to 34.8


def test_a_wave_without_onset_casts_doubt_before_its_peak(entry: Make) -> None:
    waves = (
        Wave("II", "QRS", 1.0, 1.04, 1.08),
        Wave("II", "T", None, 1.5, 1.6),
        Wave("II", "QRS", 2.0, 2.04, 2.08),
    )
    target, weight = waves_target(entry(waves=waves), 0, 600, 250.0, None)
    assert _spans(target[1] == T) == [(375, 400)]
    assert _spans(weight[1]) == [(250, 324), (376, 520)]  # 1.3 to 1.5 s is unsure


def test_a_wave_without_offset_casts_doubt_after_its_peak(entry: Make) -> None:
    waves = (Wave("II", "T", 1.0, 1.1, None), Wave("II", "P", 1.5, 1.54, 1.58))
    target, weight = waves_target(entry(waves=waves), 0, 600, 250.0, None)
    assert _spans(target[1] == T) == [(250, 275)]
    assert _spans(weight[1]) == [(250, 274), (326, 395)]


@pytest.mark.parametrize(
    "wave",
    [
        Wave("II", "T", None, None, 1.5),
        Wave("II", "T", 1.5, None, None),
        Wave("II", "T", None, None, None),
    ],
)
def test_a_wave_without_peak_and_boundary_is_not_drawn(entry: Make, wave: Wave) -> None:
    whole = (Wave("II", "QRS", 1.0, 1.04, 1.08), wave, Wave("II", "QRS", 2.0, 2.04, 2.08))
    target, _ = waves_target(entry(waves=whole), 0, 600, 250.0, None)
    assert not (target == T).any()


@settings(max_examples=40)
@given(start=st.integers(0, 700), samples=st.integers(1, 700))
def test_a_window_cuts_waves_and_weights_as_it_cuts_the_signal(
    entry: Make, start: int, samples: int
) -> None:
    known = (*BEAT, Wave("V6", "T", None, 2.0, 2.1), Wave("V6", "QRS", 1.2, 1.23, 1.3))
    beats = (Beat(1.24, "V"), Beat(2.2, "N"))
    made = entry(waves=known, beats=beats, annotated=frozenset({"beats"}))
    for function in (waves_target, beats_target):
        whole = function(made, 0, 1400, 250.0, None)
        part = function(made, start, samples, 250.0, None)
        for big, small in zip(whole, part, strict=True):
            assert np.array_equal(big[:, start : start + samples], small)


def test_bumps_stand_exactly_on_the_peaks(entry: Make) -> None:
    beats = (Beat(1.0, "N"), Beat(2.001, "V"))
    known = entry(beats=beats, annotated=frozenset({"beats"}))
    target, weight = beats_target(known, 100, 600, 250.0, None)
    clock = (100 + np.arange(600)) / 250
    near_one, near_two = np.abs(clock - 1.0) < 0.1001, np.abs(clock - 2.001) < 0.1001
    assert target[0, near_one] == pytest.approx(
        np.exp(-0.5 * ((clock[near_one] - 1.0) / BUMP_S) ** 2), abs=1e-6
    )
    assert target[0, near_two] == pytest.approx(
        np.exp(-0.5 * ((clock[near_two] - 2.001) / BUMP_S) ** 2), abs=1e-6
    )
    assert target[0, 150] == 1
    assert target[0, 400] == pytest.approx(np.exp(-0.5 * (0.001 / BUMP_S) ** 2))
    assert (target[0, ~near_one & ~near_two] == 0).all()
    assert (weight[0] == 1).all()


def test_kinds_count_only_near_the_peak(entry: Make) -> None:
    beats = (Beat(1.0, "N"), Beat(2.0, "V"), Beat(2.5, "Q"))
    known = entry(beats=beats, annotated=frozenset({"beats"}))
    target, weight = beats_target(known, 0, 800, 250.0, None)
    assert _spans(weight[1]) == [(235, 265), (485, 515), (610, 640)]  # 60 ms to each side
    assert set(target[1, 235:266]) == {0}
    assert set(target[1, 485:516]) == {2}
    assert set(target[1, 610:641]) == {4}


def test_beats_outside_the_window_reach_in(entry: Make) -> None:
    known = entry(beats=(Beat(0.98, "V"), Beat(3.0, "N")), annotated=frozenset({"beats"}))
    target, weight = beats_target(known, 250, 250, 250.0, None)
    assert target[0, 0] == pytest.approx(np.exp(-0.5))
    assert _spans(weight[1]) == [(0, 10)]
    assert target[0, 30:].max() == 0


def test_annotated_without_a_beat_teaches_that_there_is_none(entry: Make) -> None:
    target, weight = beats_target(entry(annotated=frozenset({"beats"})), 0, 300, 250.0, None)
    assert not target.any()
    assert (weight[0] == 1).all()
    assert not weight[1].any()


def test_an_unannotated_record_teaches_nothing(entry: Make) -> None:
    target, weight = beats_target(entry(beats=()), 0, 300, 250.0, None)
    assert not target.any()
    assert not weight.any()
    target, weight = waves_target(entry(), 0, 300, 250.0, None)
    assert not target.any()
    assert not weight.any()


def test_padding_beyond_the_end_teaches_nothing(entry: Make) -> None:
    known = entry(beats=(Beat(1.99, "V"),), samples=500, annotated=frozenset({"beats"}))
    _, weight = beats_target(known, 300, 400, 250.0, None)
    assert (weight[0, :200] == 1).all()
    assert _spans(weight[1]) == [(183, 199)]
    assert (weight[:, 200:] == 0).all()


def test_qrs_peaks_teach_where_beats_are_where_only_waves_are_marked(entry: Make) -> None:
    peaks = {"I": 1.00, "II": 1.01, "III": 1.03}
    waves = tuple(
        Wave(lead, "QRS", peak + later - 0.04, peak + later, peak + later + 0.04)
        for later in (0.0, 1.0)
        for lead, peak in peaks.items()
    )
    waves += (Wave("I", "T", 1.3, 1.35, 1.4), Wave("I", "QRS", 1.6, 1.62, 1.64))  # one lead of 3
    target, weight = beats_target(entry(waves=waves), 0, 700, 250.0, None)
    clock = np.arange(700) / 250
    expected = np.maximum(*(np.exp(-0.5 * ((clock - peak) / BUMP_S) ** 2) for peak in (1.01, 2.01)))
    assert target[0] == pytest.approx(np.where(expected > 4e-6, expected, 0), abs=1e-5)
    assert _spans(weight[0]) == [(223, 532)]  # 120 ms before the first to 120 ms after the last
    assert not weight[1].any()


VOCABULARY = Vocabulary(
    (
        Term("SCP-ECG", "NORM", "normal"),
        Term("SCP-ECG", "AFIB", "fibrillation"),
        Term("SNOMED-CT", "426783006", "sinus rhythm"),
    )
)


@pytest.mark.parametrize(
    ("labels", "target", "known"),
    [
        ({}, [0, 0, 0], [0, 0, 0]),
        ({"SCP-ECG": frozenset({"AFIB", "XYZ"})}, [0, 1, 0], [1, 1, 0]),
        ({"SNOMED-CT": frozenset()}, [0, 0, 0], [0, 0, 1]),
        (
            {"SCP-ECG": frozenset({"NORM"}), "SNOMED-CT": frozenset({"426783006"})},
            [1, 0, 1],
            [1, 1, 1],
        ),
    ],
)
def test_labels_are_known_where_their_system_is(
    entry: Make, labels: dict[str, frozenset[str]], target: list[int], known: list[int]
) -> None:
    found, weight = labels_target(entry(labels=labels), 17, 40, 250.0, VOCABULARY)
    assert found.dtype == weight.dtype == np.float32
    assert found.tolist() == target
    assert weight.tolist() == known


def test_the_beat_in_the_middle_of_the_window_is_the_target(entry: Make) -> None:
    made = entry(beats=(Beat(1.0, "N", symbol="N"), Beat(2.0, "V", symbol="V")))
    classes = Vocabulary(tuple(Term("x", name, name) for name in ("normal", "abnormal")))
    target, weight = beat_class_target(made, 125, 250, 250.0, classes)  # centre at 1.0 s
    assert target.tolist() == [1, 0]
    assert weight.tolist() == [1]
    assert beat_class_target(made, 380, 250, 250.0, classes)[0].tolist() == [0, 1]
    assert target.dtype == weight.dtype == np.float32


def test_a_beat_of_no_class_weighs_nothing(entry: Make) -> None:
    made = entry(beats=(Beat(1.0, "N", symbol="N"),))
    classes = Vocabulary(tuple(Term("x", name, name) for name in ("NSVT", "AFIB")))
    target, weight = beat_class_target(made, 125, 250, 250.0, classes)
    assert target.tolist() == [0, 0]
    assert weight.tolist() == [0]


def test_timing_is_how_early_this_beat_and_the_next_one_come(entry: Make) -> None:
    times = [*range(10), 9.6, 11.0, *range(12, 20)]  # at 9.6 s a beat that is 0.4 s early
    made = entry(beats=tuple(Beat(float(t), "N") for t in times))
    target, weight = timing_target(made, round(9.6 * 250) - 125, 250, 250.0, None)
    np.testing.assert_allclose(target, [-0.4, 0.4], atol=1e-6)
    assert weight.tolist() == [1]
    assert timing_target(made, 4 * 250 - 125, 250, 250.0, None)[0].tolist() == [0, 0]
    far = entry(beats=tuple(Beat(float(t), "N") for t in [*range(9), 20, 21, 22]))
    assert timing_target(far, 20 * 250 - 125, 250, 250.0, None)[0].tolist() == [1, 0]  # clipped


@pytest.mark.parametrize("time_s", [1.0, 3.0])
def test_first_and_last_beats_have_no_timing(entry: Make, time_s: float) -> None:
    made = entry(beats=tuple(Beat(float(t), "N") for t in (1, 2, 3)))
    target, weight = timing_target(made, round(time_s * 250) - 125, 250, 250.0, None)
    assert target.tolist() == [0, 0]
    assert weight.tolist() == [0]
    alone = entry(beats=(Beat(1.0, "N"),))
    assert timing_target(alone, 125, 250, 250.0, None)[1].tolist() == [0]


KINDS = rhythm_classes()
SINUS, AF = 0, 1


def test_rhythm_marks_hold_from_one_to_the_next(entry: Make) -> None:
    spans = (Rhythm(0.5, 3.0, "AFIB"), Rhythm(3.0, 6.0, "B"), Rhythm(6.0, 10.0, "SBR"))
    made = entry(rhythms=spans, annotated=frozenset({"rhythms"}), samples=2500)
    target, weight = rhythm_target(made, 0, 2500, 250.0, KINDS)
    assert target.dtype == weight.dtype == np.float32
    assert target.shape == weight.shape == (1, 2500)
    assert _spans(weight[0]) == [(125, 749), (1500, 2499)]  # nobody says on what B stands
    assert (target[0, 125:750] == AF).all()
    assert (target[0, 1500:] == SINUS).all()
    later, known = rhythm_target(made, 700, 900, 250.0, KINDS)
    assert np.array_equal(later[0, :50], target[0, 700:750])
    assert _spans(known[0]) == [(0, 49), (800, 899)]


def test_rhythms_beyond_the_record_are_unknown(entry: Make) -> None:
    spans = (Rhythm(0.0, 10.0, "N"),)
    made = entry(rhythms=spans, annotated=frozenset({"rhythms"}), samples=1000)
    assert _spans(rhythm_target(made, 900, 300, 250.0, KINDS)[1][0]) == [(0, 99)]
    assert not rhythm_target(made, 1000, 300, 250.0, KINDS)[1].any()


def test_a_mark_that_nobody_knows_teaches_nothing(entry: Make) -> None:
    spans = (Rhythm(0.0, 2.0, "XYZ"),)
    made = entry(rhythms=spans, annotated=frozenset({"rhythms"}))
    assert not rhythm_target(made, 0, 500, 250.0, KINDS)[1].any()


def test_a_statement_teaches_every_second_and_marks_go_before_it(entry: Make) -> None:
    said = {"SNOMED-CT": frozenset({"164889003"})}
    target, weight = rhythm_target(entry(labels=said, samples=600), 0, 1000, 250.0, KINDS)
    assert _spans(weight[0]) == [(0, 599)]
    assert (target[0, :600] == AF).all()
    marked = entry(labels=said, rhythms=(Rhythm(0, 1, "N"),), annotated=frozenset({"rhythms"}))
    target, weight = rhythm_target(marked, 0, 500, 250.0, KINDS)
    assert _spans(weight[0]) == [(0, 249)]
    assert not target.any()
    both = entry(labels={"SNOMED-CT": frozenset({"164889003", "426783006"})})
    assert not rhythm_target(both, 0, 500, 250.0, KINDS)[1].any()


def test_rhythms_tell_whether_there_are_p_waves(entry: Make) -> None:
    marks = (Rhythm(0.0, 1.0, "N"), Rhythm(1.0, 1.4, "AFIB"), Rhythm(1.4, 9.0, "B"))
    known = entry(rhythms=marks, annotated=frozenset({"rhythms"}), leads=("II", "V1"))
    target, weight = waves_target(known, 125, 300, 250.0, None)
    lead = LEADS.index("V1")
    assert set(target[lead, :125]) == {SOME_P}
    assert set(target[lead, 125:225]) == {NO_P}
    assert _spans(weight[lead]) == [(0, 224)]
    assert set(weight[lead, :225]) == {np.float32(RHYTHM_WEIGHT)}
    assert not weight[LEADS.index("I")].any()


def test_a_statement_about_rhythm_teaches_p_waves_unless_waves_are_marked(entry: Make) -> None:
    said = {"SNOMED-CT": frozenset({"164889003"})}
    target, weight = waves_target(entry(labels=said, annotated=frozenset()), 0, 300, 250.0, None)
    assert set(target[weight > 0]) == {NO_P}
    target, weight = waves_target(entry(labels=said, waves=BEAT), 0, 300, 250.0, None)
    assert NO_P not in target
    assert weight.any()
