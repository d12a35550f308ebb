"""The second view reads a typical beat; absent leads and unknown persons tell it nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from fascicle.decode.typical import CLOCK_S
from fascicle.decode.typical import RHYTHM_NUMBERS as NAMES
from fascicle.models.typical import BEAT_SAMPLES, RHYTHM_NUMBERS, TypicalHead, TypicalView


def made(rows: int = 3) -> tuple[TypicalHead, Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    present = torch.ones(rows, 12, dtype=torch.bool)
    beat, numbers = torch.randn(rows, 12, BEAT_SAMPLES), torch.randn(rows, RHYTHM_NUMBERS)
    return TypicalHead(5).eval(), beat, present, numbers, torch.zeros(rows, 6)


def test_sizes_are_those_that_are_measured() -> None:
    assert len(CLOCK_S) == BEAT_SAMPLES
    assert len(NAMES) == RHYTHM_NUMBERS


def test_rows_are_independent() -> None:
    head, *rest = made()
    logits = head(*rest)
    assert logits.shape == (3, 5)
    alone = head(*(part[1:2] for part in rest))
    torch.testing.assert_close(alone[0], logits[1])


def test_absent_leads_change_nothing_and_differ_from_flat_ones() -> None:
    head, beat, present, numbers, covariates = made(1)
    present[0, 4] = False
    other = beat.clone()
    other[0, 4] = torch.nan
    expected = head(beat, present, numbers, covariates)
    assert torch.equal(head(other, present, numbers, covariates), expected)
    flat = beat.clone()
    flat[0, 4] = 0
    there = torch.ones_like(present)
    assert not torch.equal(head(flat, there, numbers, covariates), expected)


def test_shape_rhythm_and_person_all_count() -> None:
    head, beat, present, numbers, covariates = made(1)
    expected = head(beat, present, numbers, covariates)
    for changed in (
        (beat + 0.5, present, numbers, covariates),
        (beat, present, numbers + 1, covariates),
        (beat, present, numbers, covariates + 1),
    ):
        assert not torch.equal(head(*changed), expected)


def test_scale_of_the_numbers_is_taken_out() -> None:
    head, beat, present, numbers, covariates = made()
    expected = head(beat, present, numbers, covariates)
    head.mean, head.scale = head.mean + 3, head.scale * 2
    torch.testing.assert_close(head(beat, present, 2 * numbers + 3, covariates), expected)


def test_every_class_gets_gradient() -> None:
    head, beat, present, numbers, covariates = made()
    head(beat, present, numbers, covariates).sum().backward()
    assert head.out.weight.grad is not None
    assert bool((head.out.weight.grad.abs().sum(1) > 0).all())


def test_a_view_is_the_mean_of_its_heads() -> None:
    _, *rest = made()
    view = TypicalView(5).eval()
    each = torch.stack([head(*rest) for head in view.heads])
    torch.testing.assert_close(view(*rest), each.mean(0))
    assert not torch.equal(each[0], each[1])
