"""The lead-reversal benchmark: what a machine records of wrong wires, and that it runs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fascicle.record import LEADS, Record
from fascicle.signal.electrodes import SWAPS, UNDO
from fascicle.synth import synthesize

FOLDER = Path(__file__).parents[2] / "benchmarks" / "lead-reversal"


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(FOLDER))
    made = {}
    for name in ("placements", "fit", "run"):
        spec = importlib.util.spec_from_file_location(
            name if name == "placements" else f"lead_reversal_{name}", FOLDER / f"{name}.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        made[name] = module
    yield made
    del sys.modules["placements"]
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def record() -> Record:
    return synthesize("sinus", seed=1, rate_hz=250.0, duration_s=6.0)


@pytest.mark.parametrize("swap", UNDO)
def test_a_swap_is_what_einthoven_says(
    modules: dict[str, ModuleType], record: Record, swap: str
) -> None:
    found = modules["placements"].misplaced(record, swap, np.random.default_rng(0))
    np.testing.assert_allclose(found.signal[:2], UNDO[swap] @ record.signal[:2], atol=1e-5)
    np.testing.assert_allclose(found.signal[6:], record.signal[6:], atol=1e-5)
    twice = modules["placements"].misplaced(found, swap, np.random.default_rng(0))
    np.testing.assert_allclose(twice.signal, record.signal, atol=1e-5)


def test_an_arm_on_the_right_leg_flattens_a_lead(
    modules: dict[str, ModuleType], record: Record
) -> None:
    arm = modules["placements"].misplaced(record, "RA/RL", np.random.default_rng(0))
    size = np.sqrt(np.mean(record.signal**2, axis=1))
    assert np.sqrt(np.mean(arm.lead("II") ** 2)) < 0.1 * size[1]
    np.testing.assert_allclose(arm.lead("III"), record.lead("III"), atol=1e-5)
    moved = record.lead("V3") - record.lead("II") / 3  # the mean of RA, LA and LL moved
    assert np.abs(arm.lead("V3") - moved).max() < 0.05
    left = modules["placements"].misplaced(record, "LA/RL", np.random.default_rng(0))
    np.testing.assert_allclose(left.lead("II"), record.lead("II"), atol=1e-5)
    assert np.sqrt(np.mean(left.lead("III") ** 2)) < 0.1 * size[1]


def test_thresholds_keep_false_alarms_rare(modules: dict[str, ModuleType]) -> None:
    quiet = dict.fromkeys(SWAPS, 0.0)
    found = [{**quiet, "LA/LL": 0.9 + 0.001 * k} for k in range(10)] + [quiet] * 190
    chosen = dict(zip(SWAPS, modules["fit"].thresholds(found), strict=True))
    assert chosen["LA/RA"] == modules["fit"].START
    assert sum(each["LA/LL"] >= chosen["LA/LL"] for each in found) <= 2


def test_fitted_tables_tell_the_swaps_they_were_taught(
    modules: dict[str, ModuleType], tmp_path: Path
) -> None:
    cases = modules["run"].synthetic()
    modules["fit"].fit_tables(cases, cases, tmp_path)
    shipped = modules["run"].TABLES
    for name in ("electrode_swaps.csv", "chest_to_limbs.csv"):
        made = [line.split(",")[:2] for line in (tmp_path / name).read_text().splitlines()]
        assert made == [line.split(",")[:2] for line in (shipped / name).read_text().splitlines()]
    results = modules["run"].scored({"synthetic": cases})
    assert all(found["auroc"][0] > 0.9 for found in results["swaps"]["12"].values())
    text = modules["run"].table(results)
    assert "| right arm and right leg | twelve leads | 1.000" in text
    assert f"| synthetic | limb leads alone | {len(cases)} |" in text


def test_parts_are_apart(modules: dict[str, ModuleType]) -> None:
    made, part = modules["placements"].Case, modules["run"].part_of
    assert part(made("ptbxl", "00009_hr", "1", 9, {})) == "PTB-XL fold 9"
    assert part(made("ptbxl", "00007_hr", "1", 7, {})) is None
    assert part(made("ludb", "2", "2", 0, {})) == "LUDB, chosen on"
    assert part(made("ludb", "3", "3", 0, {})) == "LUDB, the others"
    assert part(made("cinc2021", "HR00009", "1", 0, {})) is None
    assert part(made("cinc2021", "Q0122", "1", 0, {})) == "CinC samples"


def test_the_sites_are_those_of_the_standard(modules: dict[str, ModuleType]) -> None:
    beats = modules["placements"].all_beats(
        synthesize("sinus", seed=0, rate_hz=250.0, duration_s=6.0), np.random.default_rng(0)
    )
    assert tuple(beats) == modules["placements"].PLACEMENTS
    assert all(
        beat is not None and len(beat.waves) == len(LEADS[6:]) + 2 for beat in beats.values()
    )
