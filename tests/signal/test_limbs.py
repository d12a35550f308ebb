from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fascicle.record import LEADS, Record, Signal
from fascicle.signal.leads import select_leads
from fascicle.signal.limbs import limb_lead_mismatch, swapped_limb_leads


def heart(angle_deg: float = 50.0, rate_hz: float = 500.0, rr_s: float = 0.85) -> Record:
    """Ten seconds of twelve leads: P, QRS and T of one dipole with this axis, V leads like I."""
    time_s = np.arange(round(10 * rate_hz)) / rate_hz
    row = np.zeros_like(time_s)
    for beat in np.arange(0.5, 10, rr_s):
        for shift, width, height in ((-0.15, 0.025, 0.15), (0, 0.015, 1.0), (0.28, 0.05, 0.3)):
            row += height * np.exp(-(((time_s - beat - shift) / width) ** 2) / 2)
    one = np.cos(np.deg2rad(angle_deg)) * row
    two = np.cos(np.deg2rad(angle_deg - 60)) * row
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    signal = np.stack([*limbs, *[row] * 6]).astype(np.float32)
    signal += np.random.default_rng(0).normal(size=(1, time_s.size)).astype(np.float32) * 0.003
    return Record("a", signal, rate_hz, LEADS)


def with_limbs(record: Record, limbs: list[Signal]) -> Record:
    return replace(record, signal=np.concatenate([np.stack(limbs), record.signal[6:]]))


def arms_swapped(record: Record) -> Record:
    one, two, three, right, left, foot = record.signal[:6]
    return with_limbs(record, [-one, three, two, left, right, foot])


def arm_and_leg_swapped(record: Record) -> Record:
    one, two, three, right, left, foot = record.signal[:6]
    return with_limbs(record, [-three, -two, -one, foot, left, right])


@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 500.0])
@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 60.0])
def test_electrodes_in_place_raise_no_hint(angle_deg: float, rate_hz: float) -> None:
    record = heart(angle_deg, rate_hz)
    assert swapped_limb_leads(record) is None
    assert limb_lead_mismatch(record) is None


def test_swapped_arms_are_seen() -> None:
    assert swapped_limb_leads(arms_swapped(heart())) == "left and right arm"


def test_right_arm_and_left_leg_are_seen() -> None:
    assert swapped_limb_leads(arm_and_leg_swapped(heart())) == "right arm and left leg"


def test_a_heart_on_the_right_side_is_not_a_swap() -> None:
    mirrored = arms_swapped(heart())
    signal = mirrored.signal.copy()
    signal[6:] *= -0.3
    assert swapped_limb_leads(replace(mirrored, signal=signal)) is None


@pytest.mark.parametrize("missing", ["I", "aVR", "V6"])
def test_without_evidence_there_is_no_hint(missing: str) -> None:
    swapped = arms_swapped(heart())
    kept = [lead for lead in LEADS if lead != missing]
    assert swapped_limb_leads(select_leads(swapped, kept)) is None
    lost = swapped.signal.copy()
    lost[LEADS.index(missing)] = np.nan
    assert swapped_limb_leads(replace(swapped, signal=lost)) is None


def test_too_few_beats_and_silence_give_no_hint() -> None:
    swapped = arms_swapped(heart())
    assert swapped_limb_leads(replace(swapped, signal=swapped.signal[:, :1000])) is None
    assert swapped_limb_leads(replace(swapped, signal=swapped.signal * 0)) is None
    assert swapped_limb_leads(replace(swapped, signal=swapped.signal[:, :1])) is None


def test_a_fast_rhythm_gives_no_hint() -> None:
    assert swapped_limb_leads(arms_swapped(heart(rr_s=0.7))) == "left and right arm"
    assert swapped_limb_leads(arms_swapped(heart(rr_s=0.45))) is None


@pytest.mark.parametrize("lead", ["III", "aVR", "aVF"])
def test_an_inverted_limb_lead_is_named(lead: str) -> None:
    record = heart(80.0)
    signal = record.signal.copy()
    signal[LEADS.index(lead)] *= -1
    broken = replace(record, signal=signal)
    assert limb_lead_mismatch(broken) == f"leads I and II do not make up lead {lead}"
    assert limb_lead_mismatch(replace(broken, derived=frozenset({lead}))) is None


def test_gaps_and_absent_leads_are_no_mismatch() -> None:
    record = heart()
    signal = record.signal.copy()
    signal[2, 1000:2000] = np.nan
    assert limb_lead_mismatch(replace(record, signal=signal)) is None
    signal[0] = np.nan
    assert limb_lead_mismatch(replace(record, signal=signal)) is None
    assert limb_lead_mismatch(select_leads(record, ["II", "III"])) is None
    assert limb_lead_mismatch(select_leads(record, ["I", "II"])) is None
