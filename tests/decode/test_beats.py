from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.decode.beats import find_beats
from fascicle.record import BEAT_KINDS, Beat

RATE_HZ = 250.0


def bumps(times: list[float], samples: int, height: float = 0.95) -> np.ndarray:
    clock = np.arange(samples) / RATE_HZ
    rows = [height * np.exp(-0.5 * ((clock - time) / 0.02) ** 2) for time in times]
    return np.asarray(np.max([np.zeros(samples), *rows], axis=0), dtype=np.float32)


def kinds_of(letters: str, times: list[float], samples: int) -> np.ndarray:
    """Return softmax scores that are right near the beats and say F (wrongly) elsewhere."""
    scores = np.full((5, samples), 0.02, np.float32)
    scores[BEAT_KINDS.index("F")] = 0.92
    for letter, time in zip(letters, times, strict=True):
        near = slice(max(0, round((time - 0.06) * RATE_HZ)), round((time + 0.06) * RATE_HZ) + 1)
        scores[:, near] = 0.05
        scores[[kind == letter for kind in BEAT_KINDS], near] = 0.8
    return scores


def flat(samples: int) -> np.ndarray:
    return np.full((5, samples), 0.2, np.float32)


@pytest.mark.parametrize("bpm", [30, 60, 140, 220])
def test_known_beats_come_back(bpm: int) -> None:
    times = np.arange(0.4013, 19.5, 60 / bpm).tolist()
    letters = ("NSVFQ" * len(times))[: len(times)]
    found = find_beats(bumps(times, 5000), kinds_of(letters, times, 5000), RATE_HZ)
    assert "".join(beat.kind for beat in found) == letters
    np.testing.assert_allclose([beat.time_s for beat in found], times, atol=0.1 / RATE_HZ)
    assert all(0.65 < beat.probability < 0.8 for beat in found)  # 0.95 x 0.8


def test_below_threshold_is_no_beat() -> None:
    detection = bumps([1.0], 500, height=0.35)
    assert find_beats(detection, flat(500), RATE_HZ) == ()
    assert len(find_beats(detection, flat(500), RATE_HZ, threshold=0.3)) == 1


def test_the_higher_of_two_close_peaks_stays() -> None:
    detection = np.maximum(bumps([1.0], 500, 0.7), bumps([1.15], 500, 0.9))
    (beat,) = find_beats(detection, flat(500), RATE_HZ)
    assert beat.time_s == pytest.approx(1.15, abs=0.004)
    assert len(find_beats(detection, flat(500), RATE_HZ, refractory_s=0.1)) == 2


@pytest.mark.parametrize("time", [0.0, 1.996])
def test_a_beat_at_the_edge_is_a_beat(time: float) -> None:
    (beat,) = find_beats(bumps([time], 500), flat(500), RATE_HZ)
    assert beat.time_s == pytest.approx(time, abs=0.02)
    assert 0 <= beat.time_s <= 1.996


def test_a_saturated_top_gives_one_beat_in_its_middle() -> None:
    detection = np.zeros(500, np.float32)
    detection[240:261] = 1.0
    (beat,) = find_beats(detection, flat(500), RATE_HZ)
    assert beat.time_s == pytest.approx(1.0)


def test_the_signal_moves_the_beat_to_its_largest_deflection() -> None:
    signal = np.full(500, 3.0, np.float32)
    signal[254] = 1.0
    signal[300] = -9.0  # too far to belong to this beat
    (beat,) = find_beats(bumps([1.0], 500), flat(500), RATE_HZ, signal=signal)
    assert beat == Beat(254 / RATE_HZ, "N", beat.probability)


@pytest.mark.parametrize("samples", [0, 1])
def test_very_short_records(samples: int) -> None:
    found = find_beats(np.ones(samples, np.float32), flat(samples), RATE_HZ)
    assert [beat.time_s for beat in found] == [0.0] * samples


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 600))
def test_any_map_gives_ordered_beats(seed: int, samples: int) -> None:
    detection = np.random.default_rng(seed).random(samples, dtype=np.float32)
    times = [beat.time_s for beat in find_beats(detection, flat(samples), RATE_HZ)]
    assert times == sorted(times)
    assert all(0 <= time <= (samples - 1) / RATE_HZ for time in times)


@pytest.mark.parametrize(
    ("detection", "kinds", "rate_hz"),
    [
        (np.zeros((2, 9)), np.zeros((5, 9)), 250.0),
        (np.zeros(9), np.zeros((4, 9)), 250.0),
        (np.zeros(9), np.zeros((5, 8)), 250.0),
        (np.zeros(9), np.zeros((5, 9)), -1.0),
        (np.full(9, np.nan), np.zeros((5, 9)), 250.0),
        (np.zeros(9), np.full((5, 9), 7.0), 250.0),
    ],
)
def test_what_cannot_be_right_is_refused(
    detection: np.ndarray, kinds: np.ndarray, rate_hz: float
) -> None:
    with pytest.raises(ValueError):
        find_beats(detection.astype(np.float32), kinds.astype(np.float32), rate_hz)


def test_a_signal_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="signal"):
        find_beats(np.zeros(9, np.float32), flat(9), RATE_HZ, signal=np.zeros(8, np.float32))


def flanked(heights: dict[float, float], samples: int = 1500) -> np.ndarray:
    """Return bumps of these heights at these times."""
    made = np.zeros(samples, np.float32)
    for time_s, height in heights.items():
        made = np.maximum(made, np.float32(height) * bumps([time_s], samples))
    return made


def times_of(heights: dict[float, float], qrs: np.ndarray | None) -> list[float]:
    detection = flanked(heights)
    found = find_beats(detection, flat(detection.size), RATE_HZ, qrs=qrs)
    return [round(beat.time_s, 2) for beat in found]


def test_a_low_peak_counts_where_the_leads_agree_on_a_qrs() -> None:
    heights = {1.0: 0.9, 2.0: 0.2, 3.0: 0.05, 4.0: 0.9}
    assert times_of(heights, None) == [1.0, 4.0]
    assert times_of(heights, np.zeros(1500, np.float32)) == [1.0, 4.0]
    qrs = np.zeros(1500, np.float32)
    qrs[round(1.96 * RATE_HZ) : round(2.04 * RATE_HZ)] = 0.7  # the leads do not agree
    assert times_of(heights, qrs) == [1.0, 4.0]
    assert times_of(heights, np.ones(1500, np.float32)) == [1.0, 2.0, 4.0]


def test_a_low_peak_does_not_count_beside_another_beat() -> None:
    qrs = np.ones(1500, np.float32)
    assert times_of({1.0: 0.9, 1.35: 0.3}, qrs) == [1.0]
    assert times_of({1.0: 0.9, 1.45: 0.3}, qrs) == [1.0, 1.45]
    # of low peaks the highest comes first
    assert times_of({2.0: 0.2, 2.3: 0.4, 2.6: 0.3}, qrs) == [2.3]


def test_qrs_must_match() -> None:
    with pytest.raises(ValueError, match="qrs"):
        find_beats(np.zeros(9, np.float32), flat(9), RATE_HZ, qrs=np.zeros(8, np.float32))
    with pytest.raises(ValueError, match="probabilities"):
        find_beats(np.zeros(9, np.float32), flat(9), RATE_HZ, qrs=np.full(9, 2, np.float32))


def test_no_peak_at_all_is_no_beat() -> None:
    nothing = np.zeros(0, np.float32)
    assert find_beats(nothing, flat(0), RATE_HZ, qrs=nothing) == ()
    assert times_of({}, np.ones(1500, np.float32)) == []
