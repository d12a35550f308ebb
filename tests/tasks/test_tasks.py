"""Tasks: each value fits the rooms that it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fascicle.data.pack import Entry
from fascicle.errors import BadRequest
from fascicle.labels import Term, Vocabulary
from fascicle.models.network import HEADS, build_network
from fascicle.record import BEAT_KINDS, LEADS, WAVE_KINDS, Beat, Rhythm, Wave
from fascicle.tasks import (
    TASKS,
    Task,
    aim_of,
    beat_probabilities,
    is_labelled,
    make_task,
    sigmoid,
    softmax,
)

Array = NDArray[np.float32]
CLASSES = Vocabulary(tuple(Term("SCP-ECG", code, code) for code in ("NORM", "AFIB", "PVC")))


def _tasks() -> list[Task]:
    """Return the tasks of records; test_windows has those of windows around beats."""
    return [make_task(n, CLASSES) for n, task in TASKS.items() if task.resolution != "window"]


def _entry() -> Entry:
    waves = tuple(
        Wave(lead, kind, onset, onset + 0.04, onset + 0.08)
        for lead in LEADS
        for kind, onset in zip(WAVE_KINDS, (0.5, 0.7, 0.9), strict=True)
    )
    return Entry(
        key="a/1", name="1", patient="a/1", fold=0, source="a", leads=LEADS, rate_hz=500.0,
        samples=500,
        shard="0", offset=0, scale=np.ones(12, dtype=np.float32), age=None, sex=None,
        labels={"SCP-ECG": frozenset({"NORM"})}, annotated=frozenset({"beats", "rhythms", "waves"}),
        waves=waves, beats=(Beat(0.74, "V"),), rhythms=(Rhythm(0.0, 2.0, "AFIB"),),
    )  # fmt: skip


def test_names_and_needs_are_tasks() -> None:
    for name, task in TASKS.items():
        assert task.name == name
        assert task.head in HEADS
        assert set(task.needs) <= set(TASKS)
        assert task.monitor.startswith("windows." if task.resolution == "window" else f"{name}.")


def test_classes_stand_as_record_has_them() -> None:
    assert tuple(t.code for t in TASKS["waves"].vocabulary.terms) == ("none", *WAVE_KINDS)
    assert tuple(t.code for t in TASKS["beats"].vocabulary.terms) == BEAT_KINDS


@pytest.mark.parametrize("task", _tasks(), ids=lambda task: task.name)
def test_target_logits_and_loss_of_a_task_fit(task: Task) -> None:
    torch.manual_seed(0)
    network = build_network(
        "unet",
        {"filters": (8, 16), "decoder": (8,), "skip": 8},
        [(t.name, t.head, len(t.vocabulary)) for t in (*(TASKS[n] for n in task.needs), task)],
        500,
    ).eval()
    target, weight = task.target(_entry(), 0, 500, 250.0, task.vocabulary)
    assert weight.shape == target.shape
    assert weight.shape[0] == task.parts
    assert weight.any()
    logits = network(
        torch.randn(1, 12, 500), torch.ones(1, 12, dtype=torch.bool), torch.tensor([500]),
        torch.zeros(1, 6),
    )[task.name]  # fmt: skip
    loss = task.loss(logits, torch.from_numpy(target)[None], torch.from_numpy(weight)[None])
    assert loss.isfinite()
    assert loss > 0
    probabilities = task.activate(logits[0].detach().numpy())
    assert probabilities.shape == logits[0].shape
    assert probabilities.dtype == np.float32
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_a_target_that_moves_with_its_lead_has_a_row_per_lead() -> None:
    for task in _tasks():
        target, _ = task.target(_entry(), 0, 100, 250.0, task.vocabulary)
        assert task.moves_with_lead == (target.shape == (12, 100))


@pytest.mark.parametrize("task", _tasks(), ids=lambda task: task.name)
def test_an_aim_is_the_tasks_own(task: Task) -> None:
    aim = aim_of(task)
    assert aim.target is task.target
    assert aim.vocabulary is task.vocabulary
    assert aim.moves_with_lead == task.moves_with_lead


def test_only_data_dependent_tasks_take_a_vocabulary() -> None:
    diagnosis = make_task("diagnosis", CLASSES)
    assert diagnosis.vocabulary is CLASSES
    assert diagnosis.parts == 3
    assert TASKS["diagnosis"].parts == 0  # the table stays as it was
    assert make_task("waves", CLASSES) is make_task("waves") is TASKS["waves"]


def test_unknown_tasks_and_a_diagnosis_without_classes_are_refused() -> None:
    with pytest.raises(BadRequest, match="no task 'speech'; known: waves, beats, diagnosis"):
        make_task("speech")
    for nothing in (None, Vocabulary(())):
        with pytest.raises(BadRequest, match="needs classes"):
            make_task("diagnosis", nothing)


@pytest.mark.parametrize("function", [softmax, sigmoid, beat_probabilities])
def test_activations_do_not_overflow(
    function: Callable[[Array], Array],
) -> None:
    extreme = np.array([[1e5], [-1e5], [0], [1e5], [3], [2]], dtype=np.float32)
    assert np.isfinite(function(extreme)).all()


def test_activations_equal_torch() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (2, 6, 9)).astype(np.float32)
    tensor = torch.from_numpy(logits)
    assert np.allclose(softmax(logits), torch.softmax(tensor, dim=1), atol=1e-6)
    assert np.allclose(sigmoid(logits), torch.sigmoid(tensor), atol=1e-6)
    beats = beat_probabilities(logits)
    assert np.allclose(beats[:, :1], torch.sigmoid(tensor[:, :1]), atol=1e-6)
    assert np.allclose(beats[:, 1:], torch.softmax(tensor[:, 1:], dim=1), atol=1e-6)


def test_a_record_is_scored_for_what_it_says() -> None:
    entry = _entry()
    assert is_labelled(entry, TASKS["waves"])
    assert is_labelled(entry, TASKS["beats"])
    assert not is_labelled(replace(entry, annotated=frozenset({"waves"})), TASKS["beats"])
    assert is_labelled(entry, TASKS["rhythm"])
    assert not is_labelled(replace(entry, annotated=frozenset({"rhythm"})), TASKS["rhythm"])
    diagnosis = make_task("diagnosis", Vocabulary((Term("SCP-ECG", "NORM", "normal"),)))
    assert is_labelled(entry, diagnosis)
    assert is_labelled(replace(entry, labels={"SCP-ECG": frozenset()}), diagnosis)
    assert not is_labelled(replace(entry, labels={"SNOMED-CT": frozenset({"1"})}), diagnosis)
    assert not is_labelled(replace(entry, labels={}), diagnosis)
