"""Groups of windows around beats from a recipe; a net's answers there; a training of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fascicle.bundle import new_network, read_bundle
from fascicle.data.packing import pack_source
from fascicle.data.sources import SOURCES, Item
from fascicle.data.sources.source import Source
from fascicle.errors import BadData, BadRecipe, BadRequest
from fascicle.predict import Model
from fascicle.recipe import Recipe, parse_recipe
from fascicle.record import Beat, Record, Rhythm
from fascicle.tasks import make_task
from fascicle.tasks.windows import recalls
from fascicle.train.groups import open_groups
from fascicle.train.run import train_recipe
from fascicle.train.windows import answer_windows, cut_windows, labels_of, watch_windows

PLAIN = {
    "rate_hz": 125.0,
    "jump_mv": None,
    "lowpass_hz": None,
    "baseline": "none",
    "trimmed_mean": None,
}
QUIET = {"gain": 1.0, "baseline_mv": 0.0, "noise_mv": 0.0, "lead_set": 0.0, "lead_drop": 0.0}


def load(item: Item) -> Record:
    """Return a minute of beats; every third is wide and early, and the last half is AFIB."""
    times = np.arange(1.0, 59.0)
    times[::3] -= 0.2
    clock = np.arange(60 * 250) / 250
    signal = np.zeros((1, len(clock)), dtype=np.float32)
    for place, time_s in enumerate(times):
        width = 0.1 if place % 3 == 0 else 0.02
        signal[0] += np.exp(-0.5 * ((clock - time_s) / width) ** 2).astype(np.float32)
    return Record(
        name=item.path.name,
        signal=signal,
        rate_hz=250.0,
        leads=("II",),
        beats=tuple(
            Beat(float(t), "N" if k % 3 else "V", symbol="N" if k % 3 else "V")
            for k, t in enumerate(times)
        ),
        rhythms=(Rhythm(0.0, 30.0, "N"), Rhythm(30.0, 60.0, "AFIB")),
        annotated=frozenset({"beats", "rhythms"}),
    )


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder whose set "mitdb" holds the records 1, 2 and 3."""
    (tmp_path / "mitdb").mkdir()

    def index(folder: Path) -> list[Item]:
        return [Item(f"mitdb/{n}", folder / str(n), f"mitdb/{n}", 0) for n in (1, 2, 3)]

    real = SOURCES["mitdb"]
    made = Source(**{**{n: getattr(real, n) for n in real.__slots__}, "index": index, "load": load})
    monkeypatch.setattr("fascicle.data.packing.SOURCES", {**SOURCES, "mitdb": made})
    return tmp_path


def recipe(**changes: Any) -> Recipe:
    tree: dict[str, Any] = {
        "name": "t",
        "window_s": 0.6,
        "leads": ["II"],
        "preprocessing": PLAIN,
        "augmentation": QUIET,
        "backbone": {"name": "cnn1d", "width": 4, "shared": [8]},
        "tasks": {"beat": {"kind": "anomaly"}},
        "groups": [group()],
        "training": {
            "steps": 60,
            "learning_rate": 0.01,
            "warmup_steps": 1,
            "average": 0.5,
            "precision": "fp32",
            "validate_steps": 60,
        },
    }
    return parse_recipe({**tree, **changes}, "t.toml")


def group(**changes: Any) -> dict[str, Any]:
    windows = {"classes": {"normal": 1, "abnormal": 1}, "train": [0, 0.5], "validation": [0.5, 1]}
    return {
        "source": "mitdb",
        "tasks": ["beat"],
        "rows": 6,
        "records": ["1", "2"],
        "windows": windows,
        **changes,
    }


