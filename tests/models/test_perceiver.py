"""The Perceiver head: what it reads, padding, pieces, intervals, and its size by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fascicle.models import perceiver
from fascicle.models.perceiver import PerceiverHead, amplitude, positions
from fascicle.models.unet import Features

STEP = 16
RATE = 100.0
SMALL: dict[str, Any] = {
    "rate_hz": RATE, "latents": 4, "width": 16, "attention_heads": 2, "outputs": 8, "bands": 3,
}  # fmt: skip


def _head(**changes: Any) -> PerceiverHead:
    torch.manual_seed(0)
    return PerceiverHead(8, 3, **{**SMALL, "intervals": False, **changes}).eval()


def _inputs(frames: int = 20, valid: int | None = None) -> tuple[Any, ...]:
    generator = torch.Generator().manual_seed(1)
    samples = frames * STEP
    deep = torch.randn(2, 8, frames, generator=generator)
    return (
        Features(deep, STEP, deep, STEP),
        torch.randn(2, 12, samples, generator=generator),
        torch.ones(2, 12, dtype=torch.bool),
        torch.full((2,), samples if valid is None else valid),
        torch.rand(2, 6, generator=generator),
    )


def _needed(samples: int) -> dict[str, Tensor]:
    """Return logits with a beat, and its P, QRS and T, every 100 samples."""
    waves = torch.full((2, 12, 4, samples), -9.0)
    waves[:, :, 0] = 0
    beats = torch.full((2, 6, samples), -9.0)
    for r in range(60, samples - 75, 100):
        beats[:, 0, r] = 5
        for kind, low, high in ((1, -20, -10), (2, -5, 5), (3, 15, 30)):
            waves[:, :, kind, r + low : r + high] = 9
    return {"waves": waves, "beats": beats}


def test_its_size_is_what_its_shapes_say() -> None:
    def linear(inputs: int, outputs: int) -> int:
        return inputs * outputs + outputs

    def attention(width: int) -> int:
        return 2 * 2 * width + 2 * width * width + 2 * linear(width, width)

    def transition(width: int) -> int:
        return 2 * width + linear(width, 2 * width) + linear(2 * width, width)

    head = PerceiverHead(512, 28)
    beside = 2 * 6 + 5 + 2 * 4
    parts = [
        2 * 512,
        linear(512 + beside, 256),
        64 * 256,
        2 * attention(256) + 2 * transition(256),
        2 * 256 + linear(256, 256) + linear(256, 28),
    ]
    counted = sum(parameter.numel() for parameter in head.parameters())
    assert counted == sum(parts) == 1_282_844


def test_padding_changes_nothing() -> None:
    head = _head()
    features, signal, *rest = _inputs(valid=10 * STEP)
    before = head(features, signal, *rest)
    spoilt = features.frames.clone()
    spoilt[..., 10:] = 1e3
    signal[..., 10 * STEP :] = 1e3
    with torch.inference_mode():
        after = head(Features(spoilt, STEP, spoilt, STEP), signal, *rest)
    assert torch.equal(before, after)
    rest[1] += 1  # a frame more is not padding any more
    assert not torch.allclose(before, head(Features(spoilt, STEP, spoilt, STEP), signal, *rest))


@pytest.mark.parametrize("place", range(4))
def test_covariates_amplitude_and_order_are_read(place: int) -> None:
    head = _head()
    features, signal, present, valid, covariates = _inputs()
    with torch.inference_mode():
        before = head(features, signal, present, valid, covariates)
        changed = covariates.clone()
        changed[:, place] += 0.5
        assert not torch.allclose(before, head(features, signal, present, valid, changed))
        assert not torch.allclose(before, head(features, 3 * signal, present, valid, covariates))
        flipped = features.frames.flip(-1)
        back = Features(flipped, STEP, flipped, STEP)
        assert not torch.allclose(before, head(back, signal, present, valid, covariates), atol=1e-5)


def test_frames_read_in_pieces_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    head, inputs = _head(), _inputs(valid=17 * STEP)
    with torch.inference_mode():
        whole = head(*inputs)
        monkeypatch.setattr(perceiver, "AT_ONCE", 7)
        assert torch.allclose(head(*inputs), whole, atol=1e-6)


def test_iterations_share_their_weights() -> None:
    once, often = _head(iterations=1), _head(iterations=4)
    assert [p.shape for p in once.parameters()] == [p.shape for p in often.parameters()]
    assert not torch.allclose(once(*_inputs()), often(*_inputs()))


def test_intervals_are_read_and_teach_the_waves() -> None:
    head, inputs = _head(intervals=True), _inputs(frames=40)
    assert head.needs == ("waves", "beats")
    assert _head().needs == ()
    needed = _needed(640)
    waves = needed["waves"].requires_grad_()
    logits = head(*inputs, needed)
    (gradient,) = torch.autograd.grad(logits.square().sum(), waves)
    assert gradient.isfinite().all()
    assert gradient[:, :, 1:].abs().sum() > 0
    none = {"waves": needed["waves"].detach(), "beats": torch.full((2, 6, 640), -9.0)}
    assert not torch.allclose(logits, head(*inputs, none), atol=1e-5)


def test_the_embedding_is_what_the_last_layer_reads() -> None:
    head, inputs = _head(), _inputs()
    embedded = head.embedding(*inputs)
    assert embedded.shape == (2, 8)
    assert torch.equal(head.out(embedded), head(*inputs))


def test_positions_tell_seconds_and_repeat_after_twenty() -> None:
    found = positions(torch.tensor([0.0, 5.0, 20.0, 86405.0], dtype=torch.float64), 2)
    assert found.shape == (4, 4)
    assert torch.allclose(found[0], torch.tensor([0.0, 0, 1, 1]).double())
    assert torch.allclose(found[1], torch.tensor([1.0, 0, 0, -1]).double(), atol=1e-9)
    assert torch.allclose(found[2], found[0], atol=1e-9)
    assert torch.allclose(found[3], found[1], atol=1e-6)  # a day later


def test_amplitude_is_the_95_percent_quantile_of_what_is_there() -> None:
    signal = torch.linspace(-1, 1, 2001).repeat(3, 12, 1)
    present, valid = torch.ones(3, 12, dtype=torch.bool), torch.tensor([2001, 2001, 1001])
    present[1, 1:] = False
    signal[1, 1:] = float("nan")
    signal[2, :, 1001:] = 50
    found = amplitude(signal, present, valid)
    assert found[:, 0].tolist() == pytest.approx([0.95, 0.95, 0.95], abs=2e-3)
    assert amplitude(signal, torch.zeros_like(present), valid).tolist() == [[0.0]] * 3
    long = torch.linspace(-2, 2, 100_000).repeat(1, 12, 1)
    assert float(amplitude(long, present[:1], torch.tensor([100_000]))) == pytest.approx(
        1.9, abs=0.01
    )


def test_a_width_that_its_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="16 channels do not fall into 3 heads"):
        _head(attention_heads=3)
