"""The speed benchmark: its arithmetic, its refusals, a quick run; how fast it is is not tested."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks" / "speed"
MODULES = ("measuring", "processes", "tables", "timing", "run")
PEER = {
    "models": """
import torch
class ECG_CRNN(torch.nn.Module):
    def __init__(self, classes, n_leads, config):
        super().__init__()
        self.net = torch.nn.Conv1d(n_leads, len(classes), 3 if config.rnn.name == "none" else 5)
    def forward(self, signal):
        assert signal.shape[1:] == (12, 4096)
        return self.net(signal).mean(-1)
""",
    "model_configs": """
from types import SimpleNamespace as Part
ECG_CRNN_CONFIG = Part(cnn=Part(name="?"), rnn=Part(name="?"), attn=Part(name="?"))
""",
    "databases.datasets.cinc2021": """
class CINC2021TrainCfg:
    classes = list(range(26))
    cnn_name, rnn_name, attn_name = "fake", "none", "none"
""",
}
OFFICIAL = """
import os
from fascicle.io.challenge import read_challenge
from fascicle.labels import SNOMED, challenge_classes, challenge_weights
from fascicle.metrics.challenge import challenge_scores

def load_weights(name):
    assert open(name).read() == "weights"
    return None, challenge_weights()

def _all(labels, outputs, scalars):
    place = challenge_classes().index(SNOMED, "426783006")
    return challenge_scores(labels, outputs, scalars, challenge_weights(), place)

def compute_auc(labels, scalars):
    made = _all(labels, labels, scalars)
    return made.auroc + float(os.environ.get("WRONG_BY", 0)), made.auprc, None, None

def compute_f_measure(labels, outputs):
    return _all(labels, outputs, outputs * 1.0).f_measure, None

def compute_accuracy(labels, outputs):
    return _all(labels, outputs, outputs * 1.0).accuracy

def compute_challenge_metric(weights, labels, outputs, classes, normal):
    assert normal == {"426783006"}
    return _all(labels, outputs, outputs * 1.0).challenge_metric

def evaluate_model(labels, outputs):
    print("Loading weights...")
    found = read_challenge(labels, outputs, challenge_classes())
    made = _all(found.labels, found.outputs, found.scores)
    whole = (made.accuracy, made.f_measure, None, made.challenge_metric)
    return None, made.auroc, made.auprc, None, None, *whole
"""


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    before = list(sys.path)
    sys.path[:0] = [str(FOLDER.parent), str(FOLDER)]
    found: dict[str, ModuleType] = {name: importlib.import_module(name) for name in MODULES}
    yield SimpleNamespace(**found)
    sys.path[:] = before
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a stand-in for the official program."""
    folder = tmp_path_factory.mktemp("official")
    (folder / "evaluate_model.py").write_text(OFFICIAL)
    (folder / "weights.csv").write_text("weights")
    return folder


def python(folder: Path, *command: str | Path, **environment: str) -> Any:
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )


def spreads(found: Any) -> list[dict[str, float]]:
    """Return every spread in a tree."""
    if isinstance(found, list):
        return [each for part in found for each in spreads(part)]
    if not isinstance(found, dict):
        return []
    if set(found) == {"median", "lowest", "highest", "repeats"}:
        return [found]
    return [each for part in found.values() for each in spreads(part)]


def one_round(bench: SimpleNamespace, factor: float) -> dict[Any, Any]:
    """Return what the workers say in a round: torch_ecg's ResNet takes twice our time."""
    found: dict[Any, Any] = {}
    for precision in bench.run.PRECISIONS:
        found["peak", precision] = {"wall_s": 1000.0 / factor, "cpu_s": 1000.0}
        for name in (*bench.run.OURS, "resnet"):
            wall = factor * (4.0 if name == "resnet" else 2.0)
            times = {"wall_s": [wall, wall, 9 * wall], "cpu_s": [1.0, 1.0, 1.0]}
            found["train", name, precision] = {**times, "wait_s": [0.1 * wall, 0.0, 0.0]}
            found["infer", name, precision, 1] = times
            found["infer", name, precision, 8] = times
    for name in bench.run.OURS:
        found["make", name] = {"wall_s": [1.0], "cpu_s": [0.25]}
    return found


def test_figures_follow_from_the_times_of_each_round(bench: SimpleNamespace) -> None:
    known = {name: {"operations": 50.0} for name in (*bench.run.OURS, "resnet")}
    amount = bench.run.Amount(batch=8, rounds=2, steps=3, passes=3, single=3, matrix=4)
    rounds = [one_round(bench, 1.0), one_round(bench, 2.0)]
    made = bench.run.summary(known, rounds, amount)
    ours = made["training"]["unet"]["fp32"]
    assert (ours["per_second"]["highest"], ours["per_second"]["lowest"]) == (4.0, 2.0)
    assert ours["per_cpu_second"]["median"] == 8
    assert ours["of_peak"]["lowest"] == ours["of_peak"]["highest"] == 50 * 8 / 2 / 1000
    assert ours["waiting"]["median"] == pytest.approx(0.1 / 11)
    assert ours["times_faster_than"] == {
        "resnet": {"median": 2.0, "lowest": 2.0, "highest": 2.0, "repeats": 2}
    }
    assert "of_peak" not in made["training"]["resnet"]["fp32"]
    assert made["training"]["resnet"]["fp32"]["times_faster_than"] == {}
    assert made["inference"]["unet"]["bf16"]["8"]["ms"]["lowest"] == 2000
    assert made["making_a_batch_ms"]["unet_2500"]["median"] == 250
    assert made["peak_per_second"]["bf16"]["median"] == 750


