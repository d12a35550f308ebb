"""An ensemble is a bundle like any other; what it says is what its members say together."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from fascicle.bundle import Bundle, new_network, read_bundle, save_bundle
from fascicle.cli import main
from fascicle.data.sources import Item
from fascicle.decode.ensembles import Vote
from fascicle.ensemble import make_ensemble
from fascicle.errors import BadBundle, BadRequest
from fascicle.evaluate import seen_in_training
from fascicle.labels import Vocabulary, superclasses
from fascicle.predict import Model, Prepared, predict
from fascicle.recipe import parse_recipe
from fascicle.report import findings_schema
from fascicle.synth import synthesize
from fascicle.tasks import TASKS

TREE: dict[str, Any] = {
    "name": "small",
    "preprocessing": {"rate_hz": 125.0},
    "backbone": {"filters": [8, 8], "decoder": [8], "skip": 8, "kernel": 3, "deep_blocks": 0},
    "tasks": {"waves": {}, "beats": {}, "diagnosis": {"systems": ["PTB-XL superclass"]}},
    "groups": [{"source": "synth", "tasks": ["waves"], "rows": 1}],
}
RECORD = synthesize("pvc", seed=5, duration_s=8.0, rate_hz=125.0)
Run = Callable[..., tuple[int, str, str]]
FIVE = (0.5, 0.4, 0.6, 0.5, 0.3)


def net(seed: int, classes: Vocabulary | None = None, **changes: Any) -> Bundle:
    """Return a bundle of random weights; changes are of its recipe."""
    recipe = parse_recipe({**TREE, "name": f"net{seed}", **changes}, "net")
    known = {name: TASKS[name].vocabulary for name in ("waves", "beats")}
    wanted = {**known, "diagnosis": classes or superclasses()}
    blank = Bundle(recipe, {name: wanted[name] for name in recipe.tasks}, {}, {}, {})
    torch.manual_seed(seed)
    network = new_network(recipe, blank.tasks())
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.startswith("heads.diagnosis.out"):
                weight.normal_(0, 3)  # so that members disagree
    thresholds = {"diagnosis": tuple(np.roll(FIVE, seed))} if not classes else {}
    temperatures = {"diagnosis": (1.0 + seed / 2,) * 5} if not classes else {}
    return replace(
        blank,
        weights=network.state_dict(),
        thresholds=thresholds,
        temperatures=temperatures,
        card={"trained_on": [], "validated_on": [], "scores": []},
    )


@pytest.fixture(scope="module")
def nets() -> list[Bundle]:
    return [net(seed) for seed in (1, 2, 3)]


@pytest.fixture
def paths(nets: list[Bundle], tmp_path: Path) -> list[Path]:
    found = [tmp_path / f"{bundle.recipe.name}.safetensors" for bundle in nets]
    for bundle, path in zip(nets, found, strict=True):
        save_bundle(bundle, path)
    return found


def alone(nets: Sequence[Bundle], prepared: Prepared) -> list[dict[str, np.ndarray]]:
    return [predict(bundle.network(), bundle.tasks(), prepared, bundle) for bundle in nets]


@pytest.mark.parametrize("duration_s", [8.0, 31.0])
def test_mean_of_probabilities_and_of_thresholds(duration_s: float, nets: list[Bundle]) -> None:
    model = Model(make_ensemble(nets))
    prepared = model.prepare(synthesize("pvc", seed=6, duration_s=duration_s, rate_hz=125.0))
    found, each = model.probabilities(prepared), alone(nets, prepared)
    assert set(found) == {"waves", "beats", "diagnosis"}
    for task, array in found.items():
        assert array.dtype == np.float32
        mean = np.mean([one[task] for one in each], axis=0)
        assert np.allclose(array, mean, atol=1e-6)
        assert not np.allclose(array, each[0][task], atol=1e-3)
    thresholds = np.mean([bundle.thresholds["diagnosis"] for bundle in nets], axis=0)
    assert model.bundle.thresholds["diagnosis"] == pytest.approx(tuple(thresholds))


@pytest.mark.parametrize("count", [2, 3])
def test_majority_of_decisions(count: int, nets: list[Bundle]) -> None:
    model = Model(make_ensemble(nets[:count], "majority"))
    members = [Model(bundle) for bundle in nets[:count]]
    split = 0
    for seed in range(4):
        record = synthesize("pvc", seed=seed, duration_s=8.0, rate_hz=125.0)
        votes = np.array([[d.present for d in m.analyze(record).diagnoses] for m in members])
        found = [diagnosis.present for diagnosis in model.analyze(record).diagnoses]
        assert found == (votes.sum(axis=0) > count / 2).tolist()
        split += int((votes.any(axis=0) & ~votes.all(axis=0)).sum())
    assert split > 3  # else all agree and nothing is tested


def test_a_vote_leaves_waves_and_beats_to_the_mean(nets: list[Bundle]) -> None:
    mean, voted = Model(make_ensemble(nets)), Model(make_ensemble(nets, "majority"))
    prepared = mean.prepare(RECORD)
    one, other = mean.probabilities(prepared), voted.probabilities(prepared)
    assert np.array_equal(one["waves"], other["waves"])
    assert np.array_equal(one["beats"], other["beats"])
    assert not np.allclose(one["diagnosis"], other["diagnosis"])


@pytest.mark.parametrize("vote", ["mean", "majority"])
@pytest.mark.parametrize("half", [False, True])
def test_a_saved_ensemble_answers_the_same(
    vote: Vote, half: bool, nets: list[Bundle], tmp_path: Path
) -> None:
    made = make_ensemble(nets, vote, "three")
    saved = save_bundle(made, tmp_path / "three", half=half)
    again = read_bundle(tmp_path / "three")
    assert again.sha256 == saved.sha256
    assert again.weights_sha256 == saved.weights_sha256
    assert again.vote == vote
    assert [part.recipe.name for part in again.members] == ["net1", "net2", "net3"]
    assert again.info.name == "three"
    before, after = Model(saved).analyze(RECORD).to_dict(), Model(again).analyze(RECORD).to_dict()
    assert before == after
    jsonschema.validate(after, findings_schema())
    save_bundle(again, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "three").read_bytes()


def test_members_keep_their_weights_and_their_calibration(
    nets: list[Bundle], tmp_path: Path
) -> None:
    save_bundle(make_ensemble(nets), tmp_path / "e")
    for mine, kept in zip(nets, read_bundle(tmp_path / "e").nets(), strict=True):
        assert kept.weights_sha256 == mine.weights_sha256
        assert kept.thresholds == mine.thresholds
        assert kept.temperatures == mine.temperatures
        assert kept.recipe == mine.recipe


def test_the_card_names_the_members_and_all_that_taught_them(nets: list[Bundle]) -> None:
    parts = [{"source": "ptbxl", "folds": [fold], "records": 9, "tasks": []} for fold in (1, 2)]
    first = replace(nets[0], card={"trained_on": parts[:1]}, sha256="12", licence="MIT")
    made = make_ensemble([first, replace(nets[1], card={"trained_on": parts})])
    assert made.card["trained_on"] == parts
    assert [part["name"] for part in made.card["members"]] == ["net1", "net2"]
    assert made.card["members"][0]["sha256"] == "12"
    assert made.card["members"][1]["weights_sha256"] == nets[1].weights_sha256
    assert made.licence == "MIT AND Apache-2.0"


def test_it_has_seen_what_one_of_its_members_has_seen(nets: list[Bundle]) -> None:
    def member(place: int, fold: int) -> Bundle:
        taught: dict[str, Any] = {"source": "here", "folds": None, "records": 9, "tasks": []}
        held = {"source": "here", "folds": [fold], "records": 1}
        return replace(nets[place], card={"trained_on": [taught], "validated_on": [held]})

    def seen(bundle: Bundle, fold: int) -> bool:
        return seen_in_training(bundle, "here", [Item("here/1", Path(), "p", fold)])

    both = make_ensemble([member(0, 8), member(1, 9)])
    assert [seen(both, fold) for fold in (7, 8, 9)] == [True, True, True]
    same = make_ensemble([member(0, 8), member(1, 8)])
    assert [seen(same, fold) for fold in (7, 8, 9)] == [True, False, True]


def test_nets_of_other_shapes_answer_together(nets: list[Bundle]) -> None:
    wider = net(4, backbone={**TREE["backbone"], "filters": [8, 16]})
    model = Model(make_ensemble([nets[0], wider]))
    prepared = model.prepare(RECORD)
    each = alone([nets[0], wider], prepared)
    mean = (each[0]["diagnosis"] + each[1]["diagnosis"]) / 2
    assert np.allclose(model.probabilities(prepared)["diagnosis"], mean, atol=1e-6)


def test_a_member_without_thresholds_counts_with_one_half(nets: list[Bundle]) -> None:
    made = make_ensemble([nets[0], replace(nets[1], thresholds={})])
    mean = (np.array(nets[0].thresholds["diagnosis"]) + 0.5) / 2
    assert made.thresholds["diagnosis"] == pytest.approx(tuple(mean))


def test_an_ensemble_is_no_single_net(nets: list[Bundle]) -> None:
    made = make_ensemble(nets, name="three")
    with pytest.raises(BadRequest, match="three is an ensemble"):
        made.network()
    with pytest.raises(BadRequest, match="three is an ensemble"):
        _ = Model(made).network


FEWER = Vocabulary(superclasses().terms[:4])
OTHER = Vocabulary(superclasses().terms[::-1])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"preprocessing": {"rate_hz": 250.0}}, "differ in rate: 125.0 and 250.0"),
        ({"preprocessing": {"rate_hz": 125.0, "baseline": "highpass"}}, "differ in preprocessing"),
        ({"leads": ["I", "II"]}, "differ in leads: I, II, III.* and I, II$"),
        ({"tasks": {"waves": {}}}, "differ in tasks"),
        ({"classes": FEWER}, "differ in classes of diagnosis: 5 and 4$"),
        ({"classes": OTHER}, "differ in classes of diagnosis: 5 and 5, first NORM and HYP"),
    ],
)
def test_what_cannot_answer_together_is_refused(
    other: dict[str, Any], message: str, nets: list[Bundle]
) -> None:
    with pytest.raises(BadRequest, match=f"net1 and net9 cannot answer together.*{message}"):
        make_ensemble([nets[0], net(9, **other)])


def test_fewer_than_two_and_ensembles_and_other_votes_are_refused(nets: list[Bundle]) -> None:
    for few in ([], nets[:1]):
        with pytest.raises(BadRequest, match=f"two bundles or more, not {len(few)}"):
            make_ensemble(few)
    with pytest.raises(BadRequest, match="is an ensemble itself"):
        make_ensemble([nets[0], make_ensemble(nets[1:])])
    with pytest.raises(BadRequest, match="mean, majority, not 'best'"):
        make_ensemble(nets, "best")  # type: ignore[arg-type]


def rewrite(path: Path, change: dict[str, Any]) -> None:
    """Change the header of a bundle file; its checksum is left out."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["fascicle"])
    header.pop("header_sha256")
    header |= change
    path.write_bytes(save(load(content), metadata={"fascicle": json.dumps(header)}))


