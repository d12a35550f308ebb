"""The second stage reads all beats of a record, in both directions."""

from __future__ import annotations

import torch

from fascicle.decode.context import FEATURES
from fascicle.models.context import BEAT_FEATURES, ContextHead


def test_features_are_those_that_are_measured() -> None:
    assert len(FEATURES) == len(set(FEATURES)) == BEAT_FEATURES


def test_a_beat_depends_on_those_before_and_after() -> None:
    torch.manual_seed(0)
    head = ContextHead().eval()
    beats = torch.randn(1, 9, BEAT_FEATURES)
    logits = head(beats)
    assert logits.shape == (1, 9, 5)
    for place in (0, 8):
        other = beats.clone()
        other[0, place] += 1
        assert not torch.equal(head(other)[0, 4], logits[0, 4])
    alone = head(beats[:, 4:5])
    assert not torch.equal(alone[0, 0], logits[0, 4])


def test_scale_is_taken_out() -> None:
    torch.manual_seed(0)
    head = ContextHead().eval()
    beats = torch.randn(2, 5, BEAT_FEATURES)
    logits = head(beats)
    head.mean, head.scale = head.mean + 3, head.scale * 2
    torch.testing.assert_close(head(2 * beats + 3), logits)


def test_size_is_that_of_the_shapes() -> None:
    width, memory, kinds = 32, 24, 5
    read = BEAT_FEATURES * width + width
    gru = 2 * 3 * memory * (width + memory + 2)
    out = (width + 2 * memory) * kinds + kinds
    assert sum(p.numel() for p in ContextHead().parameters()) == read + gru + out == 11_477
    assert {name for name, _ in ContextHead().named_buffers()} == {"mean", "scale"}