def test_groups_draw_their_classes_in_shares_and_keep_apart(data: Path, tmp_path: Path) -> None:
    made = recipe(
        groups=[group(windows={**group()["windows"], "classes": {"normal": 1, "abnormal": 3}})]
    )
    (train,), (held,) = open_groups(made, data, tmp_path / "packs")
    assert train.windows is not None
    assert held.windows is not None
    labels = labels_of(train, made.window, ("normal", "abnormal"))
    assert np.bincount(labels)[1] == 3 * np.bincount(labels)[0]
    starts = [
        np.array([s for e, s in g.windows if e == 0]) / 125 for g in (train, held) if g.windows
    ]
    assert starts[1].min() - starts[0].max() >= 5.6 - 1e-9  # the gap, and a window
    assert starts[0].max() < 30 < starts[1].max()


def test_a_class_without_windows_is_refused(data: Path, tmp_path: Path) -> None:
    windows = {"classes": {"AFIB": 1, "AFL": 1}}
    made = recipe(
        tasks={"beat": {"kind": "arrhythmia", "classes": ["AFIB", "AFL"]}},
        groups=[group(windows=windows)],
    )
    with pytest.raises(BadRecipe, match="no window of AFL to train on in 1, 2"):
        open_groups(made, data, tmp_path / "packs")


def test_windows_and_their_tasks_need_each_other(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match="the task beat needs windows around beats"):
        open_groups(recipe(groups=[group(windows=None)]), data, tmp_path / "packs")
    beats = recipe(tasks={"beats": {}}, groups=[group(tasks=["beats"])])
    with pytest.raises(BadRecipe, match="the task beats does not go with windows around beats"):
        open_groups(beats, data, tmp_path / "packs")


def test_a_patient_of_windows_is_no_other_groups_test(data: Path, tmp_path: Path) -> None:
    whole = {"source": "mitdb", "tasks": ["beats"], "rows": 2, "records": ["2"]}
    made = recipe(tasks={"beat": {"kind": "anomaly"}, "beats": {}}, groups=[group(), whole])
    with pytest.raises(BadData, match="leaks 1 pairs of records by patient: mitdb/2 and mitdb/2"):
        open_groups(made, data, tmp_path / "packs")


def test_each_patient_can_be_a_task() -> None:
    made = recipe(groups=[group(task_per_record=True)])
    assert list(made.tasks) == ["beat_1", "beat_2"]
    assert [(g.records, g.tasks, g.rows) for g in made.groups] == [
        (("1",), ("beat_1",), 3),
        (("2",), ("beat_2",), 3),
    ]
    assert parse_recipe(made.model_dump(mode="json"), "again") == made


@pytest.mark.parametrize(
    "changes", [{"rows": 5}, {"records": None}, {"tasks": ["beat", "other"]}, {"records": []}]
)
def test_patients_as_tasks_need_records_and_equal_rows(changes: Mapping[str, Any]) -> None:
    tasks = {"beat": {"kind": "anomaly"}, "other": {"kind": "anomaly"}}
    with pytest.raises(BadRecipe, match=r"groups\.0\.task_per_record needs records, one task"):
        recipe(tasks=tasks, groups=[group(task_per_record=True, **changes)])


def test_windows_part_by_time_and_not_by_folds() -> None:
    with pytest.raises(BadRecipe, match="no validate_folds, no sampler"):
        recipe(groups=[group(validate_folds=[1])])
    with pytest.raises(BadRecipe, match=r"unknown key groups\.0\.windows\.classs; known here: cl"):
        recipe(groups=[group(windows={"classs": {}})])


