"""A second view learns diagnoses from typical beats, and changes nothing but their answers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fascicle.bundle import TYPICAL, VIEWED, Bundle, new_network, read_bundle, save_bundle
from fascicle.cli.typical import typical_command
from fascicle.data.augment import Augmentation
from fascicle.ensemble import make_ensemble
from fascicle.errors import BadBundle, BadRequest
from fascicle.models.typical import BEAT_SAMPLES, RHYTHM_NUMBERS, TypicalView
from fascicle.outcomes import outcome, outcome_by_blocks
from fascicle.predict import Model, predict
from fascicle.recipe import Recipe
from fascicle.record import Record
from fascicle.synth import synthesize
from fascicle.train.groups import find_vocabularies, open_groups
from fascicle.train.typical import (
    PEAK,
    Lesson,
    Sights,
    add_view,
    gather,
    teach,
    varied,
    view_bundle,
)

MakeRecipe = Callable[..., Recipe]
GROUPS = (
    {
        "source": "synth", "tasks": ["diagnosis"], "folds": [1, 2, 3], "validate_folds": [4],
        "rows": 2,
    },
    {"source": "synth", "tasks": ["waves", "beats"], "folds": [1, 2, 3], "rows": 1},
)  # fmt: skip
SHORT = Lesson(steps=4, rows=4)
ENTRY = {"sets": ["synth"], "records": 1, "rows": 1, "seed": 0}


@pytest.fixture(scope="module")
def bundle(make_recipe: MakeRecipe, packs: Path) -> Bundle:
    """Return a bundle of a tiny net that finds beats everywhere."""
    recipe = make_recipe(GROUPS, steps=1)
    groups, _ = open_groups(recipe, packs, packs)
    blank = Bundle(recipe, find_vocabularies(recipe, groups), {}, {}, {})
    torch.manual_seed(4)
    network = new_network(recipe, blank.tasks())
    with torch.no_grad():
        network.get_parameter("heads.beats.net.3.weight").mul_(12)
    return replace(blank, weights=network.state_dict(), card={"trained_on": [], "scores": [1]})


@pytest.fixture(scope="module")
def grown(bundle: Bundle) -> Bundle:
    """Return the bundle with a second view that nothing has taught."""
    torch.manual_seed(1)
    return add_view(bundle, TypicalView(len(bundle.vocabularies[VIEWED])), ENTRY, [])


def made_up(rows: int, seed: int) -> Sights:
    """Return sights whose first class is a high beat in lead I, and its second a fast rhythm."""
    rng = np.random.default_rng(seed)
    beats = rng.normal(0, 0.1, (rows, 12, BEAT_SAMPLES)).astype(np.float32)
    numbers = rng.normal(0, 0.1, (rows, RHYTHM_NUMBERS)).astype(np.float32)
    labels = (rng.random((rows, 2)) < 0.5).astype(np.float32)
    beats[labels[:, 0] > 0, 0, 30:40] += 1
    numbers[labels[:, 1] > 0, 0] -= 1
    known = np.ones_like(labels)
    present, covariates = np.ones((rows, 12), bool), np.zeros((rows, 6), np.float32)
    return Sights(beats, present, numbers, covariates, labels, known, np.arange(rows))


def test_it_learns_what_beat_and_rhythm_tell() -> None:
    head = teach(made_up(200, 0), 0, Lesson(steps=120, rows=32))
    test = made_up(200, 1)
    parts = (test.beats, test.present, test.numbers, test.covariates)
    with torch.inference_mode():
        told = head(*map(torch.from_numpy, parts)).numpy() > 0
    assert (told == (test.labels > 0)).mean(axis=0).min() > 0.95


def test_unknown_labels_teach_nothing() -> None:
    sights = made_up(40, 0)
    sights.known[:, 1] = 0
    one = teach(sights, 0, SHORT)
    other = teach(
        replace(sights, labels=np.where([True, False], sights.labels, np.float32(0))), 0, SHORT
    )
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_long_records_are_drawn_no_more_often() -> None:
    sights = replace(made_up(6, 0), record=np.array([0, 1, 1, 1, 1, 2]))
    assert sights.records == 3
    sums = np.bincount(sights.record, sights.chances)
    assert np.allclose(sums, 1 / 3)


def test_the_same_seed_teaches_the_same() -> None:
    sights = made_up(20, 0)
    one, same, other = (
        teach(sights, seed, SHORT).get_parameter("heads.2.out.weight") for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


WHOLE = Augmentation(lead_set=0, lead_drop=0)
STILL = Lesson(gain=0, lead_gain=0, stretch=0, noise=0, shift=0, leads=WHOLE, covariate_drop=0)


def test_beats_are_varied_around_their_r_peak() -> None:
    sights, rows = made_up(1, 0), np.zeros(50, dtype=np.intp)
    sights.beats[:] = 0
    sights.beats[..., PEAK], sights.beats[..., PEAK + 40] = 1, 0.5
    rng = np.random.default_rng(0)
    beats, *others = varied(sights, rows, STILL, rng)
    assert np.array_equal(beats, sights.beats[rows])
    expected = (sights.present, sights.numbers, sights.covariates)
    assert all(np.array_equal(o, e[rows]) for o, e in zip(others, expected, strict=True))
    beats, *_ = varied(sights, rows, replace(STILL, stretch=0.1), rng)
    assert (beats.argmax(2) == PEAK).all()
    later = beats[:, 0, PEAK + 10 :].argmax(1) + 10
    assert later.min() < 38
    assert later.max() > 42
    beats, *_ = varied(sights, rows, replace(STILL, shift=3), rng)
    assert set((beats.argmax(2) - PEAK).flatten().tolist()) == set(range(-3, 4))


def record(seconds: float = 10.0) -> Record:
    return synthesize("pvc", seed=3, duration_s=seconds)


def test_net_and_heads_have_one_voice_each_and_all_else_stays(
    bundle: Bundle, grown: Bundle
) -> None:
    prepared = Model(bundle).prepare(record())
    own = predict(bundle.network(), bundle.tasks(), prepared, bundle)
    both = predict(grown.network(), grown.tasks(), prepared, grown)
    assert np.array_equal(both["beats"], own["beats"])
    assert grown.typical() is grown.typical()  # made once
    view = copy.deepcopy(grown.typical())
    assert view is not None
    with torch.no_grad():
        for name, weight in view.named_parameters():
            if name.endswith(".out.weight"):
                weight.zero_()
            if name.endswith(".out.bias"):
                weight.copy_(torch.arange(len(weight)) - 2.0)
    weights = {**grown.weights, **{f"{TYPICAL}{n}": w for n, w in view.state_dict().items()}}
    fixed = replace(grown, weights=weights)
    made = predict(fixed.network(), fixed.tasks(), prepared, fixed)[VIEWED]
    logits = np.log(own[VIEWED] / (1 - own[VIEWED]))
    mean = (logits + 3 * (np.arange(len(logits)) - 2.0)) / 4
    assert np.allclose(made, 1 / (1 + np.exp(-mean)), atol=1e-5)


def test_diagnoses_alone_have_the_second_view_too(grown: Bundle) -> None:
    prepared = Model(grown).prepare(record())
    tasks = grown.tasks()
    every = predict(grown.network(), tasks, prepared, grown)[VIEWED]
    alone = predict(grown.network(), {VIEWED: tasks[VIEWED]}, prepared, grown)
    assert list(alone) == [VIEWED]
    assert np.allclose(alone[VIEWED], every, atol=1e-6)


def test_a_record_without_beats_is_the_nets_to_answer(bundle: Bundle, grown: Bundle) -> None:
    silent = {n: w.clone() for n, w in grown.weights.items()}
    silent["heads.beats.net.3.weight"].zero_()
    silent["heads.beats.net.3.bias"].fill_(-9)
    quiet = replace(grown, weights=silent)
    alone = replace(bundle, weights={n: w for n, w in silent.items() if not n.startswith(TYPICAL)})
    prepared = Model(bundle).prepare(record())
    expected = predict(alone.network(), alone.tasks(), prepared, alone)[VIEWED]
    found = predict(quiet.network(), quiet.tasks(), prepared, quiet)[VIEWED]
    assert np.array_equal(found, expected)


def test_blocks_answer_as_one_pass(grown: Bundle) -> None:
    prepared = Model(grown).prepare(record(65.0))
    network, tasks = grown.network(), grown.tasks()
    whole = outcome(prepared, predict(network, tasks, prepared, grown), grown, tasks)
    parts = outcome_by_blocks(network, tasks, prepared, grown, block_s=20.0)
    assert len(parts.beats) == len(whole.beats)
    assert np.allclose(
        parts.answers[VIEWED].probabilities, whole.answers[VIEWED].probabilities, atol=1e-4
    )


def test_gather_sees_every_record_once(bundle: Bundle, packs: Path) -> None:
    groups, _ = open_groups(bundle.recipe, packs, packs)
    sights = gather(bundle, [groups[0], groups[0]])
    entries = groups[0].entries
    assert sights.records == len(entries)
    assert len(sights.labels) == len(sights.beats) >= len(entries)
    assert np.isfinite(sights.beats).all()
    assert sights.present.all()


def test_thresholds_are_fitted_on_both_and_the_bundle_is_kept(
    bundle: Bundle, packs: Path, tmp_path: Path
) -> None:
    made = view_bundle(bundle, packs, packs, lesson=SHORT)
    assert made.card["scores"] == []
    assert made.card["typical"]["sets"] == ["synth"]
    assert len(made.thresholds[VIEWED]) == len(bundle.vocabularies[VIEWED])
    saved = save_bundle(made, tmp_path / "viewed.safetensors", half=True)
    again = read_bundle(tmp_path / "viewed.safetensors")
    assert again.typical() is not None
    assert again.sha256 == saved.sha256
    again.network()
    followed = view_bundle(bundle, packs, packs, like=made, version="7", lesson=SHORT)
    assert (followed.recipe.version, made.recipe.version) == ("7", bundle.recipe.version)
    assert followed.thresholds == made.thresholds


def test_a_second_one_takes_the_place_of_the_first(grown: Bundle) -> None:
    other = add_view(grown, TypicalView(len(grown.vocabularies[VIEWED])), ENTRY, [])
    assert other.weights.keys() == grown.weights.keys()


def test_weights_that_do_not_fit_are_refused(grown: Bundle) -> None:
    weights = {**grown.weights, f"{TYPICAL}heads.0.out.bias": torch.zeros(3)}
    with pytest.raises(BadBundle, match=r"typical\.heads\.0\.out\.bias"):
        replace(grown, weights=weights).check_shapes()


def test_refusals(bundle: Bundle, tmp_path: Path) -> None:
    ensemble = make_ensemble([bundle, bundle])
    with pytest.raises(BadBundle, match="members"):
        add_view(ensemble, TypicalView(2), ENTRY, [])
    own = {name: task for name, task in bundle.recipe.tasks.items() if name != "beats"}
    alone = replace(bundle, recipe=bundle.recipe.model_copy(update={"tasks": own}))
    with pytest.raises(BadBundle, match="beats and diagnosis"):
        gather(alone, [])
    there = tmp_path / "there"
    there.write_text("mine")
    with pytest.raises(BadRequest, match="already"):
        typical_command(Path("default"), there, None, None, 0, None, None, False, 0)
    assert there.read_text() == "mine"
