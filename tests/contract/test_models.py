"""Every head fits every backbone. A new registry entry must be added to the lists here."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fascicle.models.network import BACKBONES, HEADS, Network, build_network
from fascicle.recipe import BACKBONE_RECIPES
from fascicle.tasks import TASKS
from fascicle.train.parallel import has_bf16

WINDOW = 333
SQUEEZE = {"width": 8, "kernel": 3, "stem_kernel": 5, "dropout": 0.0, "reduction": 4}
SHARING = {"extractors": 2, "width": 8, "shared": (16, 32)}
SMALL: dict[str, dict[str, Any]] = {
    "unet": {"filters": (8, 8, 16), "decoder": (8, 8), "skip": 8},
    "resnet34": {"width": 8, "widest": 16, "kernel": 4, "dropout": 0.0},
    "resnet18_se": SQUEEZE,
    "resnet34_se": SQUEEZE,
    "efficientnet1d": {"width": 0.25, "depth": 0.5, "dropout": 0.0},
    "cnn1d": SHARING,
    "rnn": SHARING,
    "lstm": SHARING,
    "gru": SHARING,
}
"""A small version of each backbone."""
FRAMES = {"unet": 42, "resnet34": 2, "resnet18_se": 11, "resnet34_se": 11, "efficientnet1d": 11}
"""Frames of a window; the others make one."""
BATCH_NORM = ("resnet34", "resnet18_se", "resnet34_se", "efficientnet1d")
DECODER = ("backbone.up.", "backbone.skip.", "backbone.decoder.")
"""Weights of the U-Net that only the finest map needs."""
CLASSES = {
    "waves": 4, "beats": 5, "diagnosis": 3, "pooled": 3, "challenge": 3, "logistic": 3,
    "softmax": 3, "perceiver": 3, "rhythm": 7,
}  # fmt: skip
SHAPES = {
    "waves": (2, 12, 4, WINDOW), "beats": (2, 6, WINDOW), "diagnosis": (2, 3), "pooled": (2, 3),
    "challenge": (2, 2, 3), "logistic": (2, 3), "softmax": (2, 3), "perceiver": (2, 3),
    "rhythm": (2, 7),
}  # fmt: skip
"""Logits of each head for two records; those of FRAMEWISE also have an axis of deepest frames."""
FRAMEWISE = ("rhythm",)
NEEDS = {"perceiver": ("waves", "beats"), "rhythm": ("waves", "beats")}
"""What else a net with this head must have."""
DENSE = ("waves", "beats")
"""Heads that read the finest map; the others read the deepest."""
every_backbone = pytest.mark.parametrize("backbone", SMALL)
every_head = pytest.mark.parametrize("head", CLASSES)


def _network(backbone: str, *heads: str) -> Network:
    torch.manual_seed(0)
    every = dict.fromkeys(name for head in heads for name in (*NEEDS.get(head, ()), head))
    return build_network(
        backbone, SMALL[backbone], [(head, head, CLASSES[head]) for head in every], WINDOW
    )


def _inputs(rows: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return records whose odd rows have leads I, II, III, aVR alone, and end early."""
    generator = torch.Generator().manual_seed(0)
    present = torch.ones(rows, 12, dtype=torch.bool)
    present[1::2, 4:] = False
    valid = torch.full((rows,), WINDOW)
    valid[1::2] = 200
    signal = torch.randn(rows, 12, WINDOW, generator=generator)
    signal[1::2, :, 200:] = 0
    return signal, present, valid, torch.rand(rows, 6, generator=generator)


def _has_no_gradient(backbone: str, head: str, weight: str) -> bool:
    """Return whether the loss of a pair cannot depend on a weight."""
    if backbone == "unet" and head not in DENSE and weight.startswith(DECODER):
        return True  # it is not on the way
    if head in NEEDS and backbone not in FRAMES and "cross." in weight:
        return "query" in weight or "key" in weight  # one frame
    if head == "diagnosis" and weight.endswith("attention.bias"):
        return True  # a softmax does not see what all its arguments share
    return head == "diagnosis" and backbone not in FRAMES and "attention" in weight  # one frame


def test_these_lists_are_the_registries() -> None:
    assert set(SMALL) == set(BACKBONES)
    assert set(CLASSES) == set(SHAPES) == set(HEADS)


def test_a_head_without_what_it_needs_is_refused() -> None:
    for head, needs in NEEDS.items():
        made: Any = _network("unet", head)
        assert made.heads[head].needs == needs
        assert made.order.index(head) == len(needs)
        with pytest.raises(ValueError, match=f"{head} needs {', '.join(needs)}; there are"):
            build_network("unet", SMALL["unet"], [(head, head, CLASSES[head])], WINDOW)


def test_each_task_has_a_head() -> None:
    assert {task.head for task in TASKS.values()} <= set(HEADS)


