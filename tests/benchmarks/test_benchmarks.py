"""Benchmarks run on tiny input and write what they promise; how fast they are is not tested."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SPREAD = {"median", "lowest", "highest", "repeats"}
ABOUT = {"machine", "versions", "commit", "core", "threads", "load_at_start", "load_at_end", "note"}
FAKE_NEUROKIT = """
def ecg_clean(lead, sampling_rate):
    assert lead.shape == (5000,) and sampling_rate == 500
    return lead

def ecg_peaks(cleaned, sampling_rate):
    return None, {"ECG_R_Peaks": [100]}

def ecg_delineate(cleaned, peaks, sampling_rate, method):
    assert method == "dwt" and peaks == [100]
    if cleaned[0] == cleaned.max():
        raise ValueError("no beats")
"""


def start(command: list[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )


def finished(run: subprocess.CompletedProcess[str], out: Path) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    text = (out / "results.json").read_text()
    for private in (str(out), str(BENCHMARKS.parent), str(Path.home()) + "/", socket.gethostname()):
        assert private not in text
    results: dict[str, Any] = json.loads(text)
    assert results["schema"] == "fascicle/benchmark/1"
    assert set(results) >= ABOUT
    assert set(results["machine"]) == {"processor", "cores", "memory_gb", "system"}
    assert run.stdout.startswith("| ")
    return results


def check_spreads(found: Any) -> int:
    """Return how many spreads there are in a tree; each must be in order and positive."""
    if isinstance(found, list):
        return sum(check_spreads(part) for part in found)
    if not isinstance(found, dict):
        return 0
    if set(found) == SPREAD:
        assert 0 < found["lowest"] <= found["median"] <= found["highest"]
        assert found["repeats"] >= 1
        return 1
    return sum(check_spreads(part) for part in found.values())


@pytest.mark.slow
def test_reading(tmp_path: Path) -> None:
    run = start([BENCHMARKS / "reading" / "run.py", "--quick", "--out", tmp_path, "--note", "busy"])
    results = finished(run, tmp_path)
    ways = {"pack", "batch", "wfdb", "fascicle", "prepare"}
    assert set(results["per_second"]) == set(results["per_cpu_second"]) == ways
    assert set(results["pack_times_faster_than"]) == {"wfdb", "fascicle", "prepare"}
    assert results["records"] == 4
    assert results["target_windows_per_second"] == 5000
    assert results["note"] == "busy"
    assert "(busy)" in run.stdout
    assert check_spreads(results) == 13


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Return results and output of a quick run beside a stand-in for NeuroKit2."""
    folder = tmp_path_factory.mktemp("peer")
    (folder / "neurokit2.py").write_text(FAKE_NEUROKIT)
    known = folder / "neurokit2-0.0.dist-info"
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: neurokit2\nVersion: 0.0\n")
    out = folder / "out"
    out.mkdir()
    page = out / "README.md"
    page.write_text("before <!-- results: written by run.py -->old<!-- end of results --> after")
    run = start(
        [
            BENCHMARKS / "analysis" / "run.py",
            "--quick",
            "--out",
            out,
            "--peer-python",
            sys.executable,
        ],
        PYTHONPATH=str(folder),
    )
    return finished(run, out), page.read_text()


@pytest.mark.slow
def test_analysis_has_every_figure(analysis: tuple[dict[str, Any], str]) -> None:
    results, _ = analysis
    sides = [f"{side}_{clock}_ms" for side in ("fascicle", "neurokit") for clock in ("wall", "cpu")]
    ratios = ["times_faster_wall_ms", "times_faster_cpu_ms"]
    assert set(results["warm"]) == {"records", "rounds", *sides, *ratios}
    assert set(results["stages_cpu_ms"]) == {"read", "quality", "prepare", "net", "decode"}
    fresh = {"analyze_s", "analyze_cpu_s", "analyze_mb"}
    assert set(results["cold"]) == fresh | {"help_s", "help_cpu_s", "help_mb"}
    assert set(results["long_12_leads"]) == fresh
    assert set(results["long"]) == fresh | {
        "records",
        "duration_s",
        "warm_s",
        "warm_cpu_s",
        "times_real_time",
    }
    assert results["long"]["duration_s"]["median"] == 30
    assert results["targets"]["warm_ms"] == 150
    assert check_spreads(results) == 6 + 5 + 6 + 7 + 3 + 2 * 5
    assert 20 < results["cold"]["help_mb"]["median"] < results["cold"]["analyze_mb"]["median"]


