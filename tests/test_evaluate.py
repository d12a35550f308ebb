"""Scores of a bundle on a source: which records count, whose they are, and where they are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wfdb

from fascicle import evaluate as module
from fascicle.bundle import Bundle, new_network, read_bundle, save_bundle
from fascicle.data.sources import SOURCES, Item, Source
from fascicle.errors import BadBundle, BadRequest
from fascicle.evaluate import Case, add_to_card, evaluate, score
from fascicle.labels import superclasses
from fascicle.predict import Model
from fascicle.recipe import parse_recipe
from fascicle.record import Beat, Record, Sex
from fascicle.synth import synthesize
from fascicle.tasks import TASKS, Outcome, make_task

CODES = ("NORM", "MI", "STTC", "CD", "HYP")
TRAINED: dict[str, Any] = {
    "source": "here",
    "folds": [1, 2],
    "records": 9,
    "tasks": ["beats"],
    "sets": ["here"],
}


def make_bundle(**card: Any) -> Bundle:
    """Return a bundle of a tiny net with random weights."""
    recipe = parse_recipe(
        {
            "name": "small",
            "preprocessing": {"rate_hz": 125.0},
            "backbone": {"filters": [8, 8], "decoder": [8], "skip": 8, "kernel": 3},
            "tasks": {"waves": {}, "beats": {}, "diagnosis": {"systems": ["PTB-XL superclass"]}},
            "groups": [{"source": "synth", "tasks": ["waves"], "rows": 1}],
        },
        "small",
    )
    known = {name: TASKS[name].vocabulary for name in ("waves", "beats")}
    blank = Bundle(recipe, {**known, "diagnosis": superclasses()}, {}, {}, {}, card)
    torch.manual_seed(1)
    return replace(blank, weights=new_network(recipe, blank.tasks()).state_dict())


def make_record(number: int) -> Record:
    """Return a short record; every third says nothing of waves, every fourth no diagnosis."""
    record = synthesize("pvc", seed=number, duration_s=4.0, rate_hz=125.0)
    labels: dict[str, frozenset[str]] = {}
    if number % 4:
        labels["PTB-XL superclass"] = frozenset({CODES[number % 5], CODES[number % 3]})
    annotated = {"beats"} if number % 3 == 0 else {"beats", "waves"}
    sex: Sex = "F" if number % 2 else "M"
    return replace(
        record, labels=labels, annotated=frozenset(annotated), age=40.0 + 2 * number, sex=sex
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Item]:
    """Return the items of a source "here": 24 records of 12 patients in three folds."""
    items = [Item(f"here/{n}", Path(str(n)), f"here/p{n // 2}", n // 2 % 3) for n in range(24)]
    source = Source(
        name="here", title="", licence="", citation="", url="", records=24, include=(),
        annotations=(), index=lambda _: items, load=lambda item: make_record(int(item.path.name)),
    )  # fmt: skip
    monkeypatch.setattr(module, "SOURCES", {"here": source, "other": source})
    return items


@pytest.fixture
def model(here: list[Item]) -> Model:
    return Model(make_bundle(trained_on=[TRAINED], validated_on=[], scores=[]))


def test_every_figure_has_its_limits(model: Model, tmp_path: Path) -> None:
    result = evaluate(model, "here", tmp_path, resamples=50)
    scores = result["scores"]
    figures = {key for key in scores if not key.endswith((".low", ".high"))}
    counts = {key for key in figures if key.endswith((".positives", ".classes"))}
    watched = {"diagnosis.macro.auroc"}
    assert {"waves", "beats", "diagnosis"} == {key.split(".")[0] for key in figures}
    for key in figures - counts - watched:
        low, high = scores[f"{key}.low"], scores[f"{key}.high"]
        if scores[key] is not None and low is not None and high is not None:
            assert low <= high
    for key in ("waves.QRS.f1_150", "waves.P.onset.sensitivity_40", "waves.T.dice", "beats.V.f1"):
        assert key in figures
    for key in ("macro.auroc", "macro.auprc", "macro.f1", "NORM.auroc", "HYP.auprc", "MI.f1"):
        assert f"diagnosis.PTB-XL superclass.{key}" in figures
    absent = {key for key in module.HEADLINES if not key.startswith("rhythm.")} - figures
    assert absent == {
        "diagnosis.SCP-ECG.macro.auroc",
        "diagnosis.SNOMED-CT.macro.auroc",
    }
    assert (result["records"], result["patients"]) == (24, 12)
    assert result["schema"] == "fascicle/scores/1"
    json.dumps(result, allow_nan=False)


def test_the_same_seed_gives_the_same_scores(model: Model, tmp_path: Path) -> None:
    cases, tasks = module.collect(model, "here", tmp_path), model.tasks.values()
    one, two, other = (score(cases, tasks, 30, seed)[0] for seed in (1, 1, 2))
    assert one == two
    assert one != other
    limits = (".low", ".high")
    assert {key: one[key] for key in one if not key.endswith(limits)} == {
        key: other[key] for key in other if not key.endswith(limits)
    }


def test_without_resamples_there_are_no_limits(model: Model, tmp_path: Path) -> None:
    scores = evaluate(model, "here", tmp_path, resamples=0)["scores"]
    assert not [key for key in scores if key.endswith((".low", ".high"))]


def test_folds_choose_records(model: Model, tmp_path: Path) -> None:
    result = evaluate(model, "here", tmp_path, folds=(2, 0, 2), resamples=0)
    assert result["folds"] == [0, 2]
    assert (result["records"], result["patients"]) == (16, 8)
    with pytest.raises(BadRequest, match=r"no record in folds \(7,\); it has the folds \[0, 1, 2"):
        evaluate(model, "here", tmp_path, folds=(7,))
    with pytest.raises(BadRequest, match="no source 'nowhere'; known: here, other"):
        evaluate(model, "nowhere", tmp_path)


def test_the_lead_set_is_told_and_used(model: Model, tmp_path: Path) -> None:
    twelve = evaluate(model, "here", tmp_path, resamples=0)
    one = evaluate(model, "here", tmp_path, lead_set="1", resamples=0)
    assert (twelve["lead_set"], one["lead_set"]) == (None, "1")
    assert one["scores"] != twelve["scores"]
    with pytest.raises(BadRequest, match="no lead set '5'"):
        evaluate(model, "here", tmp_path, lead_set="5")


def test_a_source_without_labels_is_refused(
    model: Model, here: list[Item], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    silent = replace(make_record(1), labels={}, annotated=frozenset())
    parts: dict[str, Any] = {"index": lambda _: here, "load": lambda _: silent}
    monkeypatch.setattr(module, "SOURCES", {"here": replace(SOURCES["ludb"], **parts)})
    with pytest.raises(BadRequest, match="here has no labels for waves, beats, diagnosis"):
        evaluate(model, "here", tmp_path)


@pytest.mark.parametrize(
    ("source", "key", "fold", "part", "seen"),
    [
        ("here", "here/1", 1, {"folds": [1, 2]}, True),
        ("here", "here/1", 0, {"folds": [1, 2]}, False),
        ("here", "here/1", 0, {"folds": None}, True),
        ("here100", "here/1", 1, {"folds": [1, 2]}, True),
        ("there", "there/1", 1, {"folds": [1, 2]}, False),
        ("there", "here/1", 7, {"folds": [1, 2]}, True),  # a challenge's copy of it
        ("there", "there/1", 7, {"folds": None, "sets": ["here", "there"]}, True),
        ("here", "here/1", 0, {"folds": [1], "sets": ["other"]}, False),
    ],
)
def test_records_that_taught_are_told(
    source: str, key: str, fold: int, part: dict[str, Any], seen: bool
) -> None:
    bundle = make_bundle(trained_on=[TRAINED | {"sets": ["here"]} | part])
    assert module.seen_in_training(bundle, source, [Item(key, Path(), key, fold)]) is seen


def test_records_that_only_chose_are_not_seen() -> None:
    everything = {**TRAINED, "folds": None}
    bundle = make_bundle(trained_on=[everything], validated_on=[{"source": "here", "folds": [5]}])
    assert not module.seen_in_training(bundle, "here", [Item("here/1", Path(), "p", 5)])
    assert module.seen_in_training(bundle, "here", [Item("here/1", Path(), "p", 4)])


def test_a_card_from_before_it_named_sets() -> None:
    part = {key: value for key, value in TRAINED.items() if key != "sets"}
    bundle = make_bundle(trained_on=[part])
    assert module.seen_in_training(bundle, "here", [Item("here/1", Path(), "p", 1)])
    assert not module.seen_in_training(bundle, "there", [Item("there/1", Path(), "p", 1)])
    assert not module.seen_in_training(make_bundle(), "here", [Item("here/1", Path(), "p", 1)])


def make_cases(patients: list[str]) -> list[Case]:
    """Return one case per name, in which the first and every third beat are missed."""
    cases = []
    for number, patient in enumerate(patients):
        reference = Record(
            str(number), np.zeros((1, 0), np.float32), 125.0, ("I",),
            beats=tuple(Beat(1.0 + at, "N") for at in range(6)), annotated=frozenset({"beats"}),
        )  # fmt: skip
        found = reference.beats if number % 3 else reference.beats[:3]
        cases.append(Case(Item(patient, Path(), patient, 0), reference, Outcome(beats=found)))
    return cases


def test_intervals_are_over_patients_not_records() -> None:
    by_record, _ = score(make_cases([str(n) for n in range(12)]), [TASKS["beats"]], 400, 1)
    by_patient, _ = score(make_cases(["a", "b", "c"] * 4), [TASKS["beats"]], 400, 1)
    key = "beats.sensitivity"
    assert by_record[key] == by_patient[key] == pytest.approx(60 / 72, abs=1e-6)
    widths = [
        (scores[f"{key}.high"] or 0) - (scores[f"{key}.low"] or 0)
        for scores in (by_record, by_patient)
    ]
    assert 0 < widths[0] < 0.7 * widths[1]


def test_groups_are_of_ten_records_at_least() -> None:
    cases = make_cases([str(n) for n in range(21)])
    ages = [45.0] * 11 + [70.0] * 9 + [None]
    cases = [
        replace(case, reference=replace(case.reference, age=age, sex="F" if n < 10 else None))
        for n, (case, age) in enumerate(zip(cases, ages, strict=True))
    ]
    _, groups = score(cases, [TASKS["beats"]], 0)
    assert set(groups) == {"sex F", "age under 50"}
    assert groups["sex F"]["records"] == 10
    assert groups["sex F"]["beats.sensitivity"] == pytest.approx(48 / 60, abs=1e-6)
    assert set(groups["sex F"]) <= {"records", *module.HEADLINES}


def test_records_count_only_for_what_they_say() -> None:
    cases = make_cases([str(n) for n in range(6)])
    silent = replace(cases[0].reference, annotated=frozenset({"waves"}), beats=())
    with_silent = [*cases, replace(cases[0], reference=silent)]
    tasks = [TASKS["beats"], make_task("diagnosis", superclasses())]
    assert score(cases, tasks, 20) == score(with_silent, tasks, 20)


def test_what_cannot_be_computed_is_null() -> None:
    scores, _ = score(make_cases(["a", "b"]), [TASKS["beats"]], 10)
    assert scores["beats.V.sensitivity"] is None
    json.dumps(scores, allow_nan=False)


@pytest.fixture
def carded(model: Model, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    path = tmp_path / "bundle.safetensors"
    save_bundle(model.bundle, path)
    return path, evaluate(model, "here", tmp_path, folds=[0], resamples=20)


def test_the_card_keeps_the_headlines(carded: tuple[Path, dict[str, Any]]) -> None:
    path, result = carded
    before = read_bundle(path)
    add_to_card(path, result)
    after = read_bundle(path)
    (entry,) = after.card["scores"]
    assert entry["folds"] == [0]
    assert entry["commit"] == result["commit"]
    assert entry["groups"] == result["groups"]
    for key in ("beats.sensitivity", "beats.sensitivity.low", "waves.P.f1_150.high"):
        assert entry["scores"][key] == result["scores"][key]
    assert "diagnosis.PTB-XL superclass.NORM.auroc" in entry["scores"]
    assert "beats.N.f1" not in entry["scores"]
    assert after.weights_sha256 == before.weights_sha256
    assert after.card["trained_on"] == before.card["trained_on"]


def test_the_same_split_replaces_its_scores(carded: tuple[Path, dict[str, Any]]) -> None:
    path, result = carded
    other = result | {"folds": [1]}
    few = result | {"lead_set": "2"}
    newer = result | {"commit": "new", "seed": 5}
    for entry in (result, other, few, newer):
        add_to_card(path, entry)
    kept = read_bundle(path).card["scores"]
    assert [(e["folds"], e["lead_set"]) for e in kept] == [([1], None), ([0], "2"), ([0], None)]
    assert kept[-1]["commit"] == "new"


def test_scores_of_other_weights_are_refused(carded: tuple[Path, dict[str, Any]]) -> None:
    path, result = carded
    content = path.read_bytes()
    other = result | {"bundle": {"name": "small", "weights_sha256": "0" * 64}}
    with pytest.raises(BadRequest, match="scores are of another bundle"):
        add_to_card(path, other)
    assert path.read_bytes() == content
    path.write_bytes(content[:-1])
    with pytest.raises(BadBundle):
        add_to_card(path, result)


def test_a_folder_as_physionet_publishes_it(tmp_path: Path) -> None:
    """Three records as in MIT-BIH, one with ventricular flutter, scored from their files."""
    folder = tmp_path / "mitdb"
    folder.mkdir()
    for name in ("100", "101", "207"):
        record = synthesize("sinus", seed=int(name), duration_s=20.0, rate_hz=360.0)
        wfdb.wrsamp(
            name, fs=360, units=["mV", "mV"], sig_name=["MLII", "V1"],
            p_signal=record.signal[[1, 6]].T.astype(np.float64), fmt=["212", "212"],
            write_dir=str(folder),
        )  # fmt: skip
        taken = [(round(beat.time_s * 360), beat.symbol or "N", "") for beat in record.beats]
        marks = [(1, "+", "(N"), *taken]
        if name == "207":
            marks = [mark for mark in marks if not 3600 <= mark[0] < 5400]
            marks += [(3600, "+", "(VFL"), (5400, "+", "(N")]
        marks.sort()
        wfdb.wrann(
            name, "atr", np.array([m[0] for m in marks]), [m[1] for m in marks],
            aux_note=[m[2] for m in marks], write_dir=str(folder),
        )  # fmt: skip
    model = Model(make_bundle())
    cases = module.collect(model, "mitdb", tmp_path)
    assert [case.item.key for case in cases] == ["mitdb/100", "mitdb/101", "mitdb/207"]
    reference = cases[2].reference
    beats = sorted((*reference.beats, Beat(12.0, "V")), key=lambda beat: beat.time_s)
    found = replace(cases[2], found=Outcome(beats=tuple(beats)))
    scores, _ = score([found], [TASKS["beats"]], 0)
    assert scores["beats.ppv"] == 1  # the one inside the flutter is not false
    result = evaluate(model, "mitdb", folder, folds=[2], resamples=10)  # the folder of the set
    assert result["records"] == 1
    assert result["seen_in_training"] is False
    assert "beats.sensitivity.low" in result["scores"]
    assert "waves.P.f1_150" not in result["scores"]
