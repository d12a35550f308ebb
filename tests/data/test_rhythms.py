"""Beats set into another rhythm stay beats, at the times and of the kinds that are told."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fascicle.data.rhythms import EARLY, NORMAL, RHYTHMS, SHORTEST_S, VENTRICULAR, rearrange
from fascicle.record import BEAT_KINDS, LEADS
from fascicle.synth import synthesize

RATE_HZ = 250.0
Found = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.intp]]


@pytest.fixture(scope="module")
def known() -> Found:
    """Return two leads, R peaks and kinds of two minutes with ventricular beats."""
    record = synthesize("pvc", seed=1, duration_s=120.0, rate_hz=RATE_HZ)
    rows = [LEADS.index("II"), LEADS.index("V5")]
    times = np.array([beat.time_s for beat in record.beats])
    kinds = np.array([BEAT_KINDS.index(beat.kind) for beat in record.beats], dtype=np.intp)
    return record.signal[rows], times, kinds


def run(known: Found, rhythm: str, seed: int = 0) -> Found:
    return rearrange(*known, rhythm, RATE_HZ, np.random.default_rng(seed))


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_r_peaks_stand_where_they_are_told(known: Found, rhythm: str) -> None:
    signal, times, kinds = run(known, rhythm)
    assert signal.dtype == np.float32
    assert np.isfinite(signal).all()
    assert len(times) == len(kinds) == len(known[1])
    assert signal.shape == (2, signal.shape[1])
    assert times[-1] < signal.shape[1] / RATE_HZ
    assert np.diff(times).min() >= SHORTEST_S - 1 / RATE_HZ
    old, new = (np.rint(t * RATE_HZ).astype(int) for t in (known[1], times))
    likeness = [
        np.corrcoef(signal[0, b - 10 : b + 11], known[0][0, a - 10 : a + 11])[0, 1]
        for a, b in zip(old[1:-1], new[1:-1], strict=True)
    ]
    assert np.mean(np.array(likeness) > 0.95) > 0.9


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_the_seed_decides_all(known: Found, rhythm: str) -> None:
    one, two, other = run(known, rhythm), run(known, rhythm), run(known, rhythm, 1)
    for mine, same in zip(one, two, strict=True):
        np.testing.assert_array_equal(mine, same)
    assert not np.array_equal(one[1], other[1])


def test_early_beats_come_from_normal_ones_and_come_early(known: Found) -> None:
    changed = 0
    for seed in range(5):
        _, times, kinds = run(known, "early", seed)
        different = kinds != known[2]
        assert (kinds[different] == EARLY).all()
        assert (known[2][different] == NORMAL).all()
        shorter = np.diff(times) < 0.97 * np.diff(known[1])
        assert shorter[different[1:]].mean() > 0.9
        changed += int(different.sum())
    assert changed > 20


def test_fibrillation_is_irregular_has_no_early_beats_and_no_p(known: Found) -> None:
    signal, old, kinds = known
    some = kinds.copy()
    some[np.flatnonzero(kinds == NORMAL)[::3]] = EARLY
    made_signal, times, made = rearrange(
        signal, old, some, "fibrillation", RATE_HZ, np.random.default_rng(4)
    )
    assert not (made == EARLY).any()
    np.testing.assert_array_equal(made == VENTRICULAR, kinds == VENTRICULAR)
    normal = kinds == NORMAL
    assert np.std(np.log(np.diff(times)[normal[1:]])) > np.std(np.log(np.diff(old)[normal[1:]]))
    p_parts = []
    for data, peaks in ((signal, old), (made_signal, times)):
        place = np.rint(peaks[normal][2:-2] * RATE_HZ).astype(int)
        p_parts.append(np.mean([data[:, p - 50 : p - 20] for p in place], axis=0))
    assert np.ptp(p_parts[1], axis=1)[0] < 0.5 * np.ptp(p_parts[0], axis=1)[0]


def test_breathing_keeps_every_kind(known: Found) -> None:
    _, times, kinds = run(known, "breathing")
    np.testing.assert_array_equal(kinds, known[2])
    assert not np.allclose(np.diff(times), np.diff(known[1]), rtol=0.01)


def test_refuses_too_few_beats_and_wrong_order(known: Found) -> None:
    signal, times, kinds = known
    with pytest.raises(ValueError, match="found 3"):
        rearrange(signal, times[:3], kinds[:3], "early", RATE_HZ, np.random.default_rng(0))
    with pytest.raises(ValueError, match="ascend"):
        rearrange(signal, times[::-1], kinds, "early", RATE_HZ, np.random.default_rng(0))
    with pytest.raises(KeyError):
        rearrange(signal, times, kinds, "polka", RATE_HZ, np.random.default_rng(0))