@pytest.mark.slow
def test_each_record_is_paired_with_its_peer(analysis: tuple[dict[str, Any], str]) -> None:
    results, _ = analysis
    assert results["peer_versions"]["neurokit2"] == "0.0"
    assert [record["name"] for record in results["records"]] == ["synthetic0", "synthetic1"]
    for record in results["records"]:
        ours, theirs, faster = (
            record[key]["median"] for key in ("fascicle_ms", "neurokit_ms", "times_faster")
        )
        assert faster == pytest.approx(theirs / ours)  # one round: one pair
        assert 0 <= record["neurokit_failed_leads"] <= 12


@pytest.mark.slow
def test_an_untrained_net_is_called_so(analysis: tuple[dict[str, Any], str]) -> None:
    results, page = analysis
    trained = results["bundle"]["trained"]
    assert len(results["bundle"]["sha256"]) == 64
    assert ("untrained" in page) == (not trained)


@pytest.mark.slow
def test_the_table_goes_between_the_markers(analysis: tuple[dict[str, Any], str]) -> None:
    _, page = analysis
    assert page.startswith("before <!-- results: written by run.py -->\n| what |")
    assert page.endswith("<!-- end of results --> after")
    assert "old" not in page


def test_statements(tmp_path: Path) -> None:
    run = start([BENCHMARKS / "statements" / "run.py", "--quick", "--out", tmp_path])
    results = finished(run, tmp_path)
    assert results["labels"]["SR"]["f1"] == 1
    assert results["labels"]["IMI"]["possible_and_stated"] == 10
    assert results["averages"]["present"]["micro.recall"]["value"] == 30 / 50
    assert results["not_mentioned"] == 10  # LVH


@pytest.mark.slow
def test_new_class(tmp_path: Path) -> None:
    run = start([BENCHMARKS / "new-class" / "run.py", "--quick", "--out", tmp_path])
    results = finished(run, tmp_path)
    (row,) = results["rows"]
    assert (row["set"], row["code"], row["count"]) == ("synthetic", "vt", 5)
    assert set(row["tested"]) == {"auto", "logistic", "prototype"}
    for found in row["tested"].values():
        assert found["auroc"] > 0.9
    assert row["promised"]["f1.low"] <= row["promised"]["f1"] <= row["promised"]["f1.high"]
    assert len(row["f1_of_draws"]) == 1


def test_too_little_data_is_refused(tmp_path: Path) -> None:
    run = start([BENCHMARKS / "analysis" / "run.py", "--data", tmp_path, "--out", tmp_path])
    assert run.returncode == 1
    assert "ludb/data/*.hea: 20 records expected under --data, found 0" in run.stderr
    assert not (tmp_path / "results.json").exists()


@pytest.mark.parametrize("name", ["reading", "analysis"])
def test_pages_have_markers_and_the_figures_in_results(name: str) -> None:
    page = (BENCHMARKS / name / "README.md").read_text()
    results = json.loads((BENCHMARKS / name / "results.json").read_text())
    assert "<!-- results: written by run.py -->" in page
    assert "<!-- end of results -->" in page
    assert f"Commit {results['commit']}." in page
    assert check_spreads(results) > 10


@pytest.mark.slow
def test_second_view(tmp_path: Path) -> None:
    run = start([BENCHMARKS / "second-view" / "run.py", "--quick", "--out", tmp_path])
    results = finished(run, tmp_path)
    assert [part["leads"] for part in results["parts"]] == ["12", "2"]
    for part in results["parts"]:
        assert part["records"] == 4
        for scores in part["scores"].values():
            assert {"net", "typical beat", "both", "gain"} == set(scores)
            value, low, high = scores["both"]
            assert 0 <= low <= value <= high <= 1
    assert "gain of both over the net" in run.stdout


@pytest.mark.slow
def test_xresnet(tmp_path: Path) -> None:
    script = BENCHMARKS / "xresnet" / "run.py"
    results = finished(start([script, "--quick", "--seeds", "2", "--out", tmp_path]), tmp_path)
    assert [(part["fold"], part["classes"]) for part in results["parts"]] == [
        (fold, classes) for fold in (8, 9) for classes in ("superclasses", "statements")
    ]
    for part in results["parts"]:
        assert len(part["seeds"]) == 2
        assert part["xresnet1d101"][0] == pytest.approx(sum(part["seeds"]) / 2, abs=1e-4)
        assert part["gain"][0] == pytest.approx(part["both"][0] - part["xresnet1d101"][0], abs=2e-4)
