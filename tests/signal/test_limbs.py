from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fascicle.record import LEADS, Record
from fascicle.signal.leads import select_leads
from fascicle.signal.limbs import limb_lead_mismatch


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


@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 500.0])
@pytest.mark.parametrize("angle_deg", [0.0, 30.0, 60.0])
def test_leads_that_agree_are_no_mismatch(angle_deg: float, rate_hz: float) -> None:
    assert limb_lead_mismatch(heart(angle_deg, rate_hz)) is None


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
