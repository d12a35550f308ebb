"""Weights that are handed down: all but the stem, or nothing at all."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fascicle.errors import BadRequest
from fascicle.train.transfer import FIRST, hand_down


def _net(leads: int, classes: int = 5) -> nn.Module:
    """Return a net with what stands for absent leads, a stem, norms with counts, and a head."""
    backbone = nn.ModuleDict(
        {
            "input": nn.Linear(leads, 4, bias=False),
            "stem": nn.Conv1d(leads, 4, 3),
            "stem_norm": nn.BatchNorm1d(4),
            "block": nn.Sequential(nn.Conv1d(4, 4, 3), nn.BatchNorm1d(4)),
        }
    )
    heads = nn.ModuleDict({"diagnosis": nn.Linear(4, classes)})
    return nn.ModuleDict({"backbone": backbone, "heads": heads})


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_all_but_the_stem_is_loaded() -> None:
    parent, child = _net(12), _net(2)
    with torch.no_grad():
        for buffer in parent.buffers():
            buffer.add_(3)
    before = _copy(child)
    loaded, left = hand_down(child, parent.state_dict())
    assert left == ("backbone.input.weight", "backbone.stem.weight", "backbone.stem.bias")
    assert set(loaded) | set(left) == set(before)
    assert not set(loaded) & set(left)
    after = child.state_dict()
    for name in left:
        assert torch.equal(after[name], before[name])
    for name in loaded:
        assert torch.equal(after[name], parent.state_dict()[name])


def test_the_child_does_not_share_memory_with_its_parent() -> None:
    parent, child = _net(12), _net(2)
    hand_down(child, parent.state_dict())
    kept = _copy(parent)
    with torch.no_grad():
        for parameter in child.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in parent.state_dict().items())


def test_the_head_can_be_left_too() -> None:
    child = _net(2, classes=9)
    _, left = hand_down(child, _net(12).state_dict(), (*FIRST, "heads.*"))
    assert left[3:] == ("heads.diagnosis.weight", "heads.diagnosis.bias")


def test_a_head_that_only_the_parent_has_is_no_stranger_where_it_is_skipped() -> None:
    parent = _net(12)
    weights = {**parent.state_dict(), "heads.beats.weight": torch.zeros(1)}
    with pytest.raises(BadRequest, match=r"only one of the two nets has heads\.beats\.weight"):
        hand_down(_net(2), weights)
    hand_down(_net(2), weights, (*FIRST, "heads.*"))


def test_nothing_is_skipped_where_nothing_is_asked_for() -> None:
    parent, child = _net(12), _net(12)
    loaded, left = hand_down(child, parent.state_dict(), ())
    assert left == ()
    assert len(loaded) == len(parent.state_dict())


def test_a_net_without_a_part_for_absent_leads_needs_no_other_patterns() -> None:
    parent, child = (
        nn.ModuleDict({"backbone": nn.ModuleDict({"stem": layer})})
        for layer in (nn.Conv1d(12, 4, 3), nn.Conv1d(2, 4, 3))
    )
    assert hand_down(child, parent.state_dict())[0] == ()


def _refused(weights: dict[str, Tensor], match: str, skip: tuple[str, ...]) -> None:
    child = _net(2)
    before = _copy(child)
    with pytest.raises(BadRequest, match=match):
        hand_down(child, weights, skip)
    assert all(torch.equal(tensor, before[name]) for name, tensor in child.state_dict().items())


def test_refusals_change_nothing() -> None:
    weights, stem = _copy(_net(12)), FIRST
    shapes = r"backbone\.stem\.weight: expected shape \(4, 2, 3\), not \(4, 12, 3\)"
    _refused(weights, shapes, ("backbone.input.*",))
    _refused(weights, r"backbone\.entry\* matches no weights", ("backbone.entry*",))
    _refused(_copy(_net(12, classes=7)), r"heads\.diagnosis\.weight: expected shape \(5, 4\)", stem)
    del weights["heads.diagnosis.bias"]
    _refused(weights, r"only one of the two nets has heads\.diagnosis\.bias", stem)
