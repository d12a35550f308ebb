"""Rhythms in findings: asked at once of whole records, however these are cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fascicle.bundle import Bundle, new_network
from fascicle.ensemble import make_ensemble
from fascicle.errors import BadRecipe
from fascicle.predict import Model, predict
from fascicle.recipe import parse_recipe
from fascicle.record import Record
from fascicle.synth import synthesize
from fascicle.tasks import TASKS


def make_bundle(seed: int = 4, backbone: str = "unet") -> Bundle:
    """Return a bundle of a small net with random weights, whose beats and rhythms are decided."""
    small = {"filters": [16, 16, 32], "decoder": [16, 16], "skip": 16, "kernel": 3}
    if backbone != "unet":
        small = {"name": backbone, "width": 8, "widest": 16, "kernel": 4}
    tasks = ("waves", "beats", "rhythm")
    recipe = parse_recipe(
        {
            "name": "small",
            "preprocessing": {"rate_hz": 125.0},
            "backbone": small,
            "tasks": {name: {} for name in tasks},
            "groups": [{"source": "synth", "tasks": ["rhythm"], "rows": 1}],
        },
        "small",
    )
    blank = Bundle(recipe, {name: TASKS[name].vocabulary for name in tasks}, {}, {}, {})
    torch.manual_seed(seed)
    network = new_network(recipe, blank.tasks())
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith(("net.3.weight", "rhythm.out.weight")):
                weight.mul_(12)
        network.get_parameter("heads.rhythm.out.bias")[1] += 4
    return replace(blank, weights=network.state_dict())


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(make_bundle())


@pytest.fixture(scope="module")
def record() -> Record:
    return synthesize("af", seed=4, duration_s=150.0, rate_hz=125.0)


def test_findings_hold_the_rhythms(model: Model, record: Record) -> None:
    spans = model.analyze(record).rhythm
    assert "AF" in {span.kind for span in spans}
    assert spans[-1].end_s <= record.duration_s + 0.3


def test_a_long_record_has_the_same_rhythms_however_it_is_cut(model: Model, record: Record) -> None:
    prepared = model.prepare(record)
    parts = [
        predict(model.network, model.tasks, prepared, model.bundle, chunk_s)
        for chunk_s in (1e5, 60.0, 13.7)
    ]
    assert parts[0]["rhythm"].shape == (7, -(-prepared.signal.shape[1] // 8))
    assert np.ptp(parts[0]["rhythm"][1]) > 0.1
    for part in parts[1:]:
        assert np.abs(part["rhythm"] - parts[0]["rhythm"]).max() < 1e-3
    alone = predict(model.network, {"rhythm": model.tasks["rhythm"]}, prepared, model.bundle)
    assert set(alone) == {"rhythm"}
    assert np.abs(alone["rhythm"] - parts[1]["rhythm"]).max() < 1e-5


def test_nothing_is_said_of_a_short_record_or_without_a_good_lead(
    model: Model, record: Record
) -> None:
    short = replace(record, signal=record.signal[:, :500])
    assert model.analyze(short).rhythm == ()
    rng = np.random.default_rng(0)
    noise = (record.signal + rng.normal(0, 3, record.signal.shape)).astype(np.float32)
    found = model.analyze(replace(record, signal=noise))
    assert any("no lead is of good quality" in warning for warning in found.warnings)
    assert found.rhythm == ()


def test_an_ensemble_has_rhythms_too(model: Model, record: Record) -> None:
    bundle = make_ensemble([make_bundle(4), make_bundle(5)])
    short = replace(record, signal=record.signal[:, :1250])
    prepared = model.prepare(short)
    together = Model(bundle).probabilities(prepared)["rhythm"]
    members = [Model(make_bundle(seed)).probabilities(prepared)["rhythm"] for seed in (4, 5)]
    assert np.allclose(together, np.mean(members, axis=0), atol=1e-5)


def test_a_net_of_fixed_windows_has_them_per_sample() -> None:
    model = Model(make_bundle(backbone="resnet34"))
    record = synthesize("sinus", seed=4, duration_s=23.0, rate_hz=125.0)
    prepared = model.prepare(record)
    made = predict(model.network, model.tasks, prepared, model.bundle)["rhythm"]
    assert made.shape == (7, prepared.signal.shape[1])
    assert np.allclose(made.sum(axis=0), 1, atol=1e-4)
    assert model.analyze(record).leads == record.leads


def test_a_rhythm_without_beats_and_waves_is_refused() -> None:
    tree = make_bundle().recipe.model_dump(mode="json")
    del tree["tasks"]["waves"]
    with pytest.raises(BadRecipe, match=r"tasks\.rhythm: its head needs the task waves"):
        parse_recipe(tree, "small")