@pytest.fixture
def stored(nets: list[Bundle], tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Return an ensemble's file, and the members as its header has them."""
    path = tmp_path / "e.safetensors"
    save_bundle(make_ensemble(nets), path)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return path, json.loads(header["__metadata__"]["fascicle"])["members"]


def test_files_whose_members_do_not_fit_are_refused(
    stored: tuple[Path, list[dict[str, Any]]],
) -> None:
    path, members = stored
    content = path.read_bytes()
    slower = {**members[2], "recipe": {**members[2]["recipe"]}}
    slower["recipe"]["preprocessing"] = {"rate_hz": 100.0}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"members": []}, "two or more expected, not 0"),
        ({"members": members[:1]}, "two or more expected, not 1"),
        ({"members": members[:2]}, r"weights members\.2\..* belong to no member"),
        ({"members": [*members, members[0]]}, "weights do not fit the recipe"),
        ({"members": 3}, "incomplete header"),
        ({"members": [*members[:2], {}]}, "incomplete header"),
        ({"members": [*members[:2], slower]}, "its member 2 differ in rate: 125.0 and 100.0"),
        (
            {"members": [*members[:2], {**members[2], "thresholds": {"diagnosis": [0.5]}}]},
            "thresholds of diagnosis: 5 expected, not 1",
        ),
        ({"vote": "best"}, "vote mean or majority expected"),
        ({"vote": ["mean"]}, "vote mean or majority expected"),
        ({"schema": 1}, r"weights do not fit the recipe: backbone\."),
    ]
    for change, message in cases:
        path.write_bytes(content)
        rewrite(path, change)
        with pytest.raises(BadBundle, match=message):
            read_bundle(path)
    path.write_bytes(content)
    rewrite(path, {})
    assert read_bundle(path).vote == "mean"


