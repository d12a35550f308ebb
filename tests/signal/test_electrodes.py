from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fascicle.record import LEADS, Record, Signal
from fascicle.signal.electrodes import (
    SWAPS,
    electrode_beat,
    has_chest,
    named_swap,
    swap_probabilities,
    swap_thresholds,
    swapped_electrodes,
)
from fascicle.signal.leads import select_leads
from fascicle.synth import Noise, synthesize


def heart(seed: int = 1, condition: str = "sinus", rate_hz: float = 500.0) -> Record:
    return synthesize(condition, seed=seed, rate_hz=rate_hz, duration_s=10.0, noise=Noise())


def swapped(record: Record, swap: str, off_mv: float = 0.002) -> Record:
    """Return what a machine records of wrong wires; the right leg is the left leg plus noise."""
    one, two = record.lead("I"), record.lead("II")
    noise = (off_mv * np.random.default_rng(0).normal(size=one.size)).astype(np.float32)
    body: Mapping[str, Signal] = {"RA": 0 * one, "LA": one, "LL": two, "RL": two + noise}
    first, second = swap.split("/")
    wired = {**body, first: body[second], second: body[first]}
    moved = sum(body[arm] - wired[arm] for arm in ("RA", "LA", "LL")) / 3
    limbs = np.stack([wired["LA"] - wired["RA"], wired["LL"] - wired["RA"]])
    rest = np.stack([limbs[1] - limbs[0], -limbs.sum(axis=0) / 2])
    last = np.stack([limbs[0] - limbs[1] / 2, limbs[1] - limbs[0] / 2])
    signal = np.concatenate([limbs, rest, last, record.signal[6:] + moved])
    return replace(record, signal=signal.astype(np.float32))


@pytest.mark.parametrize("rate_hz", [100.0, 257.0, 500.0])
@pytest.mark.parametrize("swap", SWAPS)
def test_each_swap_is_named_with_its_evidence(swap: str, rate_hz: float) -> None:
    text = swapped_electrodes(swapped(heart(rate_hz=rate_hz), swap))
    assert text is not None
    assert text.startswith(f"electrodes of {SWAPS[swap]} seem swapped: ")
    assert "mV" in text


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("condition", ["sinus", "af"])
def test_electrodes_in_place_raise_no_hint(condition: str, seed: int) -> None:
    record = heart(seed, condition)
    assert swapped_electrodes(record) is None
    assert swapped_electrodes(select_leads(record, LEADS[:6])) is None


def test_the_evidence_names_the_waves_that_point_down() -> None:
    text = swapped_electrodes(swapped(heart(), "LA/RA"))
    assert text is not None
    assert "P and QRS -" in text
    assert "correlation with what V1 to V6 predict -" in text
    flat = swapped_electrodes(swapped(heart(), "RA/RL"))
    assert flat is not None
    assert "lead II is nearly flat (rms 0.00" in flat


@pytest.mark.parametrize("swap", ["LA/RA", "RA/LL"])
def test_fibrillation_without_p_still_shows_swaps(swap: str) -> None:
    found = [swap_of(swapped(heart(seed, "af"), swap)) for seed in range(6)]
    assert found.count(swap) >= 4


def swap_of(record: Record) -> str | None:
    beat = electrode_beat(record)
    assert beat is not None
    return named_swap(swap_probabilities(beat), swap_thresholds(has_chest(beat)))


def test_a_fast_rhythm_is_judged_without_its_p() -> None:
    record = synthesize("sinus", seed=1, rate_hz=250.0, duration_s=10.0, heart_rate_bpm=150.0)
    text = swapped_electrodes(swapped(record, "LA/RA"))
    assert text is not None
    assert "swapped: QRS -" in text
    assert swapped_electrodes(record) is None


def test_limb_leads_alone_suffice_for_the_plain_swaps() -> None:
    for swap in ("RA/RL", "LA/RL", "LA/RA"):
        text = swapped_electrodes(select_leads(swapped(heart(), swap), ("I", "II")))
        assert text is not None
        assert SWAPS[swap] in text
        assert "V1" not in text


@pytest.mark.parametrize("lead", ["V1", "V6"])
def test_one_lost_chest_lead_leaves_the_limb_leads(lead: str) -> None:
    record = swapped(heart(), "LA/RA")
    for lost in (0.0, np.nan):
        signal = record.signal.copy()
        signal[LEADS.index(lead)] = lost
        beat = electrode_beat(replace(record, signal=signal))
        assert beat is not None
        assert not has_chest(beat)


@pytest.mark.parametrize("lead", ["I", "II"])
def test_without_both_limb_leads_there_is_no_hint(lead: str) -> None:
    record = swapped(heart(), "LA/RA")
    kept = [name for name in LEADS if name != lead]
    assert swapped_electrodes(select_leads(record, kept)) is None
    for lost in (0.0, np.nan):
        signal = record.signal.copy()
        signal[LEADS.index(lead)] = lost
        assert swapped_electrodes(replace(record, signal=signal)) is None


def test_silence_few_beats_and_low_rates_give_no_hint() -> None:
    record = swapped(heart(), "LA/RA")
    assert swapped_electrodes(replace(record, signal=record.signal * 0)) is None
    assert swapped_electrodes(replace(record, signal=record.signal[:, :1000])) is None
    assert swapped_electrodes(replace(record, signal=record.signal[:, :1])) is None
    assert swapped_electrodes(replace(record, rate_hz=90.0)) is None


@pytest.mark.parametrize("condition", ["sinus", "af", "flutter", "vt", "paced"])
def test_probabilities_are_finite_and_sum_to_at_most_one(condition: str) -> None:
    record = heart(2, condition)
    gaps = record.signal.copy()
    gaps[:, 1000:1200] = np.nan
    beat = electrode_beat(replace(record, signal=gaps))
    assert beat is not None
    found = swap_probabilities(beat)
    assert list(found) == list(SWAPS)
    assert all(0 <= share <= 1 for share in found.values())
    assert sum(found.values()) <= 1


def test_only_the_most_probable_swap_is_named() -> None:
    thresholds = {"LA/RA": 0.9, "LA/LL": 0.5}
    assert named_swap({"LA/RA": 0.91, "LA/LL": 0.05}, thresholds) == "LA/RA"
    assert named_swap({"LA/RA": 0.52, "LA/LL": 0.48}, thresholds) is None
    assert named_swap({"LA/RA": 0.45, "LA/LL": 0.5}, thresholds) == "LA/LL"


def test_every_swap_has_its_threshold() -> None:
    for chest in (True, False):
        thresholds = swap_thresholds(chest)
        assert set(thresholds) == set(SWAPS)
        assert all(0.5 < limit < 1 for limit in thresholds.values())
