"""Rhythm spans: one course over the record, and nothing said where little is known."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from fascicle.decode.rhythm import (
    find_rhythms,
    leave_out_p,
    likeliest_course,
    named_by_rhythm,
    rhythm_doubts,
    with_runs,
)
from fascicle.labels import SCP, SNOMED
from fascicle.record import Beat, BeatKind, Diagnosis, Rhythm, Wave

KINDS = ("sinus", "AF", "VT")
FRAME_S = 0.256


def shares(*parts: tuple[int, int], sure: float = 0.9) -> NDArray[np.float32]:
    """Return probabilities (3, frame) of (kind, frames) one after the other."""
    rest = (1 - sure) / 2
    rows = [np.full((frames, 3), rest) for _, frames in parts]
    for (kind, _), row in zip(parts, rows, strict=True):
        row[:, kind] = sure
    return np.concatenate(rows).T.astype(np.float32)


def test_each_rhythm_is_a_span() -> None:
    found = find_rhythms(shares((0, 200), (1, 400), (0, 100)), 700 * FRAME_S, KINDS)
    assert [span.kind for span in found] == ["sinus", "AF", "sinus"]
    assert found[0].start_s == 0
    assert found[-1].end_s == pytest.approx(700 * FRAME_S)
    assert found[1].start_s == pytest.approx(200 * FRAME_S, abs=1)
    assert found[1].end_s == pytest.approx(600 * FRAME_S, abs=1)


def test_a_blink_changes_nothing() -> None:
    found = find_rhythms(shares((0, 100), (1, 16), (0, 100)), 216 * FRAME_S, KINDS)
    assert [span.kind for span in found] == ["sinus"]


def test_a_lower_price_finds_more_changes() -> None:
    wavering = shares(*[(place % 2, 16) for place in range(20)], sure=0.6)
    spans = [len(find_rhythms(wavering, 320 * FRAME_S, KINDS, price)) for price in (0.1, 100.0)]
    assert spans[0] > spans[1] == 0  # one course of all is half right: not sure enough


def test_doubt_is_not_told() -> None:
    assert find_rhythms(shares((1, 40), sure=0.4), 10.0, KINDS) == ()
    assert [s.kind for s in find_rhythms(shares((1, 40), sure=0.6), 10.0, KINDS)] == ["AF"]
    assert find_rhythms(shares((1, 40), sure=0.6), 10.0, KINDS, sure=0.7) == ()


def test_a_short_record_has_no_rhythm() -> None:
    assert find_rhythms(shares((0, 18)), 4.6, KINDS) == ()
    assert find_rhythms(shares((0, 20)), 5.1, KINDS) != ()
    assert find_rhythms(np.zeros((3, 0), np.float32), 9.0, KINDS) == ()


def test_tachycardia_may_come_in_runs_where_others_last() -> None:
    for kind, told in ((2, True), (1, False)):
        parts = shares((0, 100), (kind, 20), (0, 100), sure=0.998)
        found = find_rhythms(parts, 220 * FRAME_S, KINDS)
        assert (len(found) == 3) == told


def test_spans_are_in_order_and_apart() -> None:
    rng = np.random.default_rng(0)
    noisy = np.repeat(rng.dirichlet(np.ones(3) / 3, 200).T, 30, axis=1).astype(np.float32)
    found = find_rhythms(noisy, 6000 * FRAME_S, KINDS)
    assert len(found) > 20
    assert all(a.end_s <= b.start_s for a, b in pairwise(found))
    assert all(0 <= span.start_s < span.end_s <= 6000 * FRAME_S + 1e-6 for span in found)


def test_the_course_is_the_best_of_all() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        log = np.log(rng.dirichlet(np.ones(3), 6).T)
        every = np.indices((3,) * 6).reshape(6, -1).T
        half = rng.uniform(0, 2, 3)
        changes = (half[every[:, 1:]] + half[every[:, :-1]]) * (np.diff(every) != 0)
        worth = log[every, np.arange(6)].sum(axis=1) - changes.sum(axis=1)
        assert likeliest_course(log, half).tolist() == every[worth.argmax()].tolist()


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.zeros((2, 9), np.float32), "3 kinds"),
        (np.zeros(9, np.float32), "3 kinds"),
        (np.full((3, 9), 4, np.float32), "are these logits"),
        (np.full((3, 9), -1, np.float32), "are these logits"),
    ],
)
def test_what_is_no_probability_is_refused(
    probabilities: NDArray[np.float32], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find_rhythms(probabilities, 10.0, KINDS)


def test_fibrillation_and_flutter_have_no_p_waves() -> None:
    rhythms = [Rhythm(0, 2, "sinus"), Rhythm(2, 4, "AF"), Rhythm(6, 8, "flutter")]
    waves = [Wave("II", kind, s, s + 0.05, s + 0.1) for kind in ("P", "QRS") for s in range(9)]
    left = leave_out_p(waves, rhythms)
    assert [wave.onset_s for wave in left if wave.kind == "P"] == [0, 1, 4, 5, 8]
    assert [wave for wave in left if wave.kind == "QRS"] == waves[9:]
    assert leave_out_p(waves, []) == tuple(waves)


@pytest.mark.parametrize(
    ("rhythm", "known"),
    [("paced", "QQVFQ"), ("AF", "NNVFQ"), ("flutter", "NNVFQ"), ("sinus", "NSVFQ")],
)
def test_a_beat_has_a_kind_that_its_rhythm_knows(rhythm: str, known: str) -> None:
    rhythms = [Rhythm(0.0, 3.0, "SVT"), Rhythm(3.0, 9.0, rhythm)]
    kinds: list[BeatKind] = ["N", "S", "N", "S", "V", "F", "Q"]
    beats = [Beat(time_s, kind, 0.9) for time_s, kind in enumerate(kinds, 1)]
    named = named_by_rhythm(beats, rhythms)
    assert "".join(beat.kind for beat in named) == "NS" + known
    assert [beat.time_s for beat in named] == [beat.time_s for beat in beats]
    assert named_by_rhythm(beats, rhythms[:1]) == tuple(beats)


AF = Diagnosis("164889003", SNOMED, "atrial fibrillation", 0.81, 0.5)
SINUS = Diagnosis("426177001", SNOMED, "sinus bradycardia", 0.62, 0.5)
LVH = Diagnosis("164873001", SNOMED, "left ventricular hypertrophy", 0.9, 0.5)
OTHER_SYSTEM = Diagnosis("AFIB", SCP, "atrial fibrillation", 0.81, 0.5)
ABSENT = Diagnosis("164889003", SNOMED, "atrial fibrillation", 0.4, 0.5)


def test_rhythm_and_diagnoses_that_say_otherwise_are_doubtful() -> None:
    (doubt,) = rhythm_doubts([Rhythm(0, 10, "sinus")], [LVH, AF])
    assert "rhythm is sinus" in doubt
    assert "atrial fibrillation (81%)" in doubt
    assert "hypertrophy" not in doubt


@pytest.mark.parametrize(
    ("kinds", "diagnoses"),
    [
        (["AF"], [AF, LVH]),
        (["sinus", "AF"], [AF]),  # paroxysmal
        (["sinus"], [AF, SINUS]),  # diagnoses that disagree among themselves say nothing
        (["sinus"], [LVH]),
        (["sinus"], [ABSENT]),
        (["sinus"], [OTHER_SYSTEM]),
        (["other"], [SINUS]),  # such as AV block
        (["VT"], [SINUS]),  # a run, and nothing else is known
        ([], [AF]),
    ],
)
def test_nothing_is_doubtful_where_both_agree_or_one_is_silent(
    kinds: list[str], diagnoses: list[Diagnosis]
) -> None:
    spans = [Rhythm(10.0 * place, 10.0 * place + 10, kind) for place, kind in enumerate(kinds)]
    assert rhythm_doubts(spans, diagnoses) == []


def beats_of(kinds: str, step_s: float = 0.5) -> list[Beat]:
    """Return a beat of each letter; "." is a beat that lacks."""
    return [
        Beat(step_s * place, cast(BeatKind, kind))
        for place, kind in enumerate(kinds)
        if kind != "."
    ]


SINUS_TO_10 = (Rhythm(0, 10, "sinus"),)


def test_three_fast_beats_of_the_ventricles_are_a_tachycardia_until_the_next_beat() -> None:
    found = with_runs(SINUS_TO_10, beats_of("NNVVVVNNVVN"))
    assert found == (Rhythm(0, 1, "sinus"), Rhythm(1, 3, "VT"), Rhythm(3, 10, "sinus"))


def test_runs_of_the_atria_are_one_too() -> None:
    found = with_runs(SINUS_TO_10, beats_of("NSSSNVVVN"))
    assert [(span.kind, span.start_s, span.end_s) for span in found[1:4]] == [
        ("SVT", 0.5, 2.0), ("sinus", 2.0, 2.5), ("VT", 2.5, 4.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "step_s", "rhythm"),
    [
        ("NVVN", 0.5, "sinus"),  # a couplet
        ("NVVVN", 0.62, "sinus"),  # idioventricular
        ("NVSVN", 0.5, "sinus"),
        ("NVVVN", 0.5, "paced"),
        ("NSSSN", 0.5, "AF"),
        ("NSSSN", 0.5, "flutter"),
        ("", 0.5, "sinus"),
    ],
)
def test_what_is_no_run(kinds: str, step_s: float, rhythm: str) -> None:
    spans = (Rhythm(0, 10, rhythm),)
    assert with_runs(spans, beats_of(kinds, step_s)) == spans


def test_a_run_ends_with_its_last_beat_where_no_beat_follows_soon() -> None:
    assert with_runs(SINUS_TO_10, beats_of("NVVV...N"))[1] == Rhythm(0.5, 2.0, "VT")
    assert with_runs(SINUS_TO_10, beats_of("NVVV"))[1:] == (
        Rhythm(0.5, 2.0, "VT"), Rhythm(2.0, 10, "sinus"),
    )  # fmt: skip


def test_a_run_in_what_is_told_as_one_changes_nothing() -> None:
    spans = (Rhythm(0, 1, "sinus"), Rhythm(1, 4, "VT"), Rhythm(4, 10, "sinus"))
    assert with_runs(spans, beats_of("NN.VVVFNN")) == spans


def test_a_run_stands_in_time_of_no_known_rhythm_and_takes_the_place_of_many() -> None:
    spans = (Rhythm(0, 0.7, "sinus"), Rhythm(1, 1.5, "other"), Rhythm(2.2, 9, "AF"))
    assert with_runs(spans, beats_of("NVVVVVN")) == (
        Rhythm(0, 0.5, "sinus"), Rhythm(0.5, 3.0, "VT"), Rhythm(3.0, 9, "AF"),
    )  # fmt: skip