@every_backbone
def test_a_recipe_can_name_a_backbone_and_its_defaults_make_it(backbone: str) -> None:
    assert set(BACKBONE_RECIPES) == set(BACKBONES)
    section = BACKBONE_RECIPES[backbone].model_validate({"name": backbone})
    options = section.model_dump(exclude={"name"})
    with torch.device("meta"):
        build_network(backbone, options, [("task", "diagnosis", 3)], WINDOW)


@every_head
@every_backbone
def test_a_pair_runs_forward_and_backward(backbone: str, head: str) -> None:
    network = _network(backbone, head)
    logits = network(*_inputs())[head]
    frames = (FRAMES.get(backbone, 1),) if head in FRAMEWISE else ()
    assert logits.shape == (*SHAPES[head], *frames)
    assert logits.isfinite().all()
    logits.square().sum().backward()
    for name, parameter in network.named_parameters():
        if head in NEEDS and name.startswith(("heads.waves.", "heads.beats.", *DECODER)):
            continue  # intervals may hold here or not: tests/models/test_intervals.py
        if _has_no_gradient(backbone, head, name):
            assert parameter.grad is None or parameter.grad.abs().max() < 1e-4, name
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@every_backbone
def test_values_of_absent_leads_change_nothing_and_absent_is_not_flat(backbone: str) -> None:
    network = _network(backbone, *CLASSES)  # in training: its norms' statistics change neither
    signal, present, *rest = _inputs()
    junk, flat = signal.clone(), signal.clone()
    junk[1, 4:] = float("nan")
    flat[1, 4:] = 0
    answers = []
    for values, leads in ((signal, present), (junk, present), (flat, torch.ones_like(present))):
        torch.manual_seed(1)  # the same dropout
        with torch.no_grad():
            answers.append(network(values, leads, *rest))
    for head in CLASSES:
        before, after, there = (answer[head] for answer in answers)
        assert torch.equal(before, after), head
        assert not torch.allclose(before[1], there[1], atol=1e-4), head


@pytest.mark.skipif(
    not has_bf16(torch.device("cpu")), reason="no kernels for bf16: nets are trained in fp32 here"
)
@every_backbone
def test_half_precision_teaches_the_weights_too(backbone: str) -> None:
    network = _network(backbone, *CLASSES)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(*_inputs())
    torch.stack([value.float().square().mean() for value in logits.values()]).sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@every_backbone
def test_dropout_is_for_training_alone(backbone: str) -> None:
    options = {**SMALL[backbone], "dropout": 0.5}
    torch.manual_seed(0)
    trunk: Any = build_network(backbone, options, [], WINDOW).backbone
    signal, present, _, _ = _inputs(8)
    with torch.no_grad():
        assert not torch.equal(trunk(signal, present).frames, trunk(signal, present).frames)
        trunk.eval()
        assert torch.equal(trunk(signal, present).frames, trunk(signal, present).frames)


@every_head
@every_backbone
def test_one_sample_in_a_window_of_padding_is_enough(backbone: str, head: str) -> None:
    signal, present, valid, covariates = _inputs()
    signal[..., 1:] = 0
    logits = _network(backbone, head).eval()(signal, present, torch.ones_like(valid), covariates)
    assert logits[head].isfinite().all()


@every_backbone
def test_in_use_a_row_does_not_depend_on_its_neighbours(backbone: str) -> None:
    network = _network(backbone, *CLASSES)
    signal, *rest = _inputs(4)
    with torch.no_grad():
        for _ in range(3):
            network.train()(signal, *rest)  # batch norms follow what they see
        taught = network(signal, *rest)
        network.eval()
        together = network(signal, *rest)
        alone = network(signal[:1], *(value[:1] for value in rest))
        signal[1:] *= 30
        apart = network(signal, *rest)
    for head in CLASSES:
        assert torch.allclose(together[head][0], alone[head][0], atol=1e-4), head
        assert torch.allclose(together[head][0], apart[head][0], atol=1e-4), head
    norms = [m for m in network.backbone.modules() if isinstance(m, nn.BatchNorm1d)]
    assert bool(norms) == (backbone in BATCH_NORM)
    if norms:
        assert not torch.allclose(taught["pooled"], together["pooled"], atol=1e-4)


@every_backbone
def test_a_backbone_says_what_it_gives(backbone: str) -> None:
    network = _network(backbone)
    trunk: Any = network.backbone
    signal, present, _, _ = _inputs()
    features = trunk(signal, present)
    assert features.frames.shape == (2, trunk.channels, FRAMES.get(backbone, 1))
    assert features.samples_per_frame == trunk.samples_per_frame
    assert features.dense.shape[1] == trunk.dense_channels
    assert (features.dense is features.frames) == (backbone != "unet")
    if backbone == "unet":
        assert trunk.reach_samples > 0
    else:
        assert trunk.reach_samples is None
        assert features.dense_samples_per_frame == features.samples_per_frame
    assert network.windowed == (backbone != "unet")
    assert network.samples_per_frame * FRAMES.get(backbone, 1) >= WINDOW
