from __future__ import annotations

import numpy as np
import pytest

from fascicle.record import Signal
from fascicle.signal.median_beat import BEAT_HZ, BEFORE_S, median_beat


def train(rate_hz: float, rr_s: float, seconds: float = 10.0) -> Signal:
    """Return two leads of P and QRS; the second is half and upside down."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    row = np.zeros_like(time_s)
    for beat in np.arange(0.5, seconds, rr_s):
        row += np.exp(-(((time_s - beat) / 0.02) ** 2))
        row += 0.2 * np.exp(-(((time_s - beat + 0.15) / 0.03) ** 2))
    return np.stack([row, -row / 2]).astype(np.float32)


@pytest.mark.parametrize("rate_hz", [100.0, 257.0, 1000.0])
@pytest.mark.parametrize("rr_s", [0.4, 1.0])
def test_waves_keep_their_size_and_place(rate_hz: float, rr_s: float) -> None:
    found = median_beat(train(rate_hz, rr_s), rate_hz)
    assert found is not None
    assert found.rr_s == pytest.approx(rr_s, abs=0.01)
    middle = round(BEFORE_S * BEAT_HZ)
    assert abs(int(np.argmax(found.waves[0])) - middle) <= 2
    assert found.waves[0].max() == pytest.approx(0.9, abs=0.15)
    np.testing.assert_allclose(found.waves[1], -found.waves[0] / 2, atol=1e-4)


def test_one_odd_beat_changes_little() -> None:
    plain = train(250.0, 0.8)
    odd = plain.copy()
    odd[:, 1100:1300] += 0.8
    first, second = median_beat(plain, 250.0), median_beat(odd, 250.0)
    assert first is not None
    assert second is not None
    assert np.abs(first.waves - second.waves).max() < 0.1


def test_of_a_long_record_the_beginning_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fascicle.signal.median_beat.MOST_S", 6.0)
    early = train(100.0, 1.0)
    late = np.concatenate([early[:, :600], 5 * early[:, 600:]], axis=1)
    first, second = median_beat(early, 100.0), median_beat(late, 100.0)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.waves, second.waves)


def test_too_few_beats_or_a_low_rate_give_none() -> None:
    assert median_beat(train(250.0, 1.0, seconds=3.0), 250.0) is None
    assert median_beat(train(99.0, 1.0), 99.0) is None
    assert median_beat(np.zeros((2, 5000), np.float32), 250.0) is None
    assert median_beat(np.zeros((2, 1), np.float32), 250.0) is None
