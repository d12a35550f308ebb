"""Intervals inside the net: synthetic ECGs' exact truth, gradients, pieces, and nothing at all."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from fascicle.models.intervals import USUAL, interval_frames, measure, r_peaks
from fascicle.record import LEADS, Record, Wave
from fascicle.synth import synthesize

RATE = 500.0
SURE = 12.0
"""Logit of what is certain."""
Logits = tuple[Tensor, Tensor]


def _span(wave: Wave) -> tuple[int, int]:
    """Return the first and last sample; a wave that the record cuts goes on beyond its end."""
    onset = -1e3 if wave.onset_s is None else wave.onset_s
    offset = 1e3 if wave.offset_s is None else wave.offset_s
    return round(onset * RATE), round(offset * RATE)


def _ideal(record: Record) -> Logits:
    """Return the logits of a net that knows the truth: waves (1, 12, 4, s), beats (1, 6, s)."""
    samples = record.signal.shape[1]
    waves = torch.full((1, 12, 4, samples), -SURE)
    waves[:, :, 0] = 0.0
    for wave in record.waves:
        onset, offset = _span(wave)
        kind = 1 + ("P", "QRS", "T").index(wave.kind)
        waves[0, LEADS.index(wave.lead), kind, max(onset, 0) : offset + 1] = SURE
    clock = torch.arange(samples) / RATE
    here = torch.full((samples,), -SURE)
    for beat in record.beats:
        here = torch.maximum(here, 3 - ((clock - beat.time_s) / 0.02) ** 2)
    beats = torch.zeros(1, 6, samples)
    beats[0, 0] = here
    return waves, beats


def _marks(record: Record, kind: str) -> list[tuple[float, float]]:
    """Return onset and offset of each wave of a kind: the mean over the leads, in samples."""
    spans = sorted(_span(wave) for wave in record.waves if wave.kind == kind)
    onsets = np.array([onset for onset, _ in spans])
    groups = np.split(np.array(spans), np.flatnonzero(np.diff(onsets) > 0.12 * RATE) + 1)
    whole = [group for group in groups if 8 <= len(group) <= 12 and np.abs(group).max() < 1e5]
    return [tuple(group.mean(axis=0)) for group in whole]


def _all(record: Record, logits: Logits, step: int = 1) -> Tensor:
    samples = record.signal.shape[1]
    there = torch.ones(1, 12, dtype=torch.bool)
    return interval_frames(
        *logits, there, torch.tensor([samples]), RATE, step, -(-samples // step)
    )[0]


@pytest.mark.parametrize(
    ("condition", "bpm", "seed"),
    [
        ("sinus", 60.0, 1), ("sinus", 95.0, 2), ("sinus", 40.0, 3), ("sinus", 140.0, 4),
        ("avb1", 70.0, 5), ("pvc", 70.0, 6), ("lbbb", 75.0, 7), ("pac", 70.0, 8),
    ],
)  # fmt: skip
def test_ideal_logits_give_the_true_intervals(condition: str, bpm: float, seed: int) -> None:
    record = synthesize(condition, seed=seed, heart_rate_bpm=bpm, rate_hz=RATE, noise=None)
    found = _all(record, _ideal(record))
    p, qrs, t = (_marks(record, kind) for kind in ("P", "QRS", "T"))
    assert len(qrs) >= 5
    checked = 0
    for before, (begin, end) in pairwise(qrs):
        r = next(round(b.time_s * RATE) for b in record.beats if begin <= b.time_s * RATE <= end)
        values, flags = found[:4, r], found[4:, r]
        assert flags[1] == 1
        qq = (begin - before[0]) / RATE
        assert float(values[1]) == pytest.approx(qq, abs=2 / RATE)
        ahead = [onset for onset, offset in p if before[0] < onset and offset <= begin + 1]
        assert flags[0] == 1 or condition in ("pvc", "pac")
        if flags[0] and ahead:
            assert float(values[0]) == pytest.approx((begin - ahead[-1]) / RATE, abs=3 / RATE)
        behind = [offset for onset, offset in t if end - 1 <= onset <= end + 0.4 * RATE]
        if flags[2] and behind:
            qt = (behind[0] - begin) / RATE
            assert float(values[2]) == pytest.approx(qt, abs=3 / RATE)
            assert float(values[3]) == pytest.approx(qt / qq ** (1 / 3), abs=4 / RATE)
            checked += 1
    assert checked >= 3


def test_one_box_in_all_leads_is_measured_to_the_sample() -> None:
    waves = torch.full((1, 12, 4, 2000), -SURE)
    waves[:, :, 0] = 0
    beats = torch.full((1, 6, 2000), -SURE)
    for r in (600, 1100):
        waves[..., 1, r - 90 : r - 40] = SURE  # P: 50 samples
        waves[..., 2, r - 20 : r + 30] = SURE
        waves[..., 3, r + 100 : r + 180] = SURE
        beats[:, 0, r] = 1
    there = torch.ones(1, 12, dtype=torch.bool)
    found = interval_frames(waves, beats, there, torch.tensor([2000]), RATE, 1, 2000)[0, :, 1100]
    expected = [70 / RATE, 500 / RATE, 199 / RATE, 199 / RATE, 1, 1, 1, 1]
    assert found.tolist() == pytest.approx(expected, abs=1e-4)


def test_each_frame_has_the_intervals_of_its_beat_and_none_far_from_beats() -> None:
    record = synthesize("sinus", seed=2, heart_rate_bpm=60, rate_hz=RATE, noise=None)
    waves, beats = _ideal(record)
    beats[..., 2500:] = -SURE  # the second half is without beats
    fine, coarse = _all(record, (waves, beats)), _all(record, (waves, beats), 64)
    assert torch.equal(coarse, fine[:, ::64])
    peaks = [round(b.time_s * RATE) for b in record.beats if b.time_s < 5]
    one, two = peaks[1], peaks[2]
    middle = (one + two + 1) // 2
    assert (fine[:, one:middle] == fine[:, one : one + 1]).all()
    assert (fine[:, middle : two + 1] == fine[:, two : two + 1]).all()
    assert (fine[:, peaks[-1] + round(USUAL.reach_s * RATE) + 1 :] == 0).all()


def test_a_wave_that_some_leads_show_keeps_its_length_and_two_in_a_window_are_none() -> None:
    record = synthesize("sinus", seed=2, heart_rate_bpm=60, rate_hz=RATE, noise=None)
    waves, beats = _ideal(record)
    whole = _all(record, (waves, beats))
    hidden = waves.clone()
    hidden[:, 4:, 1] = -SURE  # P in four of twelve leads
    hidden[:, 4:, 0] = SURE
    some = _all(record, (hidden, beats))
    r = round(record.beats[3].time_s * RATE)
    assert some[4, r] == 1
    assert float(some[0, r]) == pytest.approx(float(whole[0, r]), abs=3 / RATE)
    hidden[:, :, 1] = -SURE
    assert _all(record, (hidden, beats))[[0, 4], r].tolist() == [0, 0]  # no P at all
    doubled = waves.clone()
    doubled[..., 1, r - 240 : r - 200] = SURE
    doubled[..., 0, r - 240 : r - 200] = -SURE
    assert _all(record, (doubled, beats))[[0, 4], r].tolist() == [0, 0]


def test_long_records_in_pieces_equal_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    record = synthesize("pvc", seed=3, duration_s=70, rate_hz=RATE, noise=None)
    logits = _ideal(record)
    whole = _all(record, logits, 64)
    for piece_s in (3.0, 11.3, 20.0):
        monkeypatch.setattr("fascicle.models.intervals.PIECE_S", piece_s)
        assert torch.allclose(_all(record, logits, 64), whole, atol=1e-5)
    assert whole[5].mean() > 0.9


def test_rows_absent_leads_and_padding_are_kept_apart() -> None:
    record = synthesize("sinus", seed=4, heart_rate_bpm=80, rate_hz=RATE, noise=None)
    waves, beats = _ideal(record)
    samples, frames = waves.shape[-1], 79
    there = torch.ones(1, 12, dtype=torch.bool)
    alone = interval_frames(waves, beats, there, torch.tensor([3000]), RATE, 64, frames)
    junk_waves, junk_beats = waves.clone(), beats.clone()
    junk_waves[..., 3000:] = torch.randn(1, 12, 4, samples - 3000)
    junk_beats[..., 3000:] = 9.0
    two = there.clone()
    two[0, 2:] = False
    other = waves.clone()
    other[:, 2:] = 0  # logits of absent leads
    rows = interval_frames(
        torch.cat([junk_waves, other, torch.randn(1, 12, 4, samples)]),
        torch.cat([junk_beats, beats, torch.randn(1, 6, samples)]),
        torch.cat([there, two, there]),
        torch.tensor([3000, 3000, samples]),
        RATE, 64, frames,
    )  # fmt: skip
    assert torch.allclose(rows[0], alone[0], atol=1e-6)
    assert rows[0, :, 47:].abs().sum() == 0  # padding begins at sample 3000
    assert rows[1, 5].sum() == alone[0, 5].sum()
    assert torch.allclose(rows[1, 1], alone[0, 1], atol=8 / RATE)


def test_peaks_are_the_largest_of_their_neighbourhood_and_the_first_of_equals() -> None:
    here = torch.full((3, 400), -5.0)
    here[0, [50, 60, 200, 201, 350]] = torch.tensor([1.0, 2.0, 3.0, 3.0, -0.1])
    here[1, 10:390] = 4.0  # a plateau
    peaks, real = r_peaks(here, torch.tensor([400, 400, 400]), 100.0)
    assert [row[there].tolist() for row, there in zip(peaks, real, strict=True)] == [
        [60, 200], [10], [],
    ]  # fmt: skip
    cut, _ = r_peaks(here, torch.tensor([100, 0, 1]), 100.0)
    assert cut[0, 0] == 60
    assert cut.shape == (3, 1)


@pytest.mark.parametrize("samples", [1, 2, 63, 500])
@pytest.mark.parametrize("level", [-30.0, 0.0, 30.0])
def test_nothing_to_measure_is_zero_and_never_nan(samples: int, level: float) -> None:
    waves = torch.full((2, 12, 4, samples), level, requires_grad=True)
    beats = torch.full((2, 6, samples), level)
    there = torch.tensor([[True] * 12, [False] * 12])
    found = interval_frames(waves, beats, there, torch.tensor([samples, 0]), RATE, 64, 8)
    assert found.shape == (2, 8, 8)
    assert (found == 0).all()
    (gradient,) = torch.autograd.grad(found.sum(), waves)
    assert gradient.isfinite().all()


def test_noise_gives_no_nan_in_value_or_gradient() -> None:
    torch.manual_seed(0)
    waves = (6 * torch.randn(2, 12, 4, 3000)).requires_grad_()
    found = interval_frames(
        waves, 4 * torch.randn(2, 6, 3000), torch.ones(2, 12, dtype=torch.bool),
        torch.tensor([3000, 1700]), RATE, 64, 47,
    )  # fmt: skip
    found.square().sum().backward()  # type: ignore[no-untyped-call]
    assert found.isfinite().all()
    assert waves.grad is not None
    assert waves.grad.isfinite().all()


def _smooth(samples: int) -> Tensor:
    """Return probabilities (1, 4, sample) of three beats with soft edges, in float64."""
    clock = torch.arange(samples, dtype=torch.float64)
    rows = torch.zeros(3, samples, dtype=torch.float64)
    for r in (60, 130, 200):
        for row, (low, high) in enumerate([(-24, -16), (-6, 5), (12, 32)]):
            rows[row] += torch.sigmoid(clock - (r + low)) * torch.sigmoid((r + high) - clock)
    rows = 0.9 * rows + 0.01
    return torch.cat([1 - rows.sum(0, keepdim=True), rows]).unsqueeze(0)


def test_gradients_of_the_intervals_are_right() -> None:
    mean = _smooth(260).requires_grad_()
    peaks, real = torch.tensor([[60, 130, 200]]), torch.ones(1, 3, dtype=torch.bool)
    valid = torch.tensor([260])

    def values(mean: Tensor) -> Tensor:
        return measure(mean, peaks, real, valid, 100.0)[0]

    found, holds = measure(mean, peaks, real, valid, 100.0)
    assert holds[0, :, 1:].sum() == 6  # the last T may go on after the end
    assert found[0, 1, 1].item() == pytest.approx(0.7, abs=1e-6)
    assert torch.autograd.gradcheck(values, (mean,), eps=1e-6, atol=1e-6)


def test_a_later_p_wave_shortens_pq_by_its_gradient() -> None:
    waves = _smooth(260).log().unsqueeze(1).repeat(1, 12, 1, 1).requires_grad_()
    beats = torch.full((1, 6, 260), -5.0, requires_grad=True)
    with torch.no_grad():
        beats[0, 0, [60, 130, 200]] = 5.0
    there = torch.ones(1, 12, dtype=torch.bool)
    found = interval_frames(waves, beats, there, torch.tensor([260]), 100.0, 1, 260)
    assert found[0, 4, 130] == 1
    (gradient,) = torch.autograd.grad(found[0, 0, 130], waves)
    assert gradient[0, :, 1, 130 - 24].sum() > 0 > gradient[0, :, 1, 130 - 16].sum()
    assert not found[0, 1].requires_grad or beats.grad is None  # no way to the beats