def test_answers_do_not_depend_on_how_windows_are_batched(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(
        tasks={"a": {"kind": "anomaly"}, "b": {"kind": "anomaly"}}, groups=[group(tasks=["a", "b"])]
    )
    _, (held,) = open_groups(made, data, tmp_path / "packs")
    tasks = {name: make_task(name, kind="anomaly") for name in made.tasks}
    network = new_network(made, tasks).eval()
    whole = cut_windows(held, made.window)
    monkeypatch.setattr("fascicle.train.windows.AT_ONCE", 7)
    parts = cut_windows(held, made.window)
    assert len(parts) > len(whole) == 1
    classes, expected = answer_windows(network, tasks, whole)
    assert classes == ("normal", "abnormal")
    np.testing.assert_allclose(answer_windows(network, tasks, parts)[1], expected, atol=1e-6)
    single = answer_windows(network, {"a": tasks["a"]}, whole)[1]
    assert not np.allclose(single, expected)


def test_nothing_is_watched_without_windows(data: Path, tmp_path: Path) -> None:
    made = recipe()
    tasks = {"beat": make_task("beat", kind="anomaly")}
    assert watch_windows(new_network(made, tasks), tasks, [], made.window) == {}


def test_a_training_learns_wide_beats_and_its_bundle_refuses_records(
    data: Path, tmp_path: Path
) -> None:
    made = recipe(groups=[group(task_per_record=True)], backbone={
        "name": "cnn1d", "extractors": 2, "width": 4, "shared": [8]
    })  # fmt: skip
    path = train_recipe(made, data, tmp_path / "packs", tmp_path / "out", device="cpu")
    last = json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[-1])
    assert last["windows.macro.recall"] == last["monitor"] > 0.95
    bundle = read_bundle(path)
    assert list(bundle.recipe.tasks) == ["beat_1", "beat_2"]
    pack = pack_source("mitdb", data, tmp_path / "packs", made.preprocessing)
    assert len(pack.entries) == 3
    record = load(Item("mitdb/3", Path("3"), "mitdb/3", 0))
    with pytest.raises(BadRequest, match="beat_1, beat_2: asked of windows around known beats"):
        Model(bundle).analyze(record)


def test_a_timing_task_shares_the_trunk_and_does_not_answer(data: Path, tmp_path: Path) -> None:
    every = {"classes": {"any": 1}, "train": [0, 0.5]}
    made = recipe(
        tasks={"beat": {"kind": "anomaly"}, "timing": {"kind": "timing", "weight": 2.0}},
        groups=[group(), group(tasks=["timing"], windows=every)],
    )
    _, held = open_groups(made, data, tmp_path / "packs")
    tasks = {name: make_task(name, kind=task.kind) for name, task in made.tasks.items()}
    network = new_network(made, tasks).eval()
    batches = cut_windows(held[0], made.window)
    classes, found = answer_windows(network, tasks, batches)
    assert classes == ("normal", "abnormal")
    np.testing.assert_array_equal(
        found, answer_windows(network, {"beat": tasks["beat"]}, batches)[1]
    )
    assert watch_windows(network, {"timing": tasks["timing"]}, held, made.window) == {}
    train_recipe(made, data, tmp_path / "packs", tmp_path / "out", device="cpu")
    lines = (tmp_path / "out" / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["timing"] < json.loads(lines[0])["timing"]


def test_few_labels_are_drawn_by_the_seed(data: Path, tmp_path: Path) -> None:
    windows = {**group()["windows"], "per_class": 2}
    drawn = []
    for seed in (1, 1, 2):
        made = recipe(groups=[group(windows=windows)], seed=seed)
        (train,), _ = open_groups(made, data, tmp_path / "packs")
        drawn.append(train.windows)
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] is not None
    assert len(drawn[0]) == 2 * 2 * 2  # classes, records, windows of each


def test_only_heads_that_validate_answer(data: Path, tmp_path: Path) -> None:
    helping = {"classes": {"normal": 1, "abnormal": 1}}
    made = recipe(
        tasks={"beat": {"kind": "anomaly"}, "others": {"kind": "anomaly"}},
        groups=[group(), group(tasks=["others"], records=["3"], windows=helping)],
    )
    groups, held = open_groups(made, data, tmp_path / "packs")
    assert (len(groups), len(held)) == (2, 1)
    tasks = {name: make_task(name, kind="anomaly") for name in made.tasks}
    network = new_network(made, tasks).eval()
    _, found = answer_windows(network, {"beat": tasks["beat"]}, cut_windows(held[0], made.window))
    labels = labels_of(held[0], made.window, ("normal", "abnormal"))
    watched = watch_windows(network, tasks, held, made.window)
    assert watched["windows.macro.recall"] == pytest.approx(float(recalls(labels, found).mean()))
