"""Every class can be predicted: no unit without gradient, no label that teaches none.

The authors of segment, perceive & classify found too late that two of their classes never could.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fascicle.data.pack import Entry
from fascicle.labels import (
    SNOMED,
    Vocabulary,
    challenge_classes,
    scp_statements,
    superclasses,
)
from fascicle.models.network import HeadPlan, build_network
from fascicle.models.perceiver import PerceiverHead
from fascicle.models.unet import Features
from fascicle.record import BEAT_KINDS, LEADS, WAVE_KINDS, Beat, Wave
from fascicle.tasks import LOSSES, Task, make_task

WINDOW, RATE = 240, 100.0
OPTIONS = {"filters": (8, 16), "decoder": (8,)}
PERCEIVER: dict[str, Any] = {
    "latents": 4,
    "width": 16,
    "attention_heads": 2,
    "outputs": 16,
    "rate_hz": RATE,
}
VOCABULARIES = {
    "SNOMED-CT": challenge_classes,
    "SCP-ECG": scp_statements,
    "superclass": superclasses,
}
HEADS = ("diagnosis", "pooled", "logistic", "perceiver")


def _entry(**changes: Any) -> Entry:
    blank = Entry(
        key="a/1", name="1", patient="a/1", fold=0, source="a", leads=LEADS, rate_hz=RATE,
        samples=WINDOW, shard="0", offset=0, scale=np.ones(12, dtype=np.float32), age=None,
        sex=None, labels={}, annotated=frozenset({"beats", "waves"}), waves=(), beats=(),
        rhythms=(),
    )  # fmt: skip
    return replace(blank, **changes)


def _rigged(task: Task) -> tuple[Tensor, Tensor]:
    """Return targets and weights of records of which each holds one class of the vocabulary."""
    entries = [_entry(labels={t.system: frozenset({t.code})}) for t in task.vocabulary.terms]
    made = [task.target(entry, 0, WINDOW, RATE, task.classes) for entry in entries]
    return (
        torch.from_numpy(np.stack([target for target, _ in made])),
        torch.from_numpy(np.stack([weight for _, weight in made])),
    )


def _task(vocabulary: Vocabulary, head: str, loss: str, *, rewrite: bool) -> Task:
    return make_task("diagnosis", vocabulary, head=head, loss=loss, rewrite=rewrite)


@pytest.mark.parametrize("rewrite", [False, True])
@pytest.mark.parametrize("system", VOCABULARIES)
def test_each_label_teaches_a_class_and_each_class_has_a_label(system: str, rewrite: bool) -> None:
    vocabulary = VOCABULARIES[system]()
    task = _task(vocabulary, "diagnosis", "bce", rewrite=rewrite)
    target, weight = _rigged(task)
    assert (target.sum(1) > 0).all()
    assert (target.sum(0) > 0).all()
    assert (weight == 1).all()
    # The right logits decide for the label, and for no other that the record does not imply.
    decided = task.deciding((20 * target - 10).numpy()) > 0
    assert decided[np.eye(len(vocabulary), dtype=bool)].all()
    extra = decided.sum(1) - 1
    assert (extra == 0).all() or (rewrite and extra.max() == 1)


@pytest.mark.parametrize("rewrite", [False, True])
def test_codes_that_count_as_a_class_teach_it(rewrite: bool) -> None:
    vocabulary = challenge_classes()
    task = _task(vocabulary, "diagnosis", "bce", rewrite=rewrite)
    for (system, equivalent), code in vocabulary.merged.items():
        entry = _entry(labels={system: frozenset({equivalent})})
        target, _ = task.target(entry, 0, WINDOW, RATE, task.classes)
        assert target[task.classes.index(SNOMED, code)] == 1


@pytest.mark.parametrize("rewrite", [False, True])
@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "challenge"])
@pytest.mark.parametrize("head", HEADS)
def test_each_output_gets_gradient_that_raises_it_on_its_positive(
    head: str, loss: str, rewrite: bool
) -> None:
    task = _task(challenge_classes(), head, loss, rewrite=rewrite)
    target, weight = _rigged(task)
    plans = [HeadPlan("waves", "waves", 4), HeadPlan("beats", "beats", 5)]
    options = PERCEIVER if head == "perceiver" else {}
    plans.append(HeadPlan("diagnosis", head, len(task.classes), options))
    torch.manual_seed(0)
    network: Any = build_network("unet", OPTIONS, plans, WINDOW)
    rows = len(target)
    logits = network(
        torch.randn(rows, 12, WINDOW), torch.ones(rows, 12, dtype=torch.bool),
        torch.full((rows,), WINDOW), torch.zeros(rows, 6),
    )["diagnosis"]  # fmt: skip
    logits.retain_grad()
    loss_value: Any = task.loss(logits, target, weight / weight.sum())
    loss_value.backward()
    assert ((logits.grad < 0) == (target > 0)).all()
    out = network.heads["diagnosis"].out
    last: Any = out[0] if isinstance(out, torch.nn.ModuleList) else out
    assert (last.weight.grad.abs().amax(1) > 0).all()
    assert (last.bias.grad != 0).all()


def test_a_rigged_batch_is_learnt_with_each_of_its_classes() -> None:
    vocabulary = challenge_classes()
    task = _task(vocabulary, "perceiver", "asymmetric", rewrite=True)
    target, weight = _rigged(task)
    torch.manual_seed(0)
    rows = len(target)
    options = {**PERCEIVER, "width": 32, "outputs": 64, "iterations": 1}
    head: Any = PerceiverHead(32, len(task.classes), intervals=False, dropout=0.0, **options)
    frames = 5 * torch.eye(32)[:rows].unsqueeze(-1).repeat(1, 1, 4)  # each record is its own
    inputs = (
        Features(frames, 16, frames, 16), torch.zeros(rows, 12, 64),
        torch.ones(rows, 12, dtype=torch.bool), torch.full((rows,), 64), torch.zeros(rows, 6),
    )  # fmt: skip
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(60):
        loss: Any = task.loss(head(*inputs), target, weight / weight.sum())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        decided = task.deciding(head(*inputs).numpy()) > 0
    assert decided.any(axis=0).all(), "classes that are never predicted"
    assert decided[np.eye(len(vocabulary), dtype=bool)].all()


def test_each_kind_of_wave_and_beat_gets_a_positive_and_gradient() -> None:
    waves = tuple(
        Wave(lead, kind, onset, onset + 0.04, onset + 0.08)
        for lead in LEADS
        for kind, onset in zip(WAVE_KINDS, (0.3, 0.5, 0.8), strict=True)
    )
    beats = tuple(Beat(0.2 + 0.4 * place, kind) for place, kind in enumerate(BEAT_KINDS))
    entry = _entry(waves=waves, beats=beats)
    for name, classes in (("waves", 4), ("beats", 5)):
        task = make_task(name)
        target, weight = task.target(entry, 0, WINDOW, RATE, task.vocabulary)
        places = target if name == "waves" else target[1]
        known = weight if name == "waves" else weight[1]
        assert set(np.unique(places[known > 0])) == set(range(classes))
        shape = (1, 12, 4, WINDOW) if name == "waves" else (1, 6, WINDOW)
        logits = torch.zeros(shape, requires_grad=True)
        task.loss(logits, torch.from_numpy(target)[None], torch.from_numpy(weight)[None]).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        axis = 2 if name == "waves" else 1
        others = [a for a in range(logits.ndim) if a != axis]
        assert (logits.grad.amin(others) < 0).all(), name
        assert (logits.grad.amax(others) > 0).all(), name
