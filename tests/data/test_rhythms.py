"""Beats set into another rhythm stay beats, at the times and of the kinds that are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fascicle.data.augment import Augmentation
from fascicle.data.batch import Aim, Group, Row, make_batch
from fascicle.data.pack import Entry, Pack, open_pack, write_pack
from fascicle.data.rhythms import (
    EARLY,
    NORMAL,
    RHYTHMS,
    SHORTEST_S,
    VENTRICULAR,
    in_other_rhythm,
    rearrange,
)
from fascicle.data.targets import rhythm_target
from fascicle.labels import rhythm_classes
from fascicle.record import BEAT_KINDS, LEADS, Rhythm
from fascicle.signal.chain import Preprocessing
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


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """Return a pack of one record: two leads of two minutes of sinus rhythm."""
    record = synthesize("sinus", seed=2, duration_s=120.0, rate_hz=RATE_HZ)
    rows = [LEADS.index("II"), LEADS.index("V1")]
    two = replace(record, signal=record.signal[rows].copy(), leads=("II", "V1"))
    folder: Path = tmp_path_factory.mktemp("rhythms")
    write_pack(folder, [("a/1", "a/1", "a", 0)], lambda _: two, Preprocessing(rate_hz=RATE_HZ))
    return open_pack(folder)


def others(
    pack: Pack, entry: Entry, count: int = 12
) -> Iterator[tuple[NDArray[np.float32], Entry]]:
    """Yield windows of ten seconds in other rhythms, with what is known of each window alone."""
    for seed in range(count):
        made = in_other_rhythm(pack, entry, 10_000, 2500, np.random.default_rng(seed))
        assert made is not None
        signal, told, start = made
        assert 0 <= start <= told.samples - 2500
        times = [(b, b.time_s - start / RATE_HZ) for b in told.beats]
        inside = tuple(replace(b, time_s=t) for b, t in times if 0.1 <= t < 9.9)
        yield signal, replace(told, beats=inside)


def test_a_window_in_another_rhythm_has_its_beats_where_they_are_told(pack: Pack) -> None:
    for signal, told in others(pack, pack.entries[0]):
        assert signal.shape == (12, 2500)
        assert not signal[LEADS.index("V6")].any()  # it was not recorded
        lead = np.abs(signal[LEADS.index("II")])
        assert 4 < len(told.beats) < 25
        tall = [lead[round(b.time_s * RATE_HZ) - 3 :][:7].max() for b in told.beats]
        assert np.median(tall) > 3 * np.median(lead)


def test_fibrillation_is_marked_and_the_rest_stays_sinus_rhythm(pack: Pack) -> None:
    marks = {told.rhythms[0].kind for _, told in others(pack, pack.entries[0])}
    assert marks == {"AFIB", "N"}
    for _, told in others(pack, pack.entries[0], 3):
        assert told.labels == {}
        assert "waves" not in told.annotated
    unmarked = replace(pack.entries[0], rhythms=())
    assert all(told.rhythms == () for _, told in others(pack, unmarked, 3))


def test_only_sinus_rhythm_with_beats_is_set_into_another(pack: Pack) -> None:
    entry, rng = pack.entries[0], np.random.default_rng(0)
    for change in (
        {"rhythms": (Rhythm(0.0, 45.0, "N"), Rhythm(45.0, 120.0, "AFIB"))},
        {"rhythms": (Rhythm(0.0, 120.0, "B"),)},
        {"beats": ()},
        {"beats": entry.beats[:5]},
    ):
        assert in_other_rhythm(pack, replace(entry, **change), 10_000, 2500, rng) is None


def test_batches_teach_the_rhythm_that_they_hold(pack: Pack) -> None:
    group = Group(pack, pack.entries, ("rhythm",), 8)
    rows = [Row(group, pack.entries[0], 10_000, (1, seed)) for seed in range(8)]
    aims = {"rhythm": Aim(rhythm_target, rhythm_classes())}
    still = Augmentation(gain=1, baseline_mv=0, noise_mv=0, lead_set=0, lead_drop=0)
    plain = make_batch(rows, 2500, aims, still)
    other = make_batch(rows, 2500, aims, replace(still, other_rhythms=1.0))
    assert not plain.targets["rhythm"].any()
    assert set(other.targets["rhythm"].flatten().tolist()) == {0, 1}  # sinus rhythm, AF
    assert other.weights["rhythm"].min() == 1
    assert not any((a == b).all() for a, b in zip(plain.signal, other.signal, strict=True))
    half = make_batch(rows, 2500, aims, replace(still, other_rhythms=0.5))
    changed = [not (a == b).all() for a, b in zip(plain.signal, half.signal, strict=True)]
    assert 0 < sum(changed) < 8