def test_the_order_is_reversed_from_round_to_round(bench: SimpleNamespace) -> None:
    there = list(bench.run.turns({"a": None, "b": None}, reverse=False))
    back = list(bench.run.turns({"a": None, "b": None}, reverse=True))
    assert there[:3] == [("fp32", None), ("fp32", "a"), ("fp32", "b")]
    assert back[:3] == [("fp32", "b"), ("fp32", "a"), ("fp32", None)]
    assert sorted(map(str, there)) == sorted(map(str, back))


def test_operations_are_those_of_forward_and_backward(bench: SimpleNamespace) -> None:
    net = torch.nn.Linear(5, 7, bias=False)
    signal = torch.ones(3, 5)
    assert bench.timing.operations(lambda: net(signal).sum().backward()) == 2 * 2 * 3 * 5 * 7


def test_time_between_stamps(bench: SimpleNamespace) -> None:
    found = bench.timing.between([(1.0, 0.5), (3.0, 1.5), (4.0, 1.75)])
    assert found == {"wall_s": [2.0, 1.0], "cpu_s": [1.0, 0.25]}


def test_scores_that_differ_stop_the_run(bench: SimpleNamespace) -> None:
    bench.run.check_same([[0.5, 0.25], [0.5, 0.25 + 1e-12]])
    with pytest.raises(SystemExit, match="differ"):
        bench.run.check_same([[0.5, 0.25], [0.5, 0.25 + 1e-6]])
    with pytest.raises(SystemExit, match="differ"):
        bench.run.check_same([[0.5], [float("nan")]])


def test_scoring_beside_the_official_program(
    bench: SimpleNamespace, official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = bench.run.scoring(official, tmp_path / "files", quick=True)
    assert found["records"] == {"arrays": 300, "files": 20}
    assert len(list((tmp_path / "files" / "outputs").iterdir())) == 20
    for what in ("arrays", "files"):
        ratio = found[what]["official_wall_s"]["median"] / found[what]["fascicle_wall_s"]["median"]
        assert found[what]["times_faster"]["median"] == pytest.approx(ratio)
    monkeypatch.setenv("WRONG_BY", "0.001")
    with pytest.raises(SystemExit, match="the scores differ"):
        bench.run.scoring(official, tmp_path / "again", quick=True)


def test_what_is_not_at_hand_is_named(
    bench: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = bench.run.scoring(None, tmp_path / "files", quick=True)
    assert set(found["arrays"]) == {"fascicle_wall_s", "fascicle_cpu_s"}
    assert bench.run.reading(SimpleNamespace(data=None), None, tmp_path) is None
    said = capsys.readouterr().err
    assert "not measured: the official program; --official names" in said
    assert "not measured: reading beside wfdb; --data names" in said


@pytest.mark.slow
def test_a_quick_run_beside_stand_ins(
    bench: SimpleNamespace, official: Path, tmp_path: Path
) -> None:
    for name, text in PEER.items():
        path = tmp_path / "peer" / "torch_ecg" / name.replace(".", "/")
        path.mkdir(parents=True)
        (path / "__init__.py").write_text(text)
    known = tmp_path / "peer" / "torch_ecg-0.0.dist-info"
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: torch_ecg\nVersion: 0.0\n")
    options = ["--quick", "--out", str(tmp_path), "--peer-python", sys.executable]
    options += ["--official", str(official)]
    run = python(tmp_path, FOLDER / "run.py", *options, PYTHONPATH=str(tmp_path / "peer"))
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("| training step, batch 4, one core |")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["peer_versions"]["torch_ecg"] == "0.0"
    cpu = results["devices"]["cpu"]
    nets = {"resnet18_se", "unet", "unet_2500", "resnet", "crnn"}
    assert set(cpu["nets"]) == set(cpu["training"]) == set(cpu["inference"]) == nets
    assert cpu["nets"]["resnet"]["parts"] == ["fake", "none", "none"]
    assert cpu["nets"]["unet_2500"]["input"] == [12, 2500]
    assert cpu["nets"]["unet"]["input"] == cpu["nets"]["resnet18_se"]["input"] == [12, 4096]
    assert cpu["nets"]["resnet"]["operations"] == 2 * 2 * 26 * 12 * 3 * 4094  # none for the signal
    found = spreads(results)
    assert len(found) == 2 + 3 + 10 * 2 + 6 * (2 + 2) + 20 * 2 + 12 * 2 + 2 * 5
    assert all(0 < each["lowest"] <= each["median"] <= each["highest"] for each in found)
    on_gpu = {**results, "gpu": "a GPU", "devices": {"cpu": cpu, "cuda": cpu}}
    assert "training step, batch 4, a GPU" in bench.tables.table(on_gpu)


@pytest.mark.slow
def test_the_worker_takes_the_loops_own_steps(tmp_path: Path) -> None:
    lines = (
        "import json, sys; sys.argv = ['worker', 'cpu', 'quick']; import fascicle_worker as w",
        "w.loop._batches = w.watched(w.loop._batches)",
        "made = w.train('unet_2500', 'bf16', 4, 3)",
        "shares = w.shares([24, 6, 6, 2, 2], 32)",
        "rows = [group.rows for group in w.groups('unet', 32)]",
        "print(json.dumps([made, shares, rows, w.draw('unet', 4).signal.shape]))",
    )
    run = python(tmp_path, "-c", "\n".join(lines), PYTHONPATH=str(FOLDER))
    assert run.returncode == 0, run.stderr
    made, shares, rows, shape = json.loads(run.stdout)
    assert [len(made[key]) for key in ("wall_s", "cpu_s", "wait_s")] == [3, 3, 3]
    assert all(wait < step for wait, step in zip(made["wait_s"], made["wall_s"], strict=True))
    assert shares == [19, 5, 5, 1, 2]
    assert sum(rows) == 32
    assert shape == [4, 12, 4096]
