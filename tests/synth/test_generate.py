from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.errors import BadRequest
from fascicle.record import LEADS, Record, Wave
from fascicle.synth import CONDITIONS, Noise, synthesize
from fascicle.synth.render import EDGE, VISIBLE_MV

ALL = sorted(CONDITIONS)
# P on T is what these two look like; everywhere else waves take turns.
OVERLAPPING = {"avb3"}


def waves_of(record: Record, lead: str, kind: str | None = None) -> list[Wave]:
    return [w for w in record.waves if w.lead == lead and kind in (None, w.kind)]


@pytest.mark.parametrize("condition", ALL)
def test_record_is_whole_and_finite(condition: str) -> None:
    record = synthesize(condition, seed=3)
    assert record.leads == LEADS
    assert record.signal.shape == (12, 5000)
    assert np.isfinite(record.signal).all()
    assert 0.3 < np.ptp(record.signal) < 8.0
    assert record.annotated == {"waves", "beats", "rhythms"}
    assert record.age is not None
    assert 18 <= record.age <= 92
    assert record.sex in ("F", "M")
    assert len(record.beats) >= 4
    assert [(span.start_s, span.end_s) for span in record.rhythms] == [(0.0, 10.0)]
    assert record.labels["SNOMED-CT"] >= CONDITIONS[condition].codes


@pytest.mark.parametrize("condition", ALL)
def test_same_seed_same_record(condition: str) -> None:
    first, again = synthesize(condition, seed=5), synthesize(condition, seed=5)
    np.testing.assert_array_equal(first.signal, again.signal)
    assert first.waves == again.waves
    assert first.beats == again.beats
    assert (first.age, first.sex, first.labels) == (again.age, again.sex, again.labels)
    other = synthesize(condition, seed=6)
    assert not np.array_equal(first.signal, other.signal)
    assert first.beats != other.beats


@pytest.mark.parametrize("condition", ["sinus", "af", "pvc", "paced"])
def test_noise_leaves_the_truth_alone(condition: str) -> None:
    clean, noisy = synthesize(condition, seed=8, noise=None), synthesize(condition, seed=8)
    assert clean.waves == noisy.waves
    assert clean.beats == noisy.beats
    difference = np.std(noisy.signal - clean.signal, axis=1)
    assert np.all((difference > 0.005) & (difference < 0.2))


@pytest.mark.parametrize("condition", ["sinus", "flutter", "vt"])
def test_leads_are_rows_of_the_same_heart(condition: str) -> None:
    whole = synthesize(condition, seed=2, noise=None)
    part = synthesize(condition, seed=2, noise=None, leads=("V2", "II"))
    np.testing.assert_array_equal(part.signal, whole.signal[[LEADS.index("V2"), 1]])
    assert part.beats == whole.beats
    assert set(part.waves) == {w for w in whole.waves if w.lead in ("V2", "II")}


def test_rate_samples_the_same_heart() -> None:
    fine = synthesize("sinus", seed=4, rate_hz=500.0, noise=None)
    coarse = synthesize("sinus", seed=4, rate_hz=250.0, noise=None)
    np.testing.assert_array_equal(fine.signal[:, ::2], coarse.signal)
    for one, two in zip(fine.beats, coarse.beats, strict=True):
        assert one.time_s == pytest.approx(two.time_s, abs=0.004)


@pytest.mark.parametrize("condition", ALL)
def test_limb_leads_obey_einthoven_even_with_noise(condition: str) -> None:
    one, two, three, avr, avl, avf = synthesize(condition, seed=1).signal[:6]
    np.testing.assert_allclose(three, two - one, atol=1e-5)
    np.testing.assert_allclose(avr, -(one + two) / 2, atol=1e-5)
    np.testing.assert_allclose(avl, one - two / 2, atol=1e-5)
    np.testing.assert_allclose(avf, two - one / 2, atol=1e-5)


