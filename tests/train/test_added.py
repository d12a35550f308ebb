"""A bundle grows by a class: the new logit is the row's, and every old answer stays, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logit

from fascicle.bundle import Bundle, new_network, read_bundle, save_bundle
from fascicle.ensemble import make_ensemble
from fascicle.errors import BadBundle, BadRequest
from fascicle.labels import Term, Vocabulary, superclasses
from fascicle.predict import Model, predict
from fascicle.recipe import parse_recipe
from fascicle.record import Record
from fascicle.synth import synthesize
from fascicle.tasks import TASKS
from fascicle.train.added import add_class, base_of, check_new, embedder, stored_kind
from fascicle.train.new_class import Row

BRUGADA = Term("OURS", "BRUGADA", "Brugada pattern")
WPW = Term("SCP-ECG", "WPW", "pre-excitation")
UNET = {"filters": [8, 8], "decoder": [8], "skip": 8, "kernel": 3}
HEADS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "diagnosis": (UNET, {}),
    "pooled": (UNET, {"head": "pooled"}),
    "challenge": (UNET, {"head": "challenge", "loss": "challenge"}),
    "logistic": ({"name": "resnet34", "width": 8, "widest": 8}, {"head": "logistic"}),
}


def make_bundle(kind: str = "diagnosis", *, half: bool = False) -> Bundle:
    """Return a bundle of a tiny net with random weights and this head for diagnoses."""
    backbone, head = HEADS[kind]
    dense: dict[str, Any] = {"waves": {}, "beats": {}} if backbone is UNET else {}
    recipe = parse_recipe(
        {
            "name": "small",
            "window_s": 4.0,
            "preprocessing": {"rate_hz": 125.0},
            "backbone": backbone,
            "tasks": {**dense, "diagnosis": {"systems": ["PTB-XL superclass"], **head}},
            "groups": [{"source": "synth", "tasks": ["diagnosis"], "rows": 1}],
        },
        "small",
    )
    vocabularies = {name: TASKS[name].vocabulary for name in dense}
    merged = {("PTB-XL superclass", "ISCHAEMIA"): "STTC"}
    vocabularies["diagnosis"] = Vocabulary(superclasses().terms, merged)
    blank = Bundle(recipe, vocabularies, {}, {}, {})
    torch.manual_seed(1)
    weights = new_network(recipe, blank.tasks()).state_dict()
    return replace(
        blank,
        weights={n: w.half() if half and w.is_floating_point() else w for n, w in weights.items()},
        thresholds={"diagnosis": (0.1, 0.2, 0.3, 0.4, 0.5)},
        temperatures={"diagnosis": (1.0, 1.5, 2.0, 0.5, 1.0)},
        card={"trained_on": [], "note": "old"},
    )


def make_row(bundle: Bundle, seed: int = 0) -> Row:
    record = synthesize("sinus", seed=1, duration_s=4.0)
    width = len(embedder(bundle)(Model(bundle).prepare(record)))
    kind = stored_kind(bundle)
    weight = np.random.default_rng(seed).normal(size=width).astype(kind).astype(np.float64)
    return Row(weight, float(kind(0.3)))


def answers(bundle: Bundle, record: Record) -> dict[str, Any]:
    model = Model(bundle)
    return predict(model.network, model.tasks, model.prepare(record), bundle)


@pytest.mark.parametrize("duration_s", [3.0, 25.0])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", HEADS)
def test_the_new_logit_is_the_rows_and_old_answers_stay(
    kind: str, half: bool, duration_s: float, tmp_path: Path
) -> None:
    bundle = make_bundle(kind, half=half)
    row = make_row(bundle)
    grown = save_bundle(add_class(bundle, BRUGADA, row, 0.25, {}), tmp_path / "grown.safetensors")
    grown = read_bundle(tmp_path / "grown.safetensors")
    record = synthesize("af", seed=2, duration_s=duration_s)
    old, new = answers(bundle, record), answers(grown, record)
    assert set(new) == {*old, "added"}
    for task, array in old.items():
        assert array.tobytes() == new[task].tobytes()
    embedding = embedder(bundle)(Model(bundle).prepare(record))
    wanted = row.logits(embedding[np.newaxis])
    np.testing.assert_allclose(logit(new["added"].astype(float)), wanted, atol=1e-3)


def test_old_weights_are_the_same_bytes(tmp_path: Path) -> None:
    bundle = make_bundle(half=True)
    save_bundle(add_class(bundle, BRUGADA, make_row(bundle), 0.25, {}), tmp_path / "grown")
    grown = read_bundle(tmp_path / "grown")
    for name, weight in bundle.weights.items():
        assert grown.weights[name].dtype == weight.dtype
        assert grown.weights[name].numpy().tobytes() == weight.numpy().tobytes()
    assert {w.dtype for w in grown.weights.values()} == {torch.float16}
    assert grown.temperatures == bundle.temperatures


def test_findings_list_the_old_diagnoses_and_then_the_new() -> None:
    bundle = make_bundle()
    record = synthesize("sinus", seed=3)
    grown = add_class(bundle, BRUGADA, make_row(bundle), 0.25, {"code": "BRUGADA"})
    old, new = (Model(part).analyze(record) for part in (bundle, grown))
    assert new.diagnoses[:-1] == old.diagnoses
    assert new.waves == old.waves
    assert new.beats == old.beats
    last = new.diagnoses[-1]
    assert (last.system, last.code, last.name) == ("OURS", "BRUGADA", "Brugada pattern")
    assert last.threshold == 0.25
    assert grown.card == {"trained_on": [], "note": "old", "added": [{"code": "BRUGADA"}]}


def test_a_second_class_is_a_second_row(tmp_path: Path) -> None:
    bundle = make_bundle(half=True)
    first, second = make_row(bundle), make_row(bundle, seed=1)
    once = add_class(bundle, BRUGADA, first, 0.25, {"code": "BRUGADA"})
    assert base_of(once) == "added"
    record = synthesize("sinus", seed=3)
    prepared = Model(bundle).prepare(record)
    np.testing.assert_array_equal(embedder(once)(prepared), embedder(bundle)(prepared))
    save_bundle(add_class(once, WPW, second, 0.5, {"code": "WPW"}), tmp_path / "twice")
    twice = read_bundle(tmp_path / "twice")
    old, new = answers(once, record), answers(twice, record)
    assert new["added"][0] == old["added"][0]
    assert new["diagnosis"].tobytes() == old["diagnosis"].tobytes()
    wanted = second.logits(embedder(bundle)(prepared)[np.newaxis])
    np.testing.assert_allclose(logit(new["added"][1:].astype(float)), wanted, atol=1e-3)
    assert [term.code for term in twice.vocabularies["added"].terms] == ["BRUGADA", "WPW"]
    assert twice.thresholds["added"] == (0.25, 0.5)
    assert [entry["code"] for entry in twice.card["added"]] == ["BRUGADA", "WPW"]


@pytest.mark.parametrize("code", ["STTC", "ISCHAEMIA"])
def test_a_class_that_is_there_is_refused(code: str) -> None:
    with pytest.raises(BadRequest, match=f"has PTB-XL superclass {code} already: STTC"):
        check_new(make_bundle(), Term("PTB-XL superclass", code, "x"))


def test_an_added_class_is_there_too() -> None:
    bundle = make_bundle()
    once = add_class(bundle, BRUGADA, make_row(bundle), 0.25, {})
    with pytest.raises(BadRequest, match="of added"):
        add_class(once, BRUGADA, make_row(bundle), 0.25, {})


def test_a_net_without_answers_for_records_is_refused() -> None:
    bundle = make_bundle()
    tasks = {name: bundle.recipe.tasks[name] for name in ("waves", "beats")}
    dense = replace(bundle, recipe=bundle.recipe.model_copy(update={"tasks": tasks}))
    with pytest.raises(BadBundle, match="has waves, beats"):
        check_new(dense, BRUGADA)


def test_an_ensemble_is_refused() -> None:
    both = make_ensemble([make_bundle(), make_bundle(half=True)])
    with pytest.raises(BadBundle, match="adapt each member"):
        check_new(both, BRUGADA)
