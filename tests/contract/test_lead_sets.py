"""Each lead set is trained and scored on exactly its leads.

The authors of segment, perceive & classify found too late that their six leads were not six.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fascicle.bundle import Bundle, new_network
from fascicle.data import packing
from fascicle.data.augment import Augmentation, draw_leads
from fascicle.data.batch import Batch, Group, draw_rows, make_batch
from fascicle.data.pack import Pack
from fascicle.io.leads import derive
from fascicle.labels import challenge_classes, select
from fascicle.predict import Model, choose_leads, predict
from fascicle.recipe import parse_recipe
from fascicle.record import LEAD_SETS, LEADS, Record
from fascicle.signal.chain import Preprocessing
from fascicle.synth import synthesize
from fascicle.tasks import TASKS, aim_of, make_task

PLAIN: dict[str, Any] = {"rate_hz": 125.0, "baseline": "none"}
NAMED = tuple(name for name, leads in LEAD_SETS.items() if len(leads) > 1)
LIMBS = ("I", "II", "III", "aVR", "aVL", "aVF")
SMALL = {"latents": 4, "width": 16, "attention_heads": 2, "outputs": 8}


def _indices(leads: Any) -> NDArray[np.bool_]:
    return np.isin(LEADS, leads)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("packs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SYNTHETIC", 4)
        return packing.pack_source("synth", folder, folder, Preprocessing(**PLAIN))


@pytest.fixture(scope="module")
def model() -> Model:
    """Return a net for all lead sets, with every kind of head."""
    recipe = parse_recipe(
        {
            "name": "small",
            "preprocessing": PLAIN,
            "backbone": {"filters": [8, 8, 16], "decoder": [8, 8]},
            "tasks": {
                "waves": {},
                "beats": {},
                "diagnosis": {"systems": ["SNOMED-CT"], "head": "perceiver", "perceiver": SMALL},
                "pooled": {"kind": "diagnosis", "systems": ["SNOMED-CT"]},
            },
            "groups": [{"source": "synth", "tasks": ["waves"], "rows": 1}],
        },
        "small",
    )
    classes = select(challenge_classes(), ["426783006", "164889003"])
    known = {name: TASKS[name].vocabulary for name in ("waves", "beats")}
    bundle = Bundle(recipe, {**known, "diagnosis": classes, "pooled": classes}, {}, {}, {})
    torch.manual_seed(0)
    weights = new_network(recipe, bundle.tasks()).state_dict()
    return Model(replace(bundle, weights=weights))


@contextmanager
def _only_this_set(name: str) -> Iterator[Augmentation]:
    """Let augmentation draw this lead set, always."""
    with pytest.MonkeyPatch.context() as patch:
        chosen = {"12": LEADS, name: LEAD_SETS[name]}
        patch.setattr("fascicle.data.augment.LEAD_SETS", chosen)
        yield Augmentation(1.0, 0.0, 0.0, 0.0, lead_set=1.0, lead_drop=0.0, covariate_drop=0.0)


def _batch(pack: Pack, augmentation: Augmentation | None, leads: tuple[str, ...] = LEADS) -> Batch:
    tasks = {"waves": make_task("waves"), "beats": make_task("beats")}
    group = Group(pack, pack.entries, tuple(tasks), 6, leads=leads)
    rows = draw_rows([group], 250, (3,))
    return make_batch(rows, 250, {n: aim_of(task) for n, task in tasks.items()}, augmentation)


def test_the_sets_are_the_challenges() -> None:
    assert LEAD_SETS["12"] == LEADS
    assert LEAD_SETS["6"] == LIMBS
    assert LEAD_SETS["4"] == ("I", "II", "III", "V2")
    assert LEAD_SETS["3"] == ("I", "II", "V2")
    assert LEAD_SETS["2"] == ("I", "II")


@pytest.mark.parametrize("name", NAMED[1:])
def test_a_window_that_is_cut_to_a_set_has_its_leads_and_no_other(pack: Pack, name: str) -> None:
    wanted = _indices(LEAD_SETS[name])
    whole = _batch(pack, None)
    with _only_this_set(name) as augmentation:
        batch = _batch(pack, augmentation)
    assert (batch.present.numpy() == wanted).all()
    assert torch.equal(batch.signal[:, wanted], whole.signal[:, wanted])
    assert (batch.signal[:, ~wanted] == 0).all()
    assert torch.equal(batch.weights["waves"][:, wanted], whole.weights["waves"][:, wanted])
    assert (batch.weights["waves"][:, ~wanted] == 0).all()
    assert (batch.signal[:, wanted].abs().amax(-1) > 0).all()
    assert (whole.weights["waves"].sum((0, 2)) > 0).all()


def test_every_set_is_drawn_as_often_as_any_other() -> None:
    rng = np.random.default_rng(0)
    settings = Augmentation(lead_set=1.0, lead_drop=0.0)
    drawn = [draw_leads(np.ones(12, dtype=np.bool_), settings, rng) for _ in range(2000)]
    shares = {
        name: np.mean([np.array_equal(kept, _indices(LEAD_SETS[name])) for kept in drawn])
        for name in NAMED[1:]
    }
    others = len(LEAD_SETS) - 1
    assert all(abs(share - 1 / others) < 0.03 for share in shares.values()), shares


@pytest.mark.parametrize("name", NAMED)
def test_a_net_of_a_set_is_taught_its_leads_alone(pack: Pack, name: str) -> None:
    batch = _batch(pack, None, LEAD_SETS[name])
    assert (batch.present.numpy() == _indices(LEAD_SETS[name])).all()
    assert (batch.signal[:, ~_indices(LEAD_SETS[name])] == 0).all()


@pytest.mark.parametrize("name", NAMED)
def test_a_record_is_scored_on_its_set_and_what_follows_from_it(model: Model, name: str) -> None:
    record = synthesize("pvc", seed=1, duration_s=6.0, rate_hz=125.0)
    prepared = model.prepare(choose_leads(record, name))
    derived = set(LIMBS) if {"I", "II"} <= set(LEAD_SETS[name]) else set()
    assert set(np.array(LEADS)[prepared.present]) == set(LEAD_SETS[name]) | derived
    assert (prepared.signal[~prepared.present] == 0).all()
    for change in ("loud", "other"):
        changed = _changed(record, LEAD_SETS[name], change)
        assert np.array_equal(model.prepare(choose_leads(changed, name)).signal, prepared.signal)


def _changed(record: Record, kept: tuple[str, ...], how: str) -> Record:
    """Return the record with other signals in all leads but these."""
    signal = record.signal.copy()
    other = ~np.isin(record.leads, kept)
    if how == "loud":
        signal[other] *= 40
    else:
        signal[other] = np.random.default_rng(0).normal(size=signal[other].shape)
    return replace(record, signal=signal)


@pytest.mark.parametrize("name", NAMED)
def test_answers_follow_the_leads_of_the_set_and_no_other(model: Model, name: str) -> None:
    record = synthesize("sinus", seed=2, duration_s=6.0, rate_hz=125.0)

    def answers(change: Callable[[Record], Record]) -> dict[str, NDArray[np.float32]]:
        prepared = model.prepare(choose_leads(change(record), name))
        return predict(model.network, model.tasks, prepared, model.bundle)

    before = answers(lambda record: record)
    after = answers(lambda record: _changed(record, LEAD_SETS[name], "loud"))
    for task in before:
        assert np.array_equal(before[task], after[task]), task
    for lead in LEAD_SETS[name]:
        others = tuple(other for other in LEADS if other != lead)
        moved = answers(lambda record, kept=others: _changed(record, kept, "other"))  # type: ignore[misc]
        for task in before:
            assert not np.array_equal(before[task], moved[task]), (task, lead)


@pytest.mark.parametrize("name", NAMED)
def test_each_lead_of_a_set_reaches_the_loss_and_no_other_does(
    pack: Pack, model: Model, name: str
) -> None:
    batch = _batch(pack, None, LEAD_SETS[name])
    signal = torch.randn_like(batch.signal).requires_grad_()
    made = model.network(signal, batch.present, batch.valid, batch.covariates)
    torch.stack([logits.square().sum() for logits in made.values()]).sum().backward()  # type: ignore[no-untyped-call]
    assert signal.grad is not None
    reached = signal.grad.abs().sum((0, 2)).numpy() > 0
    assert np.array_equal(reached, _indices(LEAD_SETS[name]))


def test_leads_are_chosen_before_any_is_derived() -> None:
    record = synthesize("sinus", seed=2, duration_s=2.0, rate_hz=125.0)
    two = choose_leads(record, "2")
    assert set(two.leads) == set(LIMBS)
    assert two.derived == {"III", "aVR", "aVL", "aVF"}
    assert derive(record).derived == frozenset()