@pytest.mark.parametrize("condition", ["sinus", "avb1", "rbbb", "pac", "low_voltage", "long_qt"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_outside_marks_the_clean_lead_is_flat(condition: str, seed: int) -> None:
    record = synthesize(condition, seed=seed, noise=None)
    for row, lead in enumerate(LEADS):
        outside = np.ones(record.samples, dtype=bool)
        for wave in waves_of(record, lead):
            begin = 0 if wave.onset_s is None else round(wave.onset_s * 500)
            end = record.samples if wave.offset_s is None else round(wave.offset_s * 500)
            outside[begin : end + 1] = False
        assert outside.any()
        values = np.abs(record.signal[row])
        # What is left: the feet of marked waves, and whole waves too small to mark.
        assert values[outside].max() <= EDGE * values.max() + 2 * VISIBLE_MV


@pytest.mark.parametrize("condition", ["sinus", "avb1", "pac", "rbbb", "long_qt"])
def test_marked_peak_is_the_extreme_between_its_marks(condition: str) -> None:
    record = synthesize(condition, seed=9, noise=None)
    checked = 0
    for wave in record.waves:
        if wave.kind != "QRS" or wave.lead is None or None in (wave.onset_s, wave.offset_s):
            continue
        begin, peak, end = (
            round((t or 0.0) * 500) for t in (wave.onset_s, wave.peak_s, wave.offset_s)
        )
        values = np.abs(record.lead(wave.lead)[begin : end + 1])
        assert values[peak - begin] >= 0.98 * values.max()
        checked += 1
    assert checked > 50


@pytest.mark.parametrize("condition", ALL)
@pytest.mark.parametrize("seed", range(4))
def test_marks_are_in_order_and_inside(condition: str, seed: int) -> None:
    record = synthesize(condition, seed=seed, noise=None)
    for wave in record.waves:
        times = [t for t in (wave.onset_s, wave.peak_s, wave.offset_s) if t is not None]
        assert times
        assert times == sorted(times)
        assert 0.0 <= times[0] <= times[-1] < 10.0
        assert wave.probability == 1.0
    for lead in LEADS:
        begins = [w.onset_s for w in waves_of(record, lead) if w.onset_s is not None]
        assert begins == sorted(begins)


@pytest.mark.parametrize("condition", sorted(set(ALL) - OVERLAPPING))
@pytest.mark.parametrize("extreme", [0, 1])
def test_waves_of_a_lead_take_turns(condition: str, extreme: int) -> None:
    bpm = CONDITIONS[condition].allowed_bpm[extreme]
    for seed in range(6):
        record = synthesize(condition, seed=seed, heart_rate_bpm=bpm, noise=None)
        for lead in LEADS:
            marks = waves_of(record, lead)
            for before, after in itertools.pairwise(marks):
                if before.offset_s is not None and after.onset_s is not None:
                    assert before.offset_s <= after.onset_s, (seed, lead, before, after)


@pytest.mark.parametrize("condition", ALL)
def test_beats_sit_on_their_qrs(condition: str) -> None:
    record = synthesize(condition, seed=11, noise=None)
    size = np.sqrt((record.signal**2).sum(axis=0))
    inner = [beat for beat in record.beats if 0.3 < beat.time_s < 9.7]
    assert inner
    for beat in inner:
        spans = [
            (w.onset_s, w.offset_s)
            for w in record.waves
            if w.kind == "QRS" and w.peak_s is not None and abs(w.peak_s - beat.time_s) < 0.12
        ]
        assert len(spans) >= 8
        begin = min(a for a, _ in spans if a is not None)
        end = max(b for _, b in spans if b is not None)
        assert begin <= beat.time_s <= end
        if condition in {"sinus", "pac", "avb1", "avb2_mobitz1", "avb2_mobitz2", "lvh"}:
            window = size[round(begin * 500) : round(end * 500) + 1]
            assert abs(window.argmax() - round((beat.time_s - begin) * 500)) <= 1


@pytest.mark.parametrize("bpm", [30, 45, 60, 75, 100, 130, 160, 200])
def test_heart_rate_is_the_one_asked_for(bpm: int) -> None:
    for seed in range(5):
        record = synthesize(
            "sinus", seed=seed, heart_rate_bpm=bpm, duration_s=20.0, rate_hz=250.0, noise=None
        )
        rr = np.diff([beat.time_s for beat in record.beats])
        assert 60.0 / rr.mean() == pytest.approx(bpm, rel=0.025)
        code = "426177001" if bpm < 60 else "427084000" if bpm > 100 else "426783006"
        assert code in record.labels["SNOMED-CT"]


@pytest.mark.parametrize("condition", ALL)
@pytest.mark.parametrize("extreme", [0, 1])
def test_extreme_rates_are_kept_over_a_minute(condition: str, extreme: int) -> None:
    bpm = CONDITIONS[condition].allowed_bpm[extreme]
    record = synthesize(
        condition, seed=0, heart_rate_bpm=bpm, duration_s=60.0, rate_hz=125.0, noise=None
    )
    rr = np.diff([beat.time_s for beat in record.beats])
    # A premature atrial beat resets the clock, so its rate is the sinus clock's only nearly.
    assert 60.0 / rr.mean() == pytest.approx(bpm, rel=0.08 if condition == "pac" else 0.05)


@given(
    condition=st.sampled_from(ALL),
    seed=st.integers(0, 2**63),
    duration_s=st.floats(0.05, 12.0),
    rate_hz=st.floats(50.0, 1000.0),
)
@settings(max_examples=60)
def test_any_length_and_rate_gives_a_record(
    condition: str, seed: int, duration_s: float, rate_hz: float
) -> None:
    record = synthesize(condition, seed=seed, duration_s=duration_s, rate_hz=rate_hz)
    assert record.samples == round(duration_s * rate_hz)
    assert np.isfinite(record.signal).all()
    for beat in record.beats:
        assert 0.0 <= beat.time_s < record.duration_s
    for wave in record.waves:
        for time in (wave.onset_s, wave.peak_s, wave.offset_s):
            assert time is None or 0.0 <= time < record.duration_s


def test_a_wave_cut_by_the_edge_has_no_boundary_there() -> None:
    cut = 0
    for seed in range(20):
        record = synthesize("sinus", seed=seed)
        for wave in record.waves:
            if wave.onset_s is None:
                assert wave.offset_s is not None
                assert wave.offset_s < 0.4
                cut += 1
            if wave.offset_s is None:
                assert wave.onset_s is not None
                assert wave.onset_s > 9.6
                cut += 1
    assert cut > 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"condition": "sinsu"}, "unknown condition 'sinsu': known are sinus"),
        ({"heart_rate_bpm": 29.9}, "30 to 200"),
        ({"heart_rate_bpm": 200.1}, "30 to 200"),
        ({"heart_rate_bpm": float("nan")}, "30 to 200"),
        ({"condition": "avb3", "heart_rate_bpm": 90.0}, "avb3 exists at 25 to 60"),
        ({"seed": -1}, "seed must not be negative"),
        ({"duration_s": 0.0}, "duration_s"),
        ({"duration_s": float("inf")}, "duration_s"),
        ({"duration_s": 0.001, "rate_hz": 50.0}, "no sample"),
        ({"rate_hz": 49.0}, "rate_hz"),
        ({"rate_hz": float("nan")}, "rate_hz"),
        ({"leads": ()}, "leads must be"),
        ({"leads": ("II", "II")}, "leads must be"),
        ({"leads": ("II", "MLII")}, "MLII"),
    ],
)
def test_refusals_say_what_was_expected(change: dict[str, Any], words: str) -> None:
    call: Callable[..., Record] = synthesize
    with pytest.raises(BadRequest, match=words):
        call(**{"condition": "sinus", "seed": 0, **change})


def test_noise_can_be_chosen() -> None:
    quiet = synthesize("sinus", seed=0, noise=None)
    loud = synthesize("sinus", seed=0, noise=Noise(0.0, 0.0, 0.0, 50.0, muscle_mv=0.1))
    difference = (loud.signal - quiet.signal).std()
    assert difference == pytest.approx(0.1, rel=0.3)
