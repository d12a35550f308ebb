from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.decode.beats import find_beats, leave_out_qrs, opinion_pool
from fascicle.record import BEAT_KINDS, Beat, Wave

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


@pytest.mark.parametrize("samples", [0, 1])
def test_very_short_records(samples: int) -> None:
    found = find_beats(np.ones(samples, np.float32), flat(samples), RATE_HZ)
    assert [beat.time_s for beat in found] == [0.0] * samples


@settings(max_examples=50)
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


def both_voices(said: dict[float, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return bumps, and probabilities of QRS of 100 ms, of these heights at these times."""
    samples = 1500
    detection, qrs = np.zeros((2, samples), np.float32)
    clock = np.arange(samples) / RATE_HZ
    for time_s, (bump, height) in said.items():
        detection = np.maximum(detection, np.float32(bump) * bumps([time_s], samples, 1.0))
        qrs[np.abs(clock - time_s) <= 0.05] = height
    return detection, qrs


def times_of(detection: np.ndarray, qrs: np.ndarray | None) -> list[float]:
    found = find_beats(detection, flat(detection.size), RATE_HZ, qrs=qrs)
    return [round(beat.time_s, 2) for beat in found]


def test_the_surer_voice_tells_whether_a_qrs_is_a_beat() -> None:
    detection, qrs = both_voices(
        {1.0: (0.9, 0.9), 2.0: (0.2, 0.97), 3.0: (0.9, 0.02), 4.0: (0.2, 0.6), 5.0: (0.97, 0.2)}
    )
    assert times_of(detection, None) == [1.0, 3.0, 5.0]
    assert times_of(detection, qrs) == [1.0, 2.0, 5.0]


def test_a_beat_lasts_as_long_as_a_narrow_qrs() -> None:
    detection, qrs = both_voices({1.0: (0.7, 0.9), 3.0: (0.7, 0.9)})
    qrs[round(3.0 * RATE_HZ) + 2 :] = 0
    assert times_of(detection, qrs) == [1.0, 3.0]
    qrs[: round(2.985 * RATE_HZ)] = 0  # 20 ms are left
    assert times_of(detection, qrs) == []


def test_of_two_qrs_that_are_too_close_the_surer_is_a_beat() -> None:
    detection, qrs = both_voices({1.0: (0.9, 0.9), 1.2: (0.9, 0.95), 1.5: (0.9, 0.9)})
    assert times_of(detection, qrs) == [1.2, 1.5]


def test_the_bump_tells_where_in_its_qrs_the_r_peak_is() -> None:
    detection, _ = both_voices({1.03: (0.9, 0.0)})
    _, qrs = both_voices({1.0: (0.0, 0.9)})
    (time_s,) = times_of(detection, qrs)
    assert time_s == pytest.approx(1.03, abs=0.011)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_a_pool_lies_between_its_voices_in_any_order(voices: list[float]) -> None:
    column = np.array(voices, np.float32)[:, None]
    (pooled,) = opinion_pool(column)
    low, high = np.clip([min(voices), max(voices)], 0.01, 0.99)
    assert low - 1e-5 <= pooled <= high + 1e-5
    assert opinion_pool(column[::-1]) == pytest.approx(pooled, abs=1e-6)


def test_opposite_voices_cancel_and_a_sure_one_wins() -> None:
    pooled = opinion_pool(np.array([[0.8, 0.97], [0.2, 0.2]], np.float32))
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, [0.5, 0.7398], atol=1e-4)


def test_a_qrs_without_a_beat_is_left_out() -> None:
    waves = [
        Wave("I", "QRS", 0.95, 1.0, 1.05),
        Wave("I", "T", 1.6, 1.7, 1.8),
        Wave("I", "QRS", 2.2, 2.25, 2.3),
        Wave("V1", "QRS", 1.06, 1.1, 1.15),
        Wave("V1", "QRS", 0.8, 0.85, 0.89),
    ]
    beats = [Beat(0.999, "N"), Beat(2.41, "V")]
    assert leave_out_qrs(waves, beats) == (waves[0], waves[1], waves[3])
    assert leave_out_qrs(waves, ()) == (waves[1],)
    assert leave_out_qrs((), beats) == ()


def test_qrs_must_match() -> None:
    with pytest.raises(ValueError, match="qrs"):
        find_beats(np.zeros(9, np.float32), flat(9), RATE_HZ, qrs=np.zeros(8, np.float32))
    with pytest.raises(ValueError, match="probabilities"):
        find_beats(np.zeros(9, np.float32), flat(9), RATE_HZ, qrs=np.full(9, 2, np.float32))


def test_no_peak_at_all_is_no_beat() -> None:
    nothing = np.zeros(0, np.float32)
    assert find_beats(nothing, flat(0), RATE_HZ, qrs=nothing) == ()
    assert times_of(*both_voices({2.0: (0.0, 0.9)})) == []
