"""The multi-head benchmark: what its nets share, who is tested by whom, and a run on tiny input."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fascicle.recipe import read_recipe

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "multi-head"


@dataclass(frozen=True)
class Labelled:
    """What the choice of classes looks at in an entry of a pack."""

    fold: int
    labels: Mapping[str, frozenset[str]]


EVERY = ("AFIB", "CRBBB", "IRBBB", "SR")


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, ModuleType]]:
    """Return the benchmark's modules, which stand in no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        names = ("nets", "scores", "made")
        found = {name: importlib.import_module(name) for name in names}
        assert all(Path(str(part.__file__)).parent == FOLDER for part in found.values())
        yield found
        for name in names:
            sys.modules.pop(name)


@pytest.mark.parametrize("file", sorted((ROOT / "recipes" / "multi-head").glob("*.toml")))
def test_recipes_are_the_papers_net(file: Path) -> None:
    recipe = read_recipe(file)
    backbone: Any = recipe.backbone
    assert (backbone.name, backbone.widest) == ("resnet34", 4 * backbone.width)
    assert recipe.tasks["diagnosis"].head == "logistic"
    assert recipe.tasks["diagnosis"].loss == "bce"
    assert {group.sampler for group in recipe.groups} == {"fill_up"}
    assert (recipe.training.optimiser, recipe.training.average) == ("adam", 0.0)


def test_the_papers_size_is_that_of_the_paper() -> None:
    recipe = read_recipe(ROOT / "recipes" / "multi-head" / "all.toml")
    backbone: Any = recipe.backbone
    assert (recipe.window, len(recipe.leads)) == (2500, 12)
    assert (backbone.width, backbone.widest, backbone.kernel) == (64, 256, 16)
    assert recipe.groups[0].fill_up == 4000


def test_nets_of_a_group_differ_in_their_classes_alone(parts: dict[str, ModuleType]) -> None:
    nets = parts["nets"]
    jobs = [
        nets.Job("single", "CRBBB", 1, 2),
        nets.Job("two", "CRBBB", 1, 2),
        nets.Job("all", "", 1, 2),
    ]
    made = [nets.recipe_of(job, nets.REAL, EVERY) for job in jobs]
    classes = [recipe.tasks["diagnosis"].classes for recipe in made]
    assert classes == [("CRBBB",), ("CRBBB", "IRBBB"), EVERY]
    assert [recipe.tasks["diagnosis"].weight for recipe in made] == [1, 2, 4]
    alike = [recipe.model_copy(update={"tasks": {}}) for recipe in made]
    assert alike[0] == alike[1] == alike[2]


def test_the_net_of_common_classes_is_taught_no_rare_one(parts: dict[str, ModuleType]) -> None:
    nets = parts["nets"]
    found = nets.classes_of(nets.Job("common", "", 0, 1), nets.REAL, (*nets.REAL.rare, "SR"))
    assert found == ("SR",)


def test_every_fold_is_tested_once_and_never_by_a_net_that_saw_it(
    parts: dict[str, ModuleType],
) -> None:
    nets = parts["nets"]
    tested: list[int] = []
    for group, (folds, chosen) in enumerate(nets.GROUPS):
        settings = nets.recipe_of(nets.Job("all", "", group, 1), nets.REAL, EVERY).groups[0]
        assert settings.validate_folds == (chosen,)
        assert {*settings.folds, chosen, *folds} == set(range(1, 10))
        assert not {*settings.folds, chosen} & set(folds)
        tested += folds
    assert sorted(tested) == list(range(1, 10))


def test_thresholds_do_not_see_the_records_that_they_decide(parts: dict[str, ModuleType]) -> None:
    scores = parts["scores"]
    labels = np.array([True, False, False])
    truth = scores.Truth([labels] * 3, [labels] * 3)
    # Fold 4 chooses for the first group, 7 for the second, 1 for the third: the first group tests
    # fold 1, the second fold 4, the third fold 7. Each group's own threshold tells which it took.
    chosen = [np.array([low, low - 0.1, 0.0]) for low in (0.2, 0.5, 0.8)]
    cuts = scores.thresholds([scores.Answered([labels * 1.0] * 3, chosen)], truth)
    for cut, seen in zip(cuts, ((0, 1), (1, 2), (0, 2)), strict=True):
        apart = [np.concatenate([chosen[g] for g in seen]), np.concatenate([labels] * 2)]
        expected = scores.fit_thresholds(apart[1][:, None], apart[0][:, None])[0]
        assert cut == expected
    assert len(set(cuts)) > 1


