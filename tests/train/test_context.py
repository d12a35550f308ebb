"""A second stage learns what the beats around tell, and changes nothing but kinds of beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fascicle.bundle import CONTEXT, Bundle, new_network, read_bundle, save_bundle
from fascicle.data.sources import SOURCES, Item
from fascicle.decode.beats import find_beats, pooled_qrs
from fascicle.decode.context import FEATURES
from fascicle.ensemble import make_ensemble
from fascicle.errors import BadBundle, BadData, BadRequest
from fascicle.evaluate import seen_in_training
from fascicle.models.context import ContextHead
from fascicle.predict import Model, predict
from fascicle.recipe import parse_recipe
from fascicle.record import BEAT_KINDS, Record, Rhythm
from fascicle.synth import synthesize
from fascicle.tasks import TASKS
from fascicle.train import context as module
from fascicle.train.context import (
    Example,
    Lesson,
    add_context,
    card_entry,
    check_teachable,
    gather,
    teach,
)

SHORT = Lesson(steps=8, rows=4, beats=20)
ENTRY = {"source": "mitdb", "folds": [1], "records": 2, "beats": 10, "seed": 0}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Return a bundle of a tiny net that finds something everywhere."""
    recipe = parse_recipe(
        {
            "name": "small",
            "preprocessing": {"rate_hz": 125.0, "baseline": "none"},
            "backbone": {"filters": [8, 8], "decoder": [8], "skip": 8, "kernel": 3},
            "tasks": {"waves": {}, "beats": {}},
            "groups": [{"source": "synth", "tasks": ["waves"], "rows": 1}],
        },
        "small",
    )
    blank = Bundle(recipe, {name: TASKS[name].vocabulary for name in recipe.tasks}, {}, {}, {})
    torch.manual_seed(4)
    network = new_network(recipe, blank.tasks())
    with torch.no_grad():
        network.get_parameter("heads.beats.net.3.weight").mul_(12)
    return replace(blank, weights=network.state_dict(), card={"trained_on": []})


def example(seed: int, rhythm: str = "own", beats: int = 80) -> Example:
    """Return beats that are S where the interval before them is short, and the one before not."""
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 0.3, (beats, len(FEATURES))).astype(np.float32)
    short = rng.random(beats) < 0.3
    features[short, FEATURES.index("pre_usual")] -= 2
    early = short & ~np.r_[False, short[:-1]]
    return Example(f"r{seed}", rhythm, features, early.astype(np.intp))


def test_it_learns_what_the_beat_before_tells() -> None:
    head = teach(
        [example(k) for k in range(8)], 0, Lesson(steps=150, rows=12, beats=20, learning_rate=1e-2)
    )
    test = example(99, beats=400)
    with torch.inference_mode():
        told = head(torch.from_numpy(test.features)[None])[0].argmax(-1).numpy()
    own = test.features[:, FEATURES.index("pre_usual")] < -1  # what one beat alone could tell
    assert (told == test.kinds).mean() > (own == test.kinds).mean() + 0.02


def test_seed_decides_all_and_leaves_torch_alone() -> None:
    examples = [example(0), example(1, "early")]
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    one, two, other = (teach(examples, seed, SHORT).state_dict() for seed in (0, 0, 1))
    torch.testing.assert_close(torch.rand(3), wanted)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["out.1.weight"], other["out.1.weight"])


def test_refuses_nothing_and_too_little() -> None:
    for few in ([], [example(0, beats=SHORT.beats)]):
        with pytest.raises(BadRequest, match="more than 20 beats"):
            teach(few, 0, SHORT)


def test_a_bundle_with_it_survives_the_disk_and_changes_kinds_alone(
    bundle: Bundle, tmp_path: Path
) -> None:
    head = ContextHead().eval()
    with torch.no_grad():
        head.get_parameter("out.1.bias").copy_(torch.tensor([0.0, 30.0, -30.0, -30.0, -30.0]))
    assert bundle.context() is None
    grown = add_context(bundle, head, ENTRY)
    save_bundle(grown, tmp_path / "b.safetensors")
    found = read_bundle(tmp_path / "b.safetensors")
    assert found.weights_sha256 == grown.weights_sha256 != bundle.weights_sha256
    assert set(found.net_weights) == set(bundle.weights)
    before, after = Model(bundle), Model(found)
    prepared = before.prepare(synthesize("sinus", seed=2, duration_s=20.0))
    old = predict(before.network, before.tasks, prepared, bundle)
    new = predict(after.network, after.tasks, prepared, found)
    np.testing.assert_array_equal(new["waves"], old["waves"])
    np.testing.assert_array_equal(new["beats"][0], old["beats"][0])
    np.testing.assert_allclose(new["beats"][1:].sum(axis=0), 1, rtol=1e-5)
    qrs = pooled_qrs(new["waves"][prepared.present])
    beats = [find_beats(made["beats"][0], made["beats"][1:], 125.0, qrs=qrs) for made in (old, new)]
    assert [b.time_s for b in beats[0]] == [b.time_s for b in beats[1]]
    assert len(beats[1]) > 3
    assert {b.kind for b in beats[1][1:]} == {"S"} != {b.kind for b in beats[0]}
    assert beats[1][0].kind == beats[0][0].kind  # nothing stands before the first
    only = predict(after.network, {"beats": after.tasks["beats"]}, prepared, found)
    np.testing.assert_array_equal(only["beats"], old["beats"])  # without waves there is none


