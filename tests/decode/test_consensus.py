from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.decode.consensus import consensus
from fascicle.record import LEADS, Wave, WaveKind


def shifted(wave: Wave, lead: str, onset_s: float, offset_s: float) -> Wave:
    assert wave.onset_s is not None
    assert wave.offset_s is not None
    return replace(
        wave, lead=lead, onset_s=wave.onset_s + onset_s, offset_s=wave.offset_s + offset_s
    )


def wave(onset_s: float, offset_s: float, kind: WaveKind = "QRS", probability: float = 1.0) -> Wave:
    return Wave("x", kind, onset_s, (onset_s + offset_s) / 2, offset_s, probability)


@pytest.mark.parametrize("count", [1, 2, 3, 12])
@pytest.mark.parametrize("bpm", [30, 75, 220])
def test_leads_that_agree_give_their_waves(
    count: int, bpm: int, sinus: Callable[..., list[Wave]]
) -> None:
    truth = sinus(bpm, 20)
    found = consensus({lead: [replace(w, lead=lead) for w in truth] for lead in LEADS[:count]})
    assert [w.kind for w in found] == [w.kind for w in truth]
    assert {w.lead for w in found} == {None}
    for ours, theirs in zip(found, truth, strict=True):
        assert ours.onset_s == pytest.approx(theirs.onset_s)
        assert ours.peak_s == pytest.approx(theirs.peak_s)
        assert ours.offset_s == pytest.approx(theirs.offset_s)


@pytest.mark.parametrize(
    ("leads", "with_wave", "stands"),
    [(1, 1, True), (2, 1, True), (3, 1, False), (3, 2, True), (12, 5, False), (12, 6, True)],
)
def test_half_of_the_leads_must_agree(leads: int, with_wave: int, stands: bool) -> None:
    waves = {
        lead: [wave(1.0, 1.1)] if i < with_wave else [] for i, lead in enumerate(LEADS[:leads])
    }
    assert len(consensus(waves)) == stands


def test_waves_that_only_follow_each_other_do_not_agree() -> None:
    apart = {"I": [wave(1.0, 1.1)], "II": [wave(1.2, 1.3)], "V1": []}
    assert consensus(apart) == ()
    touching = {"I": [wave(1.0, 1.1)], "II": [wave(1.1, 1.2)], "V1": []}
    assert len(consensus(touching)) == 0  # no stretch in which both stand


def test_global_boundaries_are_the_outer_ones_but_for_a_stray_lead() -> None:
    qrs = wave(1.0, 1.1)
    steps = np.arange(12) / 1000
    waves = {lead: [shifted(qrs, lead, s, -s)] for lead, s in zip(LEADS, steps, strict=True)}
    (found,) = consensus(waves)
    assert found.onset_s == pytest.approx(1.0011)  # the tenth part of eleven steps
    assert found.offset_s == pytest.approx(1.0989)
    waves["I"] = [shifted(qrs, "I", -0.5, 0.5)]
    (stray,) = consensus(waves)
    assert abs((stray.onset_s or 0) - 1.0) < 0.002
    assert abs((stray.offset_s or 0) - 1.1) < 0.002
    (outer,) = consensus(waves, stray=0)
    assert (outer.onset_s, outer.offset_s) == (0.5, 1.6)


def test_two_leads_give_nearly_the_outer_boundaries() -> None:
    (found,) = consensus({"I": [wave(1.0, 1.10)], "II": [wave(1.02, 1.12)]})
    assert found.onset_s == pytest.approx(1.002)
    assert found.offset_s == pytest.approx(1.118)


def test_the_probability_is_the_mean_of_the_leads_that_show_the_wave() -> None:
    waves = {"I": [wave(1, 1.1, probability=0.6)], "II": [wave(1, 1.1, probability=0.8)], "III": []}
    assert consensus(waves)[0].probability == pytest.approx(0.7)


def test_p_yields_to_qrs_and_meets_t_in_the_middle() -> None:
    waves = {
        "I": [wave(0.0, 0.3, "T"), wave(0.4, 0.5, "P"), wave(0.56, 0.6)],
        "II": [wave(0.0, 0.2, "T"), wave(0.2, 0.58, "P"), wave(0.5, 0.6)],
    }
    found = consensus(waves, stray=0)
    assert [(w.kind, w.onset_s, w.offset_s) for w in found] == [
        ("T", 0.0, 0.25),
        ("P", 0.25, 0.5),
        ("QRS", 0.5, 0.6),
    ]


def test_a_wave_that_others_cover_is_left_out() -> None:
    waves = {"I": [wave(0.7, 0.8, "P"), wave(0.77, 0.79)], "II": [wave(0.75, 0.78, "T")]}
    found = consensus(waves, stray=0)
    assert [(w.kind, w.onset_s, w.offset_s) for w in found] == [
        ("P", 0.7, 0.77),
        ("QRS", 0.77, 0.79),
    ]


def test_nothing_in_nothing_out() -> None:
    assert consensus({}) == ()
    assert consensus({"I": [], "II": []}) == ()


@pytest.mark.parametrize(("share", "stray"), [(0.0, 0.1), (1.1, 0.1), (0.5, -0.1), (0.5, 0.6)])
def test_impossible_shares_are_refused(share: float, stray: float) -> None:
    with pytest.raises(ValueError, match="share"):
        consensus({}, share, stray)


def test_a_wave_without_boundary_is_refused() -> None:
    with pytest.raises(ValueError, match="all three times"):
        consensus({"I": [Wave("I", "P", None, 0.1, 0.2)]})


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(0, 40))
def test_any_waves_give_waves_in_order_without_overlap(seed: int, leads: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    waves: dict[str, list[Wave]] = {}
    for lead in LEADS[:leads]:
        edges = np.sort(generator.random(2 * count)).reshape(-1, 2).tolist()
        kinds: list[WaveKind] = generator.choice(["P", "QRS", "T"], count).tolist()
        waves[lead] = [wave(a, b, kind) for (a, b), kind in zip(edges, kinds, strict=True)]
    before = 0.0
    for found in consensus(waves):
        assert found.onset_s is not None
        assert found.peak_s is not None
        assert found.offset_s is not None
        assert before <= found.onset_s <= found.peak_s <= found.offset_s
        assert found.onset_s < found.offset_s
        before = found.offset_s
