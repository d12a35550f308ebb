"""A beat's features compare it with its own record: its amplitude, rate and number of leads."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from fascicle.decode import context
from fascicle.decode.context import (
    CLOCK_S,
    FEATURES,
    LIMIT,
    beat_features,
    cut_beats,
    join_kinds,
    write_kinds,
)
from fascicle.record import BEAT_KINDS, LEADS
from fascicle.synth import synthesize

RATE_HZ = 250.0
Floats = NDArray[np.float32]
Found = tuple[Floats, NDArray[np.float64], list[str], Floats]


@pytest.fixture(scope="module")
def found() -> Found:
    """Return signal, R peaks, kinds and perfect P waves of a record with ventricular beats."""
    record = synthesize("pvc", seed=3, duration_s=40.0, rate_hz=RATE_HZ)
    p_wave = np.zeros(record.signal.shape, dtype=np.float32)
    for wave in record.waves:
        if wave.kind == "P" and wave.onset_s is not None and wave.offset_s is not None:
            row = LEADS.index(str(wave.lead))
            p_wave[row, round(wave.onset_s * RATE_HZ) : round(wave.offset_s * RATE_HZ)] = 1
    times = np.array([beat.time_s for beat in record.beats])
    return record.signal, times, [beat.kind for beat in record.beats], p_wave


def column(features: Floats, name: str) -> Floats:
    return features[:, FEATURES.index(name)]


def test_early_wide_beats_without_p_stand_out(found: Found) -> None:
    signal, times, kinds, p_wave = found
    features = beat_features(signal, times, p_wave, RATE_HZ)
    early = np.array([kind == "V" for kind in kinds])
    assert 2 <= early.sum() < len(times) / 2
    assert features.shape == (len(times), len(FEATURES))
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= LIMIT
    for name, higher in (
        ("pre_usual", False), ("pre_post", False), ("record.wide_qrs.alike", False),
        ("near.wide_qrs.apart", True), ("relative_width", True), ("p", False),
        ("very_common", False),
    ):  # fmt: skip
        mine, others = column(features, name)[early], column(features, name)[~early]
        assert (np.median(mine) > np.median(others)) == higher, name


def test_gain_and_order_of_leads_change_nothing_and_rate_little(found: Found) -> None:
    signal, times, _, p_wave = found
    features = beat_features(signal, times, p_wave, RATE_HZ)
    other = beat_features(signal[::-1].copy(), times, p_wave[::-1].copy(), RATE_HZ)
    np.testing.assert_allclose(other, features, atol=1e-4)
    louder = beat_features(20 * signal, times, p_wave, RATE_HZ)
    quieter = beat_features(10 * signal, times, p_wave, RATE_HZ)
    assert np.median(np.abs(louder - quieter)) < 0.01
    finer = beat_features(
        np.repeat(signal, 2, axis=1), times, np.repeat(p_wave, 2, axis=1), 2 * RATE_HZ
    )
    assert np.median(np.abs(finer - features)) < 0.05


@pytest.mark.parametrize("blocks", [1, 3])
def test_beats_in_blocks_have_the_features_of_all_at_once(
    found: Found, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal, times, _, p_wave = found
    signal, p_wave = np.tile(signal, (1, 12)), np.tile(p_wave, (1, 12))
    times = np.concatenate([times + 40.0 * place for place in range(12)])
    assert times.size > 6 * context.BLOCK
    expected = beat_features(signal, times, p_wave, RATE_HZ)
    monkeypatch.setattr(context, "AT_ONCE", blocks * context.BLOCK)
    made = beat_features(list(signal), times, list(p_wave), RATE_HZ)
    apart = np.abs(made - expected)
    for name in ("very_common", "common"):  # rounding may move one beat over the limit
        assert apart[:, FEATURES.index(name)].max() < 0.01
        apart[:, FEATURES.index(name)] = 0
    assert apart.max() < 1e-5


def test_no_memory_of_the_size_of_the_signal_is_taken() -> None:
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((2, 2_000_000), dtype=np.float32)
    times = np.linspace(5.0, 7995.0, 100)
    beat_features(signal, times, signal, RATE_HZ)
    tracemalloc.start()
    try:
        beat_features(signal, times, signal, RATE_HZ)
        assert tracemalloc.get_traced_memory()[1] < signal.nbytes / 8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("beats", [0, 1, 2, 5])
@pytest.mark.parametrize("leads", [1, 2])
def test_any_number_of_beats_and_leads(found: Found, beats: int, leads: int) -> None:
    signal, times, _, p_wave = found
    features = beat_features(signal[:leads], times[:beats], p_wave[:leads], RATE_HZ)
    assert features.shape == (beats, len(FEATURES))
    assert np.isfinite(features).all()


def test_flat_signal_and_edges_give_numbers() -> None:
    flat = np.zeros((2, 100), dtype=np.float32)
    features = beat_features(flat, np.array([0.0, 0.2, 5.0]), flat, RATE_HZ)
    assert np.isfinite(features).all()


def test_windows_stand_at_their_times(found: Found) -> None:
    signal, times, _, _ = found
    windows = cut_beats(signal, times, RATE_HZ)
    assert windows.shape == (len(times), len(LEADS), CLOCK_S.size)
    middle = int(np.argmin(np.abs(CLOCK_S)))
    place = round(times[5] * RATE_HZ)
    around = signal[:, place - 1 : place + 2]
    wanted = around @ np.array([0.25, 0.5, 0.25], dtype=np.float32)
    np.testing.assert_allclose(windows[5, :, middle], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "p_shape", "times"),
    [
        ((0, 100), (0, 100), [0.1]),
        ((100,), (100,), [0.1]),
        ((2, 100), (2, 99), [0.1]),
        ((2, 100), (2, 100), [0.2, 0.1]),
        ((2, 100), (2, 100), [0.1, 0.1]),
        ((2, 100), (2, 100), [[0.1]]),
    ],
)
def test_refuses_what_does_not_fit(
    shape: tuple[int, ...], p_shape: tuple[int, ...], times: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"lead, sample|ascend"):
        beat_features(
            np.zeros(shape, np.float32), np.array(times), np.zeros(p_shape, np.float32), RATE_HZ
        )


def test_second_stage_alone_tells_early_atrial_beats() -> None:
    rng = np.random.default_rng(0)
    shape, context = (rng.dirichlet(np.ones(5), 200).T.astype(np.float32) for _ in range(2))
    np.testing.assert_array_equal(join_kinds(shape, context)[:, 0], shape[:, 0])  # the first beat
    joined = join_kinds(shape, context)[:, 1:]
    swapped = join_kinds(shape[[1, 0, 2, 3, 4]], context)[:, 1:]
    shape, context = shape[:, 1:], context[:, 1:]
    np.testing.assert_allclose(joined.sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(joined[1] / joined[0], context[1] / context[0], rtol=1e-2)
    np.testing.assert_allclose(swapped, joined, rtol=1e-5)
    v, f = BEAT_KINDS.index("V"), BEAT_KINDS.index("F")
    wanted = np.sqrt(shape[v] * context[v] / (shape[f] * context[f]))
    np.testing.assert_allclose(joined[v] / joined[f], wanted, rtol=1e-2)


def test_kinds_that_do_not_fit_are_refused() -> None:
    right = np.full((5, 2), 0.2, dtype=np.float32)
    for wrong in (right[:4], right[:, :1], right[0]):
        with pytest.raises(ValueError, match="must be"):
            join_kinds(right, wrong)


def test_kinds_are_written_around_their_beats_only() -> None:
    kinds = np.full((5, 500), 0.2, dtype=np.float32)
    context = np.tile(np.array([0.02, 0.9, 0.04, 0.02, 0.02], np.float32)[:, None], (1, 3))
    write_kinds(kinds, context, np.array([0.0, 0.4, 1.0]), RATE_HZ)
    assert (kinds[:, [85, 115, 235, 250, 265]].argmax(axis=0) == 1).all()
    np.testing.assert_array_equal(kinds[:, [0, 84, 116, 234, 266]], np.float32(0.2))
