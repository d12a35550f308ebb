"""The typical beat is the median of the usual ones; numbers tell how beats follow each other."""

from __future__ import annotations

import numpy as np
import pytest

from fascicle.decode.typical import CLOCK_S, RHYTHM_NUMBERS, rhythm_numbers, typical_beat
from fascicle.record import BEAT_KINDS

N, S, V = (BEAT_KINDS.index(kind) for kind in "NSV")
RATE_HZ = 250.0


def pulses(heights: list[float], times: list[float], seconds: float = 10.0) -> np.ndarray:
    """Return two leads with a triangle of 40 ms at each time, in the second lead upside down."""
    clock = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    signal = sum(
        height * np.clip(1 - np.abs(clock - time_s) / 0.02, 0, None)
        for height, time_s in zip(heights, times, strict=True)
    )
    return np.stack([signal, -signal]).astype(np.float32)


def test_it_is_the_median_of_the_beats() -> None:
    times = [1.0, 2.0, 3.0, 4.0, 5.0]
    signal = pulses([1.0, 1.0, 1.0, 9.0, 1.0], times)
    beat = typical_beat(signal, np.array(times), np.full(5, N), RATE_HZ)
    assert beat.shape == (2, CLOCK_S.size)
    assert beat.dtype == np.float32
    peak = int(np.argmin(np.abs(CLOCK_S)))
    assert beat[0].argmax() == beat[1].argmin() == peak
    assert beat[0, peak] == pytest.approx(1.0, abs=0.05)
    assert np.abs(beat[:, np.abs(CLOCK_S) > 0.03]).max() < 1e-6


def test_ventricular_beats_count_only_where_there_are_no_others() -> None:
    times = np.array([1.0, 2.0, 3.0])
    signal = pulses([5.0, 1.0, 5.0], times.tolist())
    peak = int(np.argmin(np.abs(CLOCK_S)))
    mixed = typical_beat(signal, times, np.array([V, S, V]), RATE_HZ)
    assert mixed[0, peak] == pytest.approx(1.0, abs=0.05)
    alone = typical_beat(signal, times, np.full(3, V), RATE_HZ)
    assert alone[0, peak] == pytest.approx(5.0, abs=0.2)


def test_beats_at_the_ends_count_only_where_there_are_no_others() -> None:
    times = np.array([0.1, 5.0, 9.9])
    signal = pulses([5.0, 1.0, 5.0], times.tolist())
    peak = int(np.argmin(np.abs(CLOCK_S)))
    assert typical_beat(signal, times, np.full(3, N), RATE_HZ)[0, peak] < 1.1
    first = typical_beat(signal[:, :250], times[:1], np.full(1, N), RATE_HZ)
    assert first[0, peak] > 4
    assert np.isfinite(first).all()


@pytest.mark.parametrize(
    ("times", "kinds", "signal"),
    [
        (np.zeros(0), np.zeros(0, dtype=int), np.zeros((2, 100), np.float32)),
        (np.ones(2), np.zeros(1, dtype=int), np.zeros((2, 100), np.float32)),
        (np.ones(1), np.zeros(1, dtype=int), np.zeros((2, 0), np.float32)),
        (np.ones(1), np.zeros(1, dtype=int), np.zeros(100, np.float32)),
    ],
)
def test_what_cannot_be_is_refused(
    times: np.ndarray, kinds: np.ndarray, signal: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="are needed"):
        typical_beat(signal, times, kinds, RATE_HZ)


def told(times: list[float], kinds: list[int]) -> dict[str, float]:
    numbers = rhythm_numbers(np.array(times), np.array(kinds, dtype=int))
    assert numbers.dtype == np.float32
    return dict(zip(RHYTHM_NUMBERS, numbers.tolist(), strict=True))


def test_numbers_of_a_regular_rhythm() -> None:
    found = told([0.0, 0.5, 1.0, 1.5], [N, N, V, S])
    assert found["rr"] == pytest.approx(np.log(0.5))
    assert found["ventricular"] == found["supraventricular"] == 0.25
    for name in ("shortest", "longest", "spread", "jumps"):
        assert found[name] == pytest.approx(0, abs=1e-6)


def test_numbers_of_bigeminy() -> None:
    times = np.cumsum([0.0, 0.5, 1.0] * 4).tolist()
    found = told(times, [N] * len(times))
    assert found["jumps"] > 0.4
    assert found["shortest"] < 0 < found["longest"] + 1e-6
    assert found["spread"] > 0.3


@pytest.mark.parametrize("beats", [0, 1, 2])
def test_few_beats_leave_zeros(beats: int) -> None:
    found = told([0.8 * k for k in range(beats)], [N] * beats)
    assert np.isfinite(list(found.values())).all()
    assert found["jumps"] == 0
    assert (found["rr"] == 0) == (beats < 2)