def test_another_replaces_it_and_the_card_tells_what_taught_it(bundle: Bundle) -> None:
    one, two = ContextHead(), ContextHead()
    grown = add_context(add_context(bundle, one, ENTRY), two, ENTRY | {"seed": 5})
    second = grown.context()
    assert second is not None
    assert torch.equal(second.state_dict()["out.1.weight"], two.state_dict()["out.1.weight"])
    assert grown.card["context"]["seed"] == 5
    assert len(grown.card["trained_on"]) == 1
    items = [Item(f"mitdb/{n}", Path(str(n)), f"mitdb/{n}", fold) for n, fold in ((101, 1),)]
    assert seen_in_training(grown, "mitdb", items)
    assert not seen_in_training(grown, "mitdb", [replace(items[0], fold=2)])


def test_weights_that_do_not_fit_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    grown = add_context(bundle, ContextHead(), ENTRY)
    cut = {n: w for n, w in grown.weights.items() if n != f"{CONTEXT}scale"}
    with pytest.raises(BadBundle, match=r"context\.scale"):
        save_bundle(replace(grown, weights=cut), tmp_path / "b.safetensors")
    wide = {**grown.weights, f"{CONTEXT}scale": torch.ones(3)}
    with pytest.raises(BadBundle, match=r"context\.scale of shape \(84,\)"):
        save_bundle(replace(grown, weights=wide), tmp_path / "b.safetensors")


def test_an_ensemble_keeps_those_of_its_members_and_learns_none(bundle: Bundle) -> None:
    head = ContextHead().eval()
    with torch.no_grad():
        head.get_parameter("out.1.bias").copy_(torch.tensor([0.0, 30.0, -30.0, -30.0, -30.0]))
    grown = add_context(bundle, head, ENTRY)
    joined = make_ensemble([grown, grown])
    with pytest.raises(BadBundle, match="ensemble"):
        check_teachable(joined)
    prepared = Model(bundle).prepare(synthesize("sinus", seed=2, duration_s=20.0))
    one, both = Model(grown).probabilities(prepared), Model(joined).probabilities(prepared)
    np.testing.assert_allclose(both["beats"], one["beats"], atol=1e-6)


def test_a_net_without_waves_is_refused(bundle: Bundle) -> None:
    tasks = {"beats": bundle.recipe.tasks["beats"]}
    with pytest.raises(BadBundle, match="waves"):
        check_teachable(replace(bundle, recipe=bundle.recipe.model_copy(update={"tasks": tasks})))


def a_record(item: Item) -> Record:
    """Return 40 seconds; record 2 is in atrial fibrillation, with ten seconds of flutter."""
    made = synthesize("pvc" if item.fold == 1 else "af", seed=item.fold, duration_s=40.0)
    spans = (Rhythm(0.0, 40.0, "AFIB"), Rhythm(20.0, 30.0, "VFL")) if item.fold == 2 else ()
    return replace(made, name=item.path.name, rhythms=spans)


@pytest.fixture
def items(monkeypatch: pytest.MonkeyPatch) -> list[Item]:
    known = {**SOURCES, "mitdb": replace(SOURCES["mitdb"], load=a_record)}
    monkeypatch.setattr(module, "SOURCES", known)
    monkeypatch.setattr(module, "LEAST", 10)
    return [Item(f"mitdb/{n}", Path(str(n)), f"mitdb/{n}", n) for n in (1, 2)]


def test_examples_are_the_record_and_parts_in_other_rhythms(
    bundle: Bundle, items: Sequence[Item], tmp_path: Path
) -> None:
    examples = gather(bundle, items, keep=tmp_path)
    assert [(e.record, e.rhythm) for e in examples] == [
        ("1", "own"), ("1", "early"), ("1", "fibrillation"), ("1", "breathing"),
        ("2", "own"), ("2", "breathing"),
    ]  # fmt: skip
    assert all(e.features.shape == (len(e.kinds), len(FEATURES)) for e in examples)
    assert BEAT_KINDS.index("S") in examples[1].kinds
    beats = a_record(items[1]).beats
    inside = [b for b in beats if 20 <= b.time_s < 30]
    assert inside
    assert len(examples[4].kinds) == len(beats) - len(inside)
    again = gather(bundle, [], keep=tmp_path)
    assert again == []


def test_finished_records_are_kept(
    bundle: Bundle, items: Sequence[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = gather(bundle, items[1:], keep=tmp_path)

    def never(*_: object) -> list[Example]:
        raise AssertionError("read again")

    monkeypatch.setattr(module, "_of_record", never)
    second = gather(bundle, items[1:], keep=tmp_path)
    for one, two in zip(first, second, strict=True):
        assert (one.record, one.rhythm) == (two.record, two.rhythm)
        np.testing.assert_array_equal(one.features, two.features)
        np.testing.assert_array_equal(one.kinds, two.kinds)
    with pytest.raises(AssertionError, match="read again"):
        gather(bundle, items[1:], seed=1, keep=tmp_path)


def test_a_record_with_few_beats_is_refused(
    bundle: Bundle, items: Sequence[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAST", 1000)
    with pytest.raises(BadData, match="1000 beats or more"):
        gather(bundle, items)


def test_the_card_counts_beats() -> None:
    entry = card_entry("mitdb", (1,), [example(0), example(0, "early", 30), example(1)], 3)
    assert entry == {
        "source": "mitdb", "folds": [1], "records": 2, "beats": 160,
        "beats_in_other_rhythms": 30, "seed": 3,
    }  # fmt: skip
