"""The rhythm head: what the beats around a frame tell, and that padding tells nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fascicle.models.rhythm import EVIDENCE, LAGS, RhythmHead, beat_evidence
from fascicle.models.unet import Features

RATE_HZ, SAMPLES, STEP = 250.0, 5000, 64
JUMP = 2  # the first of two columns per lag: how far an interval is from the one before
P_HEIGHT = JUMP + 2 * len(LAGS) + 2


def logits(times: list[int], p_before: int | None = None) -> tuple[Tensor, Tensor]:
    """Return waves (1, 12, 4, sample) and beats (1, 6, sample) with R peaks and P waves there."""
    beats = torch.full((1, 6, SAMPLES), -5.0)
    beats[:, 1] = 5.0
    waves = torch.zeros(1, 12, 4, SAMPLES)
    waves[:, :, 0] = 8.0
    for time in times:
        beats[0, 0, time] = 5.0
        if p_before is not None:
            waves[0, :, 1, time - p_before - 10 : time - p_before + 10] = 16.0
    return waves, beats


def evidence(waves: Tensor, beats: Tensor, leads: int = 12, valid: int = SAMPLES) -> Tensor:
    present = (torch.arange(12) < leads).unsqueeze(0)
    clock = STEP * torch.arange(SAMPLES // STEP) + STEP // 2
    return beat_evidence(waves, beats, present, torch.tensor([valid]), clock, RATE_HZ)[0]


REGULAR = list(range(200, 4900, 200))
BIGEMINY = [t for place in range(200, 4700, 400) for t in (place, place + 140)]


def irregular() -> list[int]:
    generator = torch.Generator().manual_seed(0)
    steps = torch.randint(120, 300, (23,), generator=generator)
    return [int(time) for time in 200 + steps.cumsum(0) if time < 4900]


def test_regular_beats_are_regular_and_their_interval_is_told() -> None:
    told = evidence(*logits(REGULAR))
    assert told.shape == (EVIDENCE, SAMPLES // STEP)
    middle = told[:, 40]
    assert middle[0] == pytest.approx(float(torch.tensor(0.8).log()), abs=1e-5)
    assert middle[JUMP : JUMP + 2 * len(LAGS)].abs().max() < 1e-5


def test_bigeminy_repeats_every_other_beat_and_fibrillation_never() -> None:
    jumps = [
        evidence(*logits(times))[JUMP : JUMP + 2 * len(LAGS) : 2, 40]
        for times in (BIGEMINY, irregular())
    ]
    assert jumps[0][0] > 1
    assert jumps[0][1] < 1e-5
    assert jumps[1].min() > 0.3


def test_p_waves_and_their_time_are_told() -> None:
    none, early, late = (evidence(*logits(REGULAR, p))[:, 40] for p in (None, 50, 30))
    assert none[P_HEIGHT] < 0.05
    assert early[P_HEIGHT] > 0.95
    assert late[P_HEIGHT] > 0.95
    assert early[P_HEIGHT + 2] == pytest.approx(0, abs=1e-3)  # always at the same time


def test_absent_leads_tell_nothing() -> None:
    waves, beats = logits(REGULAR, 40)
    other = waves.clone()
    other[:, 3:] = 0
    assert torch.equal(evidence(waves, beats, 3), evidence(other, beats, 3))
    assert not torch.equal(evidence(waves, beats), evidence(other, beats))


def test_beats_in_padding_are_none_and_no_beat_is_no_number() -> None:
    waves, beats = logits(REGULAR)
    assert torch.equal(
        evidence(waves, beats, valid=2500), evidence(*logits(REGULAR[:12]), valid=2500)
    )
    empty = evidence(*logits([]))
    assert empty.isfinite().all()
    assert empty.abs().max() == 0


def test_logits_teach_the_head_alone_and_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    head = RhythmHead(16, 7, RATE_HZ).eval()
    waves, beats = (value.requires_grad_() for value in logits(REGULAR, 40))
    frames = torch.randn(1, 16, 79)
    present, valid = torch.ones(1, 12, dtype=torch.bool), torch.tensor([3000])

    def answer(map_: Tensor) -> Tensor:
        features = Features(map_, STEP, map_, STEP)
        made: Tensor = head(features, map_, present, valid, map_, {"waves": waves, "beats": beats})
        return made

    made = answer(frames)
    assert made.shape == (1, 7, 79)
    made.sum().backward()  # type: ignore[no-untyped-call]
    assert waves.grad is beats.grad is None
    other = frames.clone()
    other[..., 47:] = 9.0  # the frames from sample 3008 on
    torch.testing.assert_close(answer(other)[..., :47], made[..., :47])
