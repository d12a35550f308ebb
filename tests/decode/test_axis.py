from __future__ import annotations

import numpy as np
import pytest

from fascicle.decode.axis import frontal_axis

RATE_HZ = 500.0
ONSET_S = np.array([1.0, 2.0, 3.0])
OFFSET_S = ONSET_S + 0.08


def limb_leads(angle_deg: float, level_mv: float = 0.0) -> dict[str, np.ndarray]:
    """Return I and aVF of a heart vector of 1 mV: projections, aVF shortened to sqrt(3) / 2."""
    across = np.full(2000, level_mv, np.float32)
    down = np.full(2000, -level_mv, np.float32)
    for start in (500, 1000, 1500):
        across[start : start + 40] += np.cos(np.radians(angle_deg))
        down[start : start + 40] += np.sin(np.radians(angle_deg)) * np.sqrt(3) / 2
    return {"I": across, "aVF": down}


@pytest.mark.parametrize("angle_deg", [-150, -90, -31, 0, 45, 60, 90, 135, 179])
def test_the_angle_comes_back_whatever_the_level(angle_deg: float) -> None:
    for level_mv in (0.0, 0.7):
        axis, reason = frontal_axis(limb_leads(angle_deg, level_mv), RATE_HZ, ONSET_S, OFFSET_S)
        assert axis is not None
        assert reason == ""
        assert axis.value == pytest.approx(angle_deg, abs=0.1)
        assert axis.sd == pytest.approx(0, abs=0.1)
        assert not np.signbit(axis.sd)
        assert axis.beats == 3


def test_scatter_across_the_half_turn_is_small() -> None:
    leads = limb_leads(180)
    leads["aVF"][1000:1040] += 0.1
    leads["aVF"][1500:1540] -= 0.1
    axis, _ = frontal_axis(leads, RATE_HZ, ONSET_S, OFFSET_S)
    assert axis is not None
    assert abs(axis.value) == pytest.approx(180, abs=1)
    assert 2 < axis.sd < 8


@pytest.mark.parametrize("lead", ["I", "aVF"])
def test_a_missing_lead_is_named(lead: str) -> None:
    leads = limb_leads(30)
    del leads[lead]
    axis, reason = frontal_axis(leads, RATE_HZ, ONSET_S, OFFSET_S)
    assert axis is None
    assert reason.endswith(f"missing {lead}")


def test_no_direction_without_net_area() -> None:
    leads = {"I": np.zeros(2000, np.float32), "aVF": np.zeros(2000, np.float32)}
    axis, reason = frontal_axis(leads, RATE_HZ, ONSET_S, OFFSET_S)
    assert axis is None
    assert "indeterminate" in reason


def test_missing_samples_and_cut_beats_are_left_out() -> None:
    leads = limb_leads(60)
    leads["I"][1010] = np.nan
    late = np.append(OFFSET_S, 4.5)
    axis, _ = frontal_axis(leads, RATE_HZ, np.append(ONSET_S, 3.98), late)
    assert axis is not None
    assert axis.beats == 2


def test_no_beat_no_axis() -> None:
    axis, reason = frontal_axis(limb_leads(60), RATE_HZ, np.zeros(0), np.zeros(0))
    assert axis is None
    assert reason == "no QRS to measure"