def test_measures_by_hand(parts: dict[str, ModuleType]) -> None:
    scores = parts["scores"]
    truth = scores.Truth([np.array([True, False, True])] * 3, [np.array([True, False])] * 3)
    said = scores.Answered([np.array([0.9, 0.8, 0.1])] * 3, [np.array([0.9, 0.6])] * 3)
    weights = np.ones((9, 2))
    weights[2::3, 1] = 0  # a draw without the positive that is missed
    found = scores.measure([said], truth, weights)
    # The threshold lets .9 and .8 in: a hit, a false alarm and a miss in each group.
    assert found["f1"] == pytest.approx([2 / (2 + 1 + 1), 2 / (2 + 1)])
    # At .9 precision 1, at .1 precision 2/3; without the last, 1.
    assert found["auprc"] == pytest.approx([(1 + 2 / 3) / 2, 1])


def test_draws_keep_a_patients_records_together(parts: dict[str, ModuleType]) -> None:
    weights = parts["scores"].draws_of(["a", "b", "a"], np.random.default_rng(0))
    assert (weights[:, 0] == 1).all()
    assert (weights[0] == weights[2]).all()
    assert (weights[0, 1:] + weights[1, 1:] == 2).all()
    assert len(np.unique(weights[0])) == 3


def test_a_figure_is_its_value_and_the_middle_of_its_draws(parts: dict[str, ModuleType]) -> None:
    found = parts["scores"].figure(np.concatenate([[0.5], np.linspace(0, 1, 1001)]))
    assert found == {"value": 0.5, "low": 0.025, "high": 0.975}


def test_other_classes_need_enough_positives_in_every_group(parts: dict[str, ModuleType]) -> None:
    nets, made = parts["nets"], parts["made"]
    study = nets.Study("test", {"PAC": "PVC"}, {}, least=6)
    one = {name: made.record(name, 1) for name in ("af", "pvc")}
    entries = [Labelled(fold, one["af"].labels) for fold in range(1, 10)]
    entries += [Labelled(fold, one["pvc"].labels) for fold in (4, 5, 6, 7, 8, 9) for _ in range(9)]
    # Five folds teach: atrial fibrillation once in each is too few. Folds 4 to 6 are tested in
    # the second group, which has folds 8 and 9 left of those with early beats.
    assert nets.every_class(study, entries) == ("PAC", "PVC", "SR")


def test_made_ecgs_hold_what_their_study_asks_for(parts: dict[str, ModuleType]) -> None:
    nets, made = parts["nets"], parts["made"]
    for study in (nets.SYNTHETIC, nets.QUICK):
        per_fold: dict[str, int] = {}
        for condition, count in made.EACH[study.name].items():
            for code in made.STATEMENTS[condition]:
                per_fold[code] = per_fold.get(code, 0) + count
        assert all(per_fold[rare] <= per_fold[near] for rare, near in study.relatives.items())
        if study is nets.SYNTHETIC:
            assert all(20 <= 5 * per_fold[rare] <= 100 for rare in study.rare)
    made_record = made.record("avb3", 3)
    assert made_record.labels == {"SCP-ECG": {"3AVB"}}
    assert (made_record.duration_s, made_record.rate_hz) == (10.0, 250.0)


@pytest.mark.slow
def test_a_quick_run_fills_every_table(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(FOLDER / "run.py"), "--quick", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    whole = json.loads((tmp_path / "results.json").read_text())
    assert whole["schema"] == "fascicle/benchmark/1"
    results = whole["studies"]["quick"]
    (row,) = results["classes"]
    assert (row["code"], row["relative"], row["positives"]) == ("PAC", "PVC", 18)
    assert row["training_positives"] == [10, 10, 10]
    assert set(row["arms"]) == {"single", "two", "all", "frozen"}
    for arm in row["arms"].values():
        assert all(0 <= value["low"] <= value["high"] <= 1 for value in arm.values())
    gain = row["arms"]["all"]["f1"]["value"] - row["arms"]["single"]["f1"]["value"]
    assert row["gains"]["all"]["f1"]["value"] == pytest.approx(gain, abs=2e-4)
    assert results["means"]["all"]["f1_gain"] == row["gains"]["all"]["f1"]
    assert {(told["arm"], told["times"]) for told in results["longer"]} == {
        ("all", 1), ("single", 1), ("all", 2), ("single", 2)
    }  # fmt: skip
    assert str(tmp_path) not in (tmp_path / "results.json").read_text()
    assert run.stdout.startswith("### Synthetic ECGs, a quick run\n\n| net |")
