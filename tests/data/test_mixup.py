"""Mixup: what both rows have, in the share that was asked for, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from fascicle.data.batch import Batch
from fascicle.data.mixup import mix
from fascicle.errors import BadRequest

ROWS = {
    "diagnosis": torch.tensor([True, True, True, True, False, True]),
    "waves": torch.tensor([False, False, False, False, True, True]),
}


@pytest.fixture
def batch() -> Batch:
    """Return four rows with a diagnosis, one with waves, one with both."""
    source = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=source)

    covariates = torch.tensor([0.5, 1.0, -1.0, 1.0]).repeat(6, 1)
    covariates[1] = torch.tensor([0.7, 1.0, 1.0, 1.0])
    return Batch(
        names=tuple("abcdef"),
        signal=draw(6, 3, 40),
        present=torch.ones(6, 3, dtype=torch.bool),
        valid=torch.full((6,), 40),
        covariates=covariates,
        targets={"diagnosis": (draw(5, 4) > 0).float(), "waves": draw(2, 3, 40)},
        weights={"diagnosis": torch.ones(5, 4), "waves": torch.ones(2, 3, 40)},
        rows=ROWS,
    )


def _pairs(mixed: Batch) -> dict[int, int]:
    """Return row -> partner, from the names."""
    named = enumerate(name.split("+") for name in mixed.names)
    return {row: "abcdef".index(pair[1]) for row, pair in named if len(pair) == 2}


def test_signal_labels_and_covariates_are_mixed_alike(batch: Batch) -> None:
    mixed = mix(batch, 0.3, np.random.default_rng(1), {"diagnosis"})
    pairs = _pairs(mixed)
    assert sorted(pairs) == [0, 1, 2, 3]
    for row, other in pairs.items():
        assert row != other
        for new, old in (
            (mixed.signal, batch.signal),
            (mixed.targets["diagnosis"], batch.targets["diagnosis"]),
            (mixed.covariates, batch.covariates),
        ):
            torch.testing.assert_close(new[row], 0.3 * old[row] + 0.7 * old[other])
    assert mixed.rows is batch.rows


def test_rows_with_marks_stay_as_they_are(batch: Batch) -> None:
    mixed = mix(batch, 0.3, np.random.default_rng(1), {"diagnosis"})
    assert torch.equal(mixed.signal[4:], batch.signal[4:])
    assert torch.equal(mixed.targets["diagnosis"][4], batch.targets["diagnosis"][4])
    assert torch.equal(mixed.targets["waves"], batch.targets["waves"])
    assert mixed.names[4:] == ("e", "f")
    nothing = mix(batch, 0.3, np.random.default_rng(1), ())
    assert nothing is batch


def test_rows_mix_within_their_set_of_tasks_only(batch: Batch) -> None:
    other = torch.tensor([True, True, False, False, False, False])
    batch = replace(
        batch,
        targets={**batch.targets, "rhythm": torch.tensor([[1.0], [0.0]])},
        weights={**batch.weights, "rhythm": torch.ones(2, 1)},
        rows={**batch.rows, "rhythm": other},
    )
    mixed = mix(batch, 0.25, np.random.default_rng(3), {"diagnosis", "rhythm"})
    assert _pairs(mixed) == {0: 1, 1: 0, 2: 3, 3: 2}
    assert mixed.targets["rhythm"].tolist() == [[0.25], [0.75]]


def test_only_leads_and_samples_that_both_have_are_left(batch: Batch) -> None:
    present, valid = batch.present.clone(), batch.valid.clone()
    present[0], present[1] = torch.tensor([True, True, False]), torch.tensor([False, True, True])
    valid[1] = 25
    signal = batch.signal * present[..., None]
    signal[1, :, 25:] = 0
    rows = {"diagnosis": torch.tensor([True, True, False, False, False, False])}
    batch = replace(
        batch,
        present=present,
        valid=valid,
        signal=signal,
        rows={**rows, "waves": ~rows["diagnosis"]},
    )
    batch = replace(
        batch,
        targets={"diagnosis": batch.targets["diagnosis"][:2]},
        weights={"diagnosis": batch.weights["diagnosis"][:2]},
    )
    mixed = mix(batch, 0.15, np.random.default_rng(0), {"diagnosis"})
    assert mixed.present[:2].tolist() == [[False, True, False]] * 2
    assert mixed.valid[:2].tolist() == [25, 25]
    assert (mixed.signal[:2][~mixed.present[:2]] == 0).all()
    assert (mixed.signal[:2, :, 25:] == 0).all()
    both = 0.15 * signal[0, 1, :25] + 0.85 * signal[1, 1, :25]
    torch.testing.assert_close(mixed.signal[0, 1, :25], both)


def test_rows_without_a_common_lead_stay_as_they_are(batch: Batch) -> None:
    present = torch.eye(3, dtype=torch.bool).repeat(2, 1)  # rows 0 and 3 share their lead
    batch = replace(batch, present=present, signal=batch.signal * present[..., None])
    seen = set()
    for seed in range(20):
        mixed = mix(batch, 0.3, np.random.default_rng(seed), {"diagnosis"})
        assert mixed.present.any(1).all()
        pairs = _pairs(mixed)
        seen |= set(pairs.items())
        for row in set(range(6)) - set(pairs):
            assert torch.equal(mixed.signal[row], batch.signal[row])
            assert mixed.valid[row] == batch.valid[row]
    assert seen == {(0, 3), (3, 0)}


def test_a_label_or_covariate_that_one_row_does_not_know_is_unknown(batch: Batch) -> None:
    weights = batch.weights["diagnosis"].clone()
    weights[2, 1] = 0
    covariates = batch.covariates.clone()
    covariates[2, :2] = 0
    batch = replace(batch, weights={**batch.weights, "diagnosis": weights}, covariates=covariates)
    mixed = mix(batch, 0.3, np.random.default_rng(1), {"diagnosis"})
    pairs = _pairs(mixed)
    for row in range(4):
        hidden = 2 in (row, pairs[row])
        assert mixed.weights["diagnosis"][row].tolist() == [1, float(not hidden), 1, 1]
        assert bool(mixed.covariates[row, 1] == 0) == hidden
        assert bool(mixed.covariates[row, 0] == 0) == hidden
        assert mixed.covariates[row, 3] == 1


def test_one_seed_mixes_the_same_and_the_batch_is_not_changed(batch: Batch) -> None:
    before = batch.signal.clone()
    one, two, three = (
        mix(batch, 0.3, np.random.default_rng(seed), {"diagnosis"}) for seed in (1, 1, 5)
    )
    assert torch.equal(one.signal, two.signal)
    assert not torch.equal(one.signal, three.signal)
    assert torch.equal(batch.signal, before)


def test_partners_are_drawn_from_all(batch: Batch) -> None:
    rng = np.random.default_rng(0)
    seen = {pair for _ in range(60) for pair in _pairs(mix(batch, 0.3, rng, {"diagnosis"})).items()}
    assert seen == {(row, other) for row in range(4) for other in range(4) if row != other}


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_outside_zero_and_one_is_refused(batch: Batch, alpha: float) -> None:
    with pytest.raises(BadRequest, match="alpha must be between 0 and 1"):
        mix(batch, alpha, np.random.default_rng(0), {"diagnosis"})
