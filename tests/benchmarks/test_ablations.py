"""The ablation benchmark: one change per net, equal budgets, scores that add up, verdicts."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fascicle.data.splits import choose
from fascicle.labels import SINUS_RHYTHM, SNOMED, challenge_classes, challenge_weights
from fascicle.metrics.challenge import challenge_score
from fascicle.metrics.classification import auroc, f1, macro
from fascicle.record import Beat, Wave
from fascicle.synth import synthesize
from fascicle.tasks import Outcome
from fascicle.tasks.scores import Answer, score_beats, score_waves

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "ablations"
MODULES = ("measuring", "nets", "scoring", "tables", "made", "lines", "run")


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    """Return the benchmark's modules but run.py, which limits the threads of its process."""
    before = list(sys.path)
    sys.path[:0] = [str(FOLDER.parent), str(FOLDER)]
    found: dict[str, ModuleType] = {name: importlib.import_module(name) for name in MODULES[:-1]}
    yield SimpleNamespace(**found)
    sys.path[:] = before
    for name in MODULES:
        sys.modules.pop(name, None)


def start(*options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "run.py"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def differences(mine: Any, theirs: Any, place: str = "") -> set[str]:
    """Return the places in which two trees of plain values differ."""
    if isinstance(mine, dict) and isinstance(theirs, dict) and mine.keys() == theirs.keys():
        return set().union(*(differences(mine[k], theirs[k], f"{place}.{k}") for k in mine))
    if isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        pairs = enumerate(zip(mine, theirs, strict=True))
        return set().union(*(differences(a, b, f"{place}.{i}") for i, (a, b) in pairs))
    return set() if mine == theirs else {place[1:]}


CHANGED = {
    "no-intervals": {"tasks.diagnosis.perceiver.intervals"},
    "pooled": {"tasks.diagnosis.head", "tasks.diagnosis.perceiver"},
    "pooled-max-attention": {"tasks.diagnosis.head", "tasks.diagnosis.perceiver"},
    "no-deep-supervision": {"tasks.waves.deep_supervision"},
    "skip-16": {"backbone.skip"},
    "skip-32": {"backbone.skip"},
    "not-rewritten": {"tasks.diagnosis.rewrite"},
    "bce": {"tasks.diagnosis.loss"},
    "uniform": {"groups.0.sampler"},
    "no-noise": {
        f"augmentation.{name}"
        for name in ("baseline_mv", "mains_mv", "muscle_mv", "electrode_mv", "cutout_s")
    },
    "ranger": {
        f"training.{name}" for name in ("optimiser", "schedule", "cycle_steps", "warmup_steps")
    },
    "pretrained": set(),
    "pretrained-100": {"training.fresh"},
    "pretrained-10": {"training.fresh", "tasks.diagnosis.min_positives"},
    "scratch-100": {"training.steps", "training.validate_steps"},
}


@pytest.mark.parametrize("name", list(CHANGED))
def test_a_net_differs_from_the_full_one_in_nothing_else(bench: SimpleNamespace, name: str) -> None:
    full, net = (bench.nets.recipe_of(one, "small", 2) for one in (bench.nets.FULL, name))
    assert net.seed == 2
    assert differences(full.model_dump(mode="json"), net.model_dump(mode="json")) == CHANGED[name]


@pytest.mark.parametrize("size", ["small", "quick"])
def test_nets_of_fewer_tasks_keep_their_groups_and_rows(bench: SimpleNamespace, size: str) -> None:
    full = bench.nets.recipe_of(bench.nets.FULL, size, 1)
    rows = {group.source: group.rows for group in full.groups}
    taught = {
        "waves": {"ludb": ("waves",)},
        "beats": {"ludb": ("beats",), "mitdb": ("beats",)},
        "waves+beats": {"ludb": ("waves", "beats"), "mitdb": ("beats",)},
        "diagnoses": {"ptbxl": ("diagnosis",)},
    }
    for name, groups in taught.items():
        net = bench.nets.recipe_of(name, size, 1)
        assert {group.source: group.tasks for group in net.groups} == groups
        assert {group.source: group.rows for group in net.groups} == {s: rows[s] for s in groups}
        assert set(net.tasks) == set(bench.nets.NETS[name].tasks) == {*sum(groups.values(), ())}
        assert net.training == full.training


def test_no_training_sees_what_is_reported(bench: SimpleNamespace) -> None:
    for name in bench.nets.NETS:
        for group in bench.nets.recipe_of(name, "small", 1).groups:
            reported = {fold for s, fold in bench.scoring.SOURCES.values() if s == group.source}
            assert group.folds is not None
            assert not reported & {*group.folds, *group.validate_folds}


@pytest.mark.parametrize("size", ["small", "quick"])
def test_scratch_sees_as_many_windows_as_both_trainings(bench: SimpleNamespace, size: str) -> None:
    nets = bench.nets
    tuned, scratch = (nets.recipe_of(f"{n}-10", size, 1) for n in ("pretrained", "scratch"))
    settings = nets.SIZES[size]
    first = nets.pretraining_of(nets.recipe_of(nets.PRETRAINED, size, 1))
    assert first.training.steps == settings.pretraining_steps
    batch = nets.windows_per_step(tuned)
    assert batch == sum(group.rows for group in tuned.groups)
    both = settings.pretraining_steps * (128 + batch - tuned.groups[0].rows)
    both += tuned.training.steps * batch
    assert abs(scratch.training.steps * batch - both) <= batch / 2
    assert tuned.training.steps == settings.steps


def test_questions_ask_for_nets_and_scores_that_are_there(bench: SimpleNamespace) -> None:
    nets = bench.nets
    asked: set[str] = set()
    for question in nets.QUESTIONS:
        having, lacking = nets.NETS[question.having], nets.NETS[question.lacking]
        assert (having.share or "100") == (lacking.share or "100")  # None: all labels
        assert question.judged
        for score in question.judged:
            assert score in bench.tables.NAMES
            assert score.partition(".")[0] in {*having.tasks} & {*lacking.tasks}
        asked |= {question.having, question.lacking}
    assert asked == set(nets.NETS) - {nets.PRETRAINED}


def test_fewer_labels_are_whole_patients_among_more(bench: SimpleNamespace) -> None:
    entries = [
        SimpleNamespace(name=f"{fold}-{place}", patient=f"{fold}-{place // 2}", fold=fold)
        for fold in range(1, 10)
        for place in range(40)
    ]
    validating = {entry.name for entry in choose(entries, [8])}  # type: ignore[arg-type]
    before: set[str] = set()
    for share, least in ((0.01, 4), (0.1, 28), (1.0, 280)):
        names = bench.nets.taught(entries, share, 3)
        assert len(set(names)) == len(names)
        own = set(names) - validating
        assert len(own) == least
        assert validating <= set(names)
        assert before <= own
        assert {f"{n.rpartition('-')[0]}-{int(n.rpartition('-')[2]) ^ 1}" for n in own} == own
        before = own
    assert bench.nets.taught(entries, 0.1, 3) != bench.nets.taught(entries, 0.1, 4)
    assert not any(name.startswith("9-") for name in before)


def shaken(wave: Wave, by_s: float) -> Wave:
    times = (wave.onset_s, wave.peak_s, wave.offset_s)
    onset, peak, offset = (None if time is None else time + by_s for time in times)
    return replace(wave, onset_s=onset, peak_s=peak, offset_s=offset)


def test_kept_counts_give_the_scores_of_waves_and_beats(bench: SimpleNamespace) -> None:
    records = [synthesize(kind, seed=3, rate_hz=250.0) for kind in ("sinus", "pvc")]
    outcomes = [
        Outcome(
            waves=tuple(shaken(w, 0.06 * (i % 3 == 0)) for i, w in enumerate(r.waves[:-40])),
            beats=tuple(Beat(b.time_s, "V" if i == 2 else b.kind) for i, b in enumerate(r.beats)),
        )
        for r in records
    ]
    once = np.ones((1, 2))
    unused: Any = None
    for task, official in (("waves", score_waves), ("beats", score_beats)):
        test = SimpleNamespace(task=task, group=SimpleNamespace(entries=records))
        kept = bench.scoring.KEEP[task](test, outcomes, None)
        found = bench.scoring.scores(test, kept, once)
        wanted = official(records, outcomes, unused)
        means = {
            "waves.dice": np.mean([wanted.get(f"waves.{k}.dice", 0) for k in ("P", "QRS", "T")])
        }
        for name, value in found.items():
            key = name.replace("v_f1", "V.f1")
            assert value == pytest.approx([means.get(name, wanted.get(key))]), name
            assert 0.1 < value[0] <= 1


@pytest.fixture
def diagnosed(bench: SimpleNamespace) -> Any:
    """Return a test of 40 records of 20 patients, a bundle's vocabulary, and outcomes."""
    made, every = np.random.default_rng(3), challenge_classes()
    labels = made.random((40, 26)) < 0.2
    patients = tuple(str(place // 2) for place in range(40))
    test = bench.scoring.Test("diagnosis", None, patients, labels, labels.sum(axis=0) > 6)
    terms = tuple(every.terms[:20])
    bundle = SimpleNamespace(vocabularies={"diagnosis": SimpleNamespace(terms=terms)})
    values = (0.5 * made.random((40, 26)) + 0.3 * labels)[:, :20].astype(np.float32)
    outcomes = [Outcome(answers={"diagnosis": Answer(row, row > 0.4)}) for row in values]
    return test, bundle, outcomes, values


def test_kept_ranks_and_decisions_give_the_scores_of_diagnoses(
    bench: SimpleNamespace, diagnosed: Any
) -> None:
    test, bundle, outcomes, values = diagnosed
    kept = bench.scoring.keep_diagnoses(test, outcomes, bundle)
    again = {key: bench.scoring.from_text(bench.scoring.as_text(a)) for key, a in kept.items()}
    found = {k: v[0] for k, v in bench.scoring.scores(test, again, np.ones((1, 40))).items()}
    scores = np.zeros((40, 26))
    scores[:, :20] = values
    outputs = scores > np.float32(0.4)
    normal = challenge_classes().index(SNOMED, SINUS_RHYTHM)
    assert test.shown[20:].any()  # the net lacks some classes of the means
    assert found["diagnosis.auroc"] == pytest.approx(macro(auroc(test.labels, scores)[test.shown]))
    assert found["diagnosis.f1"] == pytest.approx(macro(f1(test.labels, outputs)[test.shown]))
    official = challenge_score(test.labels, outputs, challenge_weights(), normal)
    assert found["diagnosis.challenge"] == pytest.approx(official)
    # a record that is drawn twice counts as two
    twice = np.concatenate([np.full(20, 2.0), np.zeros(20)])
    rows = np.repeat(np.arange(20), 2)
    drawn = bench.scoring.scores(test, again, twice[None])
    assert drawn["diagnosis.auroc"][0] == pytest.approx(
        macro(auroc(test.labels[rows], scores[rows])[test.shown])
    )


def test_equal_nets_gain_nothing_and_better_ones_do(bench: SimpleNamespace, diagnosed: Any) -> None:
    test, bundle, outcomes, _ = diagnosed
    kept = bench.scoring.keep_diagnoses(test, outcomes, bundle)
    for gain in bench.tables.gained(test, [kept, kept], [kept, kept]).values():
        assert (gain["mean"], gain["by_seeds"], gain["by_patients"]) == (0, [0, 0], [0, 0])
    right = kept | {"outputs": test.labels}
    gain = bench.tables.gained(test, [right] * 2, [kept] * 2)["diagnosis.challenge"]
    low, high = gain["by_patients"]
    assert 0 < low < gain["mean"] < high
    assert bench.tables.gained(test, [right], [kept])["diagnosis.f1"]["by_seeds"] is None


@pytest.mark.parametrize(
    ("by_seeds", "by_patients", "said"),
    [
        ([0.01, 0.03], [0.001, 0.02], "helps"),
        ([-0.01, 0.03], [0.001, 0.02], "not certain"),
        ([-0.03, -0.001], [-0.02, -0.001], "harms"),
        ([-0.01, 0.004], [-0.001, 0.002], "does not"),
        ([-0.01, 0.004], [-0.001, 0.02], "not certain"),
        (None, [0.01, 0.02], "not certain"),
    ],
)
def test_a_verdict_needs_both_intervals(
    bench: SimpleNamespace, by_seeds: Any, by_patients: Any, said: str
) -> None:
    assert bench.tables.verdict(by_seeds, by_patients) == said


def test_verdicts_of_several_scores(bench: SimpleNamespace) -> None:
    together = bench.tables.together
    assert together(["helps", "not certain"]) == "helps"
    assert together(["helps", "harms"]) == "not certain"
    assert together(["does not", "harms"]) == "harms"
    assert together(["does not", "does not"]) == "does not"
    assert together(["does not", "not certain"]) == "not certain"


def test_seeds_have_the_t_distributions_interval(bench: SimpleNamespace) -> None:
    low, high = bench.tables.over_seeds([0.0, 0.01, 0.02])
    assert (low, high) == pytest.approx((0.01 - 0.0248414, 0.01 + 0.0248414), abs=1e-6)


def test_a_broken_line_is_trained_again_and_breaks_no_other(
    bench: SimpleNamespace, tmp_path: Path
) -> None:
    path = tmp_path / "runs.jsonl"
    assert bench.lines.read_lines(path) == []
    bench.lines.add_line(path, {"net": "full"})
    path.write_text(path.read_text() + '{"net": "bea", "scores": {}')
    bench.lines.add_line(path, {"net": "waves"})
    assert bench.lines.read_lines(path) == [{"net": "full"}, {"net": "waves"}]


@pytest.mark.slow
def test_quick(tmp_path: Path) -> None:
    without = start()
    assert without.returncode == 2
    assert "--data is needed" in without.stderr
    options = ("--quick", "--out", tmp_path, "--runs", tmp_path / "runs", "--seeds", "1")
    run = start(*options)
    assert run.returncode == 0, run.stderr
    assert "Warning" not in run.stderr
    first = json.loads((tmp_path / "results.json").read_text())
    lines = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert len(lines) == len(first["nets"]) == 7
    assert first["nets"]["pretrained-10"]["windows"] == 12
    assert first["nets"]["pretrained-10"]["records"]["ptbxl"] == 10  # 84 train; two of a patient
    before, further = 130, first["nets"]["scratch-10"]["windows"] - 12
    assert first["nets"]["pretrained"]["windows"] == before
    assert abs(further - before) <= 3  # half a batch
    asked = {tuple(one["nets"]): set(one["gains"]) for one in first["questions"]}
    assert asked[("full", "waves")] == {"waves.f1_150", "waves.f1_40", "waves.dice"}
    assert len(asked) == 4
    (tmp_path / "runs.jsonl").write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:99])
    again = start(*options)
    assert again.returncode == 0, again.stderr
    second = json.loads((tmp_path / "results.json").read_text())
    assert second["questions"] == first["questions"]
    kept = (tmp_path / "runs.jsonl").read_text().splitlines()
    whole = [json.loads(line) for line in kept if line.endswith("}")]
    spoilt = [json.dumps({**line, "scores": {"waves.f1_150": 0.0}}) for line in whole]
    (tmp_path / "runs.jsonl").write_text("\n".join(spoilt) + "\n")
    scored = start(*options, "--score")
    assert scored.returncode == 0, scored.stderr
    third = json.loads((tmp_path / "results.json").read_text())
    for name, net in first["nets"].items():
        if net["scores"]:
            assert third["nets"][name]["scores"] == net["scores"]
    assert str(tmp_path) not in (tmp_path / "results.json").read_text()
