"""Checkpoints: whole or not at all, all of the state, no pickle."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fascicle.errors import BadData
from fascicle.recipe import TrainingRecipe
from fascicle.train.checkpoint import load_tensors, restore, save_tensors, training_state
from fascicle.train.optimiser import make_optimiser


def step(network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    network(torch.arange(6.0).reshape(2, 3)).square().sum().backward()
    optimiser.step()


@pytest.mark.parametrize("name", ["adamw", "adam", "ranger", "madgrad"])
@pytest.mark.parametrize("steps", [3, 6, 8])  # Ranger looks ahead at every sixth
def test_a_restored_optimiser_steps_as_the_other_would(
    name: Any, steps: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    settings = TrainingRecipe(optimiser=name, learning_rate=0.1)
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    optimiser = make_optimiser(network, settings)
    for _ in range(steps):
        step(network, optimiser)
    average = copy.deepcopy(network)
    save_tensors(tmp_path / "c", training_state(network, average, optimiser), {"step": 3})
    for _ in range(7):
        step(network, optimiser)

    fresh = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    other = make_optimiser(fresh, settings)
    tensors, header = load_tensors(tmp_path / "c")
    assert header == {"step": 3}
    restore(tensors, fresh, fresh_average := copy.deepcopy(fresh), other)
    for a, b in zip(fresh_average.parameters(), average.parameters(), strict=True):
        assert torch.equal(a, b)
    for _ in range(7):
        step(fresh, other)
    for a, b in zip(fresh.parameters(), network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_restored_moments_are_no_views_of_the_file(tmp_path: Path) -> None:
    network = nn.Linear(3, 1)
    optimiser = torch.optim.AdamW(network.parameters())
    step(network, optimiser)
    state = training_state(network, network, optimiser)
    state = {name: tensor.clone() for name, tensor in state.items()}
    restore(state, network, network, optimiser)
    before = {name: tensor.clone() for name, tensor in state.items()}
    step(network, optimiser)
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    save_tensors(path, {"a": torch.ones(1)}, {"step": 1})
    old = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_tensors(path, {"a": torch.zeros(1)}, {"step": 2})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_header_must_be_strict_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save_tensors(tmp_path / "c", {"a": torch.ones(1)}, {"best": float("-inf")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"PK\x03\x04", bytes(100)])
def test_what_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(BadData, match="not a fascicle checkpoint"):
        load_tensors(tmp_path / "c")


def test_foreign_safetensors_a_pickle_and_nothing_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "foreign", metadata={"format": "pt"})
    (tmp_path / "pickle").write_bytes(pickle.dumps({"a": 1}))
    for name in ("foreign", "pickle"):
        with pytest.raises(BadData, match=f"{name}: not a fascicle checkpoint"):
            load_tensors(tmp_path / name)
    with pytest.raises(BadData, match="no such file"):
        load_tensors(tmp_path / "absent")
