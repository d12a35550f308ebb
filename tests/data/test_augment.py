"""Augmentation: what is drawn decides, zeros do nothing, marks move with the signal."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fascicle.data.augment import (
    ELECTRODE_NOISES,
    Augmentation,
    augment_signal,
    draw_leads,
    draw_shifts,
    draw_stretch,
    lead_noise,
    shift_leads,
    stretch_marks,
    stretch_signal,
)
from fascicle.errors import BadRequest
from fascicle.record import LEAD_SETS, LEADS

NOTHING = Augmentation(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
ALL = np.ones(12, dtype=np.bool_)


def _signal(samples: int = 1000) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((12, samples), dtype=np.float32)


def _vary(settings: Augmentation, seed: int, samples: int = 1000) -> NDArray[np.float32]:
    signal = _signal(samples)
    augment_signal(signal, 250.0, settings, np.random.default_rng(seed))
    return signal


def test_zeros_switch_everything_off() -> None:
    assert len(fields(NOTHING)) == 15
    for f in fields(NOTHING):
        assert getattr(NOTHING, f.name) == (f.name in ("gain", "stretch"))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert np.array_equal(_vary(NOTHING, seed), _signal())
        assert np.array_equal(draw_leads(ALL, NOTHING, rng), ALL)
        assert not draw_shifts(12, 250.0, NOTHING, rng).any()
        assert draw_stretch(1000, NOTHING, rng) == 1000


@pytest.mark.parametrize(
    "part",
    [{"gain": 1.5}, {"baseline_mv": 0.2}, {"noise_mv": 0.1}, {"cutout_s": 1.0}]
    + [{name: 0.1} for name in ELECTRODE_NOISES],
)
def test_the_same_generator_gives_the_same_signal(part: dict[str, float]) -> None:
    settings = replace(NOTHING, **part)
    varied = [_vary(settings, seed) for seed in range(20)]
    for seed, signal in enumerate(varied):
        assert signal.dtype == np.float32
        assert signal.shape == (12, 1000)
        assert np.isfinite(signal).all()
        assert np.array_equal(signal, _vary(settings, seed))
    assert any(not np.array_equal(varied[0], other) for other in varied[1:])


def test_nothing_but_the_signal_is_touched() -> None:
    present, kept = ALL.copy(), ALL.copy()
    settings = replace(NOTHING, lead_set=0.5, lead_drop=0.5)
    for seed in range(10):
        draw_leads(present, settings, np.random.default_rng(seed))
    assert np.array_equal(present, kept)
    np.random.seed(3)  # noqa: NPY002  # the global generator must stand still
    before = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    _vary(Augmentation(), 1)
    assert np.random.random() == before  # noqa: NPY002


def test_gain_is_one_factor_per_lead_within_its_bounds() -> None:
    settings = replace(NOTHING, gain=1.5)
    ratios = np.stack([_vary(settings, seed) / _signal() for seed in range(60)])
    assert np.ptp(ratios, axis=2).max() < 1e-5
    factors = np.log(ratios[..., 0]) / np.log(1.5)
    assert np.abs(factors).max() <= 4 / 3 + 1e-6
    assert np.abs(factors.mean(axis=1)).max() > 0.8
    assert (np.abs(factors - factors.mean(axis=1, keepdims=True)) < 2 / 3).all()


def test_wander_is_slow_and_bounded() -> None:
    settings = replace(NOTHING, baseline_mv=0.2)
    added = np.stack([_vary(settings, seed, 10_000) - _signal(10_000) for seed in range(20)])
    assert np.abs(added).max() <= 0.2 + 1e-6
    assert 0 < np.abs(added).max(axis=(1, 2)).astype(bool).mean() < 1  # half of the windows
    spectrum = np.abs(np.fft.rfft(added * np.hanning(10_000), axis=2)) ** 2
    slow = np.fft.rfftfreq(10_000, 1 / 250) < 0.7
    assert spectrum[..., ~slow].sum() < 1e-3 * spectrum.sum()


def test_noise_is_bounded_in_size() -> None:
    settings = replace(NOTHING, noise_mv=0.1)
    spreads = [float((_vary(settings, seed) - _signal()).std()) for seed in range(40)]
    assert max(spreads) < 0.105
    assert max(spreads) > 0.07
    assert 5 < sum(spread < 1e-6 for spread in spreads) < 35


@pytest.mark.parametrize("name", ELECTRODE_NOISES)
def test_electrode_noises_obey_einthoven_and_their_size(name: str) -> None:
    settings = replace(NOTHING, **{name: 0.2})
    added = np.stack([_vary(settings, seed) - _signal() for seed in range(60)])
    untouched = np.abs(added).max(axis=(1, 2)) < 1e-6
    assert 15 < untouched.sum() < 45  # half of the windows
    one, two, three = added[:, 0], added[:, 1], added[:, 2]
    assert np.abs(three - (two - one)).max() < 1e-5
    spread = added.std(axis=2).mean(axis=1)
    if name == "electrode_mv":
        assert 0.1 < np.abs(added).max() <= 0.2 + 1e-6
    else:
        assert 0.1 < spread.max() < 0.35


def test_hum_is_of_either_mains_muscle_is_fast_and_jolts_are_slow_and_rare() -> None:
    hertz = np.fft.rfftfreq(2500, 1 / 250)

    def power(kind: str, seed: int) -> NDArray[np.float64]:
        noise = lead_noise(kind, 2500, 250.0, np.random.default_rng(seed))
        return np.asarray((np.abs(np.fft.rfft(noise)) ** 2).sum(axis=0), dtype=np.float64)

    assert {float(hertz[power("mains", seed).argmax()]) for seed in range(20)} == {50.0, 60.0}
    muscle, motion = power("muscle", 1), power("motion", 1)
    assert muscle[hertz < 5].sum() < 0.05 * muscle.sum()
    assert motion[hertz < 10].sum() > 0.9 * motion.sum()
    still = np.abs(lead_noise("motion", 2500, 250.0, np.random.default_rng(0))) < 0.01
    assert still.mean() > 0.5


@pytest.mark.parametrize("samples", [0, 1, 2, 3])
def test_noise_of_short_windows_is_finite(samples: int) -> None:
    settings = replace(NOTHING, **dict.fromkeys(ELECTRODE_NOISES, 0.1))
    for seed in range(30):
        assert np.isfinite(_vary(settings, seed, samples)).all()


def test_a_cutout_blanks_one_span_of_all_leads() -> None:
    settings = replace(NOTHING, cutout_s=1.0)
    lengths = []
    for seed in range(60):
        blank = (_vary(settings, seed) == 0).all(axis=0)
        assert np.abs(np.diff(blank.astype(int))).sum() <= 2
        lengths.append(int(blank.sum()))
    assert 100 < max(lengths) <= 250
    assert lengths.count(0) > 20


def test_a_gap_longer_than_the_window_is_no_error() -> None:
    settings = replace(NOTHING, cutout_s=10.0)
    for seed in range(20):
        assert _vary(settings, seed, 3).shape == (12, 3)


@pytest.mark.parametrize("names", [LEADS, ("V1", "V5"), ("aVF",), ("I", "II", "V2", "V6")])
def test_leads_that_are_kept_are_present_and_never_none(names: tuple[str, ...]) -> None:
    present = np.isin(LEADS, names)
    settings = replace(NOTHING, lead_set=0.5, lead_drop=0.5)
    for seed in range(200):
        kept = draw_leads(present, settings, np.random.default_rng(seed))
        assert kept.dtype == np.bool_
        assert kept.shape == (12,)
        assert kept.any()
        assert not (kept & ~present).any()


def test_lead_sets_are_the_published_ones_or_one_lead() -> None:
    settings = replace(NOTHING, lead_set=1.0)
    drawn = set()
    for seed in range(300):
        kept = draw_leads(ALL, settings, np.random.default_rng(seed))
        drawn.add(tuple(np.asarray(LEADS)[kept].tolist()))
    several = {names for names in drawn if len(names) > 1}
    assert several == {tuple(LEAD_SETS[name]) for name in ("6", "4", "3", "2")}
    assert {names[0] for names in drawn if len(names) == 1} == set(LEADS)


def test_limb_leads_or_chest_leads_go_together() -> None:
    settings = replace(NOTHING, lead_group=0.5)
    drawn = [draw_leads(ALL, settings, np.random.default_rng(seed)) for seed in range(400)]
    names = [tuple(np.asarray(LEADS)[kept].tolist()) for kept in drawn]
    assert set(names) == {LEADS, LEADS[:6], LEADS[6:]}
    assert all(0.2 < names.count(group) / 400 < 0.3 for group in (LEADS[:6], LEADS[6:]))
    limb = np.isin(LEADS, LEADS[:6])
    always = replace(NOTHING, lead_group=1.0)
    for seed in range(20):  # a record that has only one of the groups keeps it
        assert np.array_equal(draw_leads(limb, always, np.random.default_rng(seed)), limb)


def test_the_shares_of_windows_are_those_asked_for() -> None:
    settings = replace(NOTHING, lead_set=0.2, lead_drop=0.3)
    kept = [draw_leads(ALL, settings, np.random.default_rng(seed)).sum() for seed in range(1000)]
    assert 0.45 < np.mean(np.asarray(kept) < 12) < 0.55


def test_shifts_are_bounded_rare_and_single() -> None:
    settings = replace(NOTHING, lead_shift_s=0.1, lead_shift=0.5)
    shifts = np.stack(
        [draw_shifts(12, 250.0, settings, np.random.default_rng(seed)) for seed in range(400)]
    )
    assert shifts.dtype == np.int64
    assert np.abs(shifts).max() == 25
    moved = shifts.any(axis=1)
    assert 0.4 < moved.mean() < 0.6
    assert 0.4 < (shifts[moved] != 0).mean() < 0.55
    assert not draw_shifts(
        12, 250.0, replace(settings, lead_shift_s=0.0), np.random.default_rng(0)
    ).any()


def test_shift_leads_moves_later_and_brings_zeros() -> None:
    array = np.arange(1, 16, dtype=np.float32).reshape(3, 5)
    shift_leads(array, np.array([2, 0, -3]))
    assert array.tolist() == [[0, 0, 1, 2, 3], [6, 7, 8, 9, 10], [14, 15, 0, 0, 0]]


@pytest.mark.parametrize("shift", [5, 9, -5, -9])
def test_a_shift_beyond_the_window_leaves_nothing(shift: int) -> None:
    array = np.ones((1, 5), dtype=np.float32)
    shift_leads(array, np.array([shift]))
    assert not array.any()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gain", 0.9),
        ("gain", float("nan")),
        ("baseline_mv", -0.1),
        ("noise_mv", float("inf")),
        ("cutout_s", -1.0),
        ("mains_mv", -0.1),
        ("muscle_mv", float("nan")),
        ("electrode_mv", float("inf")),
        ("lead_group", 1.5),
        ("other_rhythms", -0.1),
        ("lead_shift_s", -1.0),
        ("lead_set", 1.1),
        ("lead_drop", -0.1),
        ("lead_shift", 2.0),
        ("covariate_drop", float("nan")),
    ],
)
def test_impossible_settings_are_refused(key: str, value: Any) -> None:
    with pytest.raises(BadRequest, match=key):
        replace(NOTHING, **{key: value})


def test_shares_that_exclude_each_other_must_fit() -> None:
    with pytest.raises(BadRequest, match="together"):
        replace(NOTHING, lead_set=0.6, lead_drop=0.6)
    with pytest.raises(BadRequest, match="together"):
        replace(NOTHING, lead_set=0.3, lead_drop=0.4, lead_group=0.4)


def test_stretching_lays_a_longer_or_shorter_cut_on_the_window() -> None:
    line = np.arange(300, dtype=np.float32)[None]
    assert np.allclose(stretch_signal(line, 200)[0], np.arange(200) * 1.5)
    assert np.allclose(stretch_signal(line, 600)[0, :599], np.arange(599) / 2)
    marks = (line >= 150).astype(np.float32)
    assert np.flatnonzero(np.diff(stretch_marks(marks, 200)[0])).tolist() == [99]
    assert set(np.unique(stretch_marks(marks, 457))) == {0.0, 1.0}


def test_the_stretch_stays_within_its_reach_and_draws_nothing_when_off() -> None:
    rng = np.random.default_rng(1)
    before = rng.bit_generator.state
    assert draw_stretch(2500, Augmentation(), rng) == 2500
    assert rng.bit_generator.state == before
    drawn = [draw_stretch(2500, Augmentation(stretch=1.25), rng) for _ in range(300)]
    assert 2000 <= min(drawn) < 2100
    assert 3000 < max(drawn) <= 3125
    with pytest.raises(BadRequest, match="stretch must be at least 1"):
        Augmentation(stretch=0.9)