def test_an_ensemble_without_members_is_not_one(nets: list[Bundle], tmp_path: Path) -> None:
    save_bundle(nets[0], tmp_path / "one")
    rewrite(tmp_path / "one", {"schema": 2})
    with pytest.raises(BadBundle, match="incomplete header"):
        read_bundle(tmp_path / "one")


def test_changed_weights_of_a_member_are_noticed(
    stored: tuple[Path, list[dict[str, Any]]],
) -> None:
    path, _ = stored
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BadBundle, match="weights do not have their checksum"):
        read_bundle(path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs one command in this process: exit code, output, errors."""
    monkeypatch.setenv("COLUMNS", "200")

    def _run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fascicle", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return _run


def test_the_command_line_makes_shows_and_uses_one(
    run: Run, paths: list[Path], tmp_path: Path
) -> None:
    out, ecg, found = tmp_path / "new" / "three", tmp_path / "ecg.csv", tmp_path / "found"
    code, said, _ = run("ensemble", *paths, "--out", out, "--vote", "majority", "--name", "three")
    assert code == 0
    assert "3 nets, majority" in said
    _, shown, _ = run("info", out)
    assert "three 1" in shown
    assert "majority of 3 nets: net1 1 (" in shown
    told = json.loads(run("info", out, "--json")[1])
    assert told["vote"] == "majority"
    assert [part["name"] for part in told["card"]["members"]] == ["net1", "net2", "net3"]
    assert json.loads(run("info", paths[0], "--json")[1])["vote"] is None
    header = ",".join(RECORD.leads)
    np.savetxt(ecg, RECORD.signal.T, delimiter=",", header=header, comments="")
    options = ["--rate", "125", "--unit", "mV", "--format", "json", "--jobs", "1"]
    code, _, _ = run("analyze", ecg, "--bundle", out, "--out", found, *options)
    assert code == 0
    assert json.loads((found / "ecg.json").read_text())["bundle"]["name"] == "three"


def test_the_command_line_refuses_in_one_line(run: Run, paths: list[Path], tmp_path: Path) -> None:
    out, first, second = tmp_path / "out", paths[0], paths[1]
    before = second.read_bytes()
    for words, message in (
        ((first, "--out", out), "two bundles or more"),
        ((first, first, "--out", out), "given twice"),
        ((first, second, "--out", second), "is one of the bundles"),
        ((first, tmp_path / "none", "--out", out), "no such file"),
        ((first, second, "--out", first / "below"), "cannot be written"),
    ):
        code, said, refused = run("ensemble", *words)
        assert (code, said, len(refused.splitlines())) == (2, "", 1)
        assert message in refused
    assert not out.exists()
    assert second.read_bytes() == before
