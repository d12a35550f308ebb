"""The delineation benchmark: how its tables are made, and each part on tiny input."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fascicle.data.sources import Item
from fascicle.predict import Prepared
from fascicle.recipe import read_recipe
from fascicle.record import LEADS, WAVE_KINDS, Record, Rhythm, Wave
from fascicle.synth import synthesize
from fascicle.tasks import Outcome

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "delineation"
NAMES = (
    *("parts", "folds", "peers", "global_intervals", "scatter", "ablation"),
    *("r_peaks", "invented_p", "rhythms", "neurokit_worker"),
)
RATE_HZ = 250.0


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, ModuleType]]:
    """Return the benchmark's modules, which stand in no package; NeuroKit2 is a stand-in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        patch.setitem(sys.modules, "neurokit2", ModuleType("neurokit2"))
        found = {name: importlib.import_module(name) for name in NAMES}
        assert all(Path(str(part.__file__)).parent == FOLDER for part in found.values())
        yield found
        for name in (*NAMES, "measuring", "processes"):
            sys.modules.pop(name, None)


def held(made: dict[str, ModuleType], condition: str = "sinus", seed: int = 3) -> Any:
    """Return a record beside a net that is always right, at its own rate."""
    record = synthesize(condition, seed=seed, heart_rate_bpm=45, rate_hz=RATE_HZ, noise=None)
    maps = np.zeros((len(LEADS), 4, record.samples), dtype=np.float32)
    whole = [w for w in record.waves if w.onset_s is not None and w.offset_s is not None]
    for wave in whole:
        assert wave.lead is not None
        assert wave.onset_s is not None
        assert wave.offset_s is not None
        inside = slice(round(wave.onset_s * RATE_HZ), round(wave.offset_s * RATE_HZ) + 1)
        maps[LEADS.index(wave.lead), 1 + WAVE_KINDS.index(wave.kind), inside] = 1
    maps[:, 0] = 1 - maps[:, 1:].sum(axis=1).clip(max=1)
    maps /= maps.sum(axis=1, keepdims=True)
    prepared = Prepared(record.signal, np.ones(12, dtype=np.bool_), np.zeros(6, dtype=np.float32))
    outcome = Outcome(tuple(whole), record.beats)
    return made["folds"].Held(record, prepared, maps, outcome, RATE_HZ, 0.5)


def test_a_part_leaves_the_others_as_they_are(
    made: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = argparse.Namespace(out=tmp_path, quick=False)
    page = tmp_path / "README.md"
    page.write_text(
        "top\n<!-- one: written by one.py -->\n<!-- end of one -->\nmiddle\n"
        "<!-- two: written by two.py -->\n<!-- end of two -->\n"
    )
    made["parts"].write(asked, "one", {"figure": 1}, "| a |")
    made["parts"].write(asked, "two", {"figure": 2}, "| b |")
    made["parts"].write(asked, "one", {"figure": 3}, "| c |")
    stored = json.loads((tmp_path / "results.json").read_text())["parts"]
    assert {name: part["figure"] for name, part in stored.items()} == {"one": 3, "two": 2}
    text = page.read_text()
    assert "| a |" not in text
    assert text.index("| c |") < text.index("middle") < text.index("| b |")
    assert capsys.readouterr().out == "| a |\n| b |\n| c |\n"
    with pytest.raises(SystemExit, match="three"):
        made["parts"].write(asked, "three", {}, "")


def test_found_times_stand_on_samples_of_the_record(made: dict[str, ModuleType]) -> None:
    waves = [Wave("II", "P", 0.1013, 0.15, None), Wave("II", "T", None, None, 0.4987)]
    first, second = made["folds"].on_clock(waves, 500.0)
    assert (first.onset_s, first.peak_s, first.offset_s) == (51 / 500, 0.15, None)
    assert (second.onset_s, second.offset_s) == (None, 249 / 500)


def test_peers_waves_get_seconds_and_standard_leads(made: dict[str, ModuleType]) -> None:
    found = {"avr": [["QRS", 500, 550], ["P", 400, None]], "v1": None}
    waves = made["peers"].waves_of(found, 500.0)
    assert waves == (Wave("aVR", "QRS", 1.0, None, 1.1), Wave("aVR", "P", 0.8, None, None))


def test_a_perfect_delineator_has_f1_of_one(made: dict[str, ModuleType]) -> None:
    records = [held(made, seed=seed) for seed in (1, 2)]
    found = made["peers"].scores(records, [one.found for one in records])
    assert min(found[f"{kind}.f1_40"] for kind in WAVE_KINDS) > 0.98  # some waves are half outside
    assert found["P.dice"] > 0.98
    missing = made["peers"].scores(records, [Outcome(), Outcome()])
    assert [missing[f"{kind}.f1_150"] for kind in WAVE_KINDS] == [0, 0, 0]
    assert made["peers"].limits(missing, "P.f1_150") == "none"


def test_neurokits_waves_are_paired_by_beat(made: dict[str, ModuleType]) -> None:
    worker: Any = made["neurokit_worker"]
    nan = float("nan")
    found = {
        "ECG_P_Onsets": [10, nan],
        "ECG_P_Offsets": [20.0, nan],
        "ECG_R_Onsets": [30, 130],
        "ECG_T_Offsets": [60],
    }
    worker.neurokit2 = SimpleNamespace(
        ecg_clean=lambda lead, sampling_rate: lead,
        ecg_peaks=lambda cleaned, sampling_rate: (None, {"ECG_R_Peaks": [35, 135]}),
        ecg_delineate=lambda cleaned, peaks, sampling_rate, method: (None, found),
    )
    assert worker.waves(np.zeros(200), 500, "dwt") == [
        ["P", 10, 20],
        ["QRS", 30, None],
        ["QRS", 130, None],
        ["T", None, 60],
    ]

    def fails(*_: object, **__: object) -> None:
        raise ValueError("no beats")

    worker.neurokit2.ecg_delineate = fails
    assert worker.waves(np.zeros(200), 500, "dwt") is None


def test_the_farthest_four_percent_are_left_out_and_shown(made: dict[str, ModuleType]) -> None:
    wanted = np.full(52, 100.0)
    had = wanted + np.tile([1.0, -1.0], 26)
    had[[7, 11]] += [80, -60]
    wanted[50], had[51] = np.nan, np.nan
    found = made["global_intervals"].compared(wanted, had, [f"r{n}" for n in range(52)])
    assert found["records"] == 50
    assert found["left_out"] == {"r7": 79.0, "r11": -61.0}
    assert found["mean"] == pytest.approx(0.0, abs=0.1)
    assert found["sd"] == pytest.approx(1.0, abs=0.05)
    assert found["sd_of_all"] > 10
    assert (found["only_ours"], found["only_theirs"]) == (["r50"], ["r51"])


def test_intervals_of_the_marks_are_those_of_a_perfect_net(made: dict[str, ModuleType]) -> None:
    result = made["global_intervals"].measure([held(made, seed=seed) for seed in range(4)])
    for found in result["intervals"].values():
        assert found["records"] == 4
        assert abs(found["mean_of_all"]) < 2
    assert "| PQ | 4 |" in made["global_intervals"].table(result)


def test_errors_are_parted_by_record_lead_and_beat(made: dict[str, ModuleType]) -> None:
    beat = np.tile([-1.0, 1.0], 50)
    lead = np.array([-2.0, 2.0])
    errors = [[record + own + beat for own in lead] for record in (-3.0, 3.0)]
    found = made["scatter"].parted(errors)
    assert found == pytest.approx({"records": 3, "leads": 2, "beats": 1, "all": 14**0.5})


def test_how_evenly_marks_are_set_leaves_out_what_a_lead_always_does(
    made: dict[str, ModuleType],
) -> None:
    waves = [
        Wave(lead, "T", beat + 0.3 + 0.01 * row, None, beat + 0.5 + (0.02 if beat % 2 else 0))
        for row, lead in enumerate(LEADS)
        for beat in range(8)
    ]
    uneven = [
        replace(wave, offset_s=(wave.offset_s or 0) + (0.03 if (wave.onset_s or 0) < 4 else 0))
        if wave.lead == "V3"
        else wave
        for wave in waves
    ]
    marks = made["scatter"].lead_marks
    assert made["scatter"].spread(list(marks(waves, "T", "onset"))) == pytest.approx(0, abs=1e-6)
    assert made["scatter"].spread(list(marks(waves, "T", "offset"))) == pytest.approx(0, abs=1e-6)
    only_v3 = 15 / 12**0.5
    assert made["scatter"].spread(list(marks(uneven, "T", "offset"))) == pytest.approx(only_v3)
    result = made["scatter"].measure([held(made, seed=seed) for seed in range(2)])
    assert result["boundaries"]["QRS onset"]["all"] < 2
    assert "| P offset |" in made["scatter"].table(result)


def test_a_rule_that_mends_something_gains(made: dict[str, ModuleType]) -> None:
    one = held(made)
    waves = one.waves.copy()
    ends = [w.offset_s for w in one.found.waves if w.kind == "T" and w.lead == "II"]
    first = round(RATE_HZ * ends[1]) + 15
    waves[:, :, first : first + 5] = np.array([0.1, 0.9, 0, 0])[:, None]  # a P of 20 ms
    broken = made["folds"].Held(
        one.reference, one.prepared, waves, one.found, RATE_HZ, 0.5
    )  # fmt: skip
    result = made["ablation"].measure([broken])
    gain = np.array(result["gain"]["min_p_s"]["value"])
    assert gain[0] > 0
    assert gain[3] > 0
    assert result["gain"]["min_t_s"]["value"][1] == 0
    assert made["ablation"].shown(0.0, 0.0, 0.0) == "0"
    assert made["ablation"].shown(0.002, 0.001, 0.003) == "**+2.0 (+1.0 to +3.0)**"


def test_p_waves_in_found_fibrillation_are_a_loss_without_the_rhythm(
    made: dict[str, ModuleType],
) -> None:
    one = held(made)
    waves = tuple(wave for wave in one.reference.waves if wave.kind != "P")
    found = Outcome(rhythms=(Rhythm(0, one.reference.duration_s, "AF"),))
    none = made["folds"].Held(
        replace(one.reference, waves=waves), one.prepared, one.waves, found, RATE_HZ, 0.5
    )
    result = made["ablation"].measure([one, none])
    gain = result["gain"]["no P in AF"]["value"]
    assert gain[0] > 0.1
    assert gain[1:3] == [0, 0]
    assert "| no P in AF or flutter that was found | " in made["ablation"].table(result)


def test_the_records_of_a_patient_are_in_one_fold(made: dict[str, ModuleType]) -> None:
    names = ("100", "101", "102", "201", "202", "203")
    items = [Item(f"mitdb/{n}", Path(n), f"mitdb/{'201' if n == '202' else n}", 1) for n in names]
    fold = made["r_peaks"].dealt(items)
    assert fold["201"] == fold["202"]
    assert set(fold.values()) == set(range(4))


def test_r_peaks_are_counted_from_both_starts(made: dict[str, ModuleType], tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb")
    item = Item("mitdb/x", made["r_peaks"].synthetic(tmp_path / "data") / "100", "x", 1)
    wanted = wfdb.rdann(str(item.path), "atr").sample
    late = wanted[wanted > 301 * 360]
    found = np.sort(np.append(np.delete(wanted, 5), late[3] + 100))  # one missed, one extra
    seconds = made["r_peaks"].kept(lambda _: found, item, tmp_path / "found")
    assert seconds >= 0
    told = made["r_peaks"].scores([item], tmp_path / "found")
    assert (told["0:00"]["missed"], told["0:00"]["extra"]) == (1, 1)
    assert (told["5:00"]["missed"], told["5:00"]["extra"]) == (0, 1)
    assert told["5:00"]["sensitivity"][0] == 1
    assert made["r_peaks"].kept(lambda _: pytest.fail("cached"), item, tmp_path / "found") >= 0


def test_a_p_belongs_to_the_next_beat_alone(made: dict[str, ModuleType]) -> None:
    record = Record("x", np.zeros((1, 10), dtype=np.float32), 1.0, ("II",))
    waves = [
        Wave(None, "P", 0.85, 0.9, 0.95),
        Wave(None, "P", 1.5, 1.55, 1.59),  # too early for the beat at 2
        Wave("II", "P", 2.9, 2.92, 2.95),  # of one lead: not agreed
    ]
    count = made["invented_p"].with_p(record, waves, [1.0, 1.1, 2.0, 3.0], [True] * 4)
    assert (count.having, count.beats) == (1, 4)
    count = made["invented_p"].with_p(
        record, waves, [1.0, 1.1, 2.0, 3.0], [False, True, True, True]
    )
    assert (count.having, count.beats) == (0, 3)


def test_beats_are_inside_the_spans_of_their_rhythm(made: dict[str, ModuleType]) -> None:
    spans = [Rhythm(0, 5, "N"), Rhythm(5, 9, "AFIB"), Rhythm(9, 12, "N")]
    assert made["invented_p"].within([4, 5, 8.9, 9], spans, "AFIB").tolist() == [0, 1, 1, 0]


def test_shares_are_of_all_beats(made: dict[str, ModuleType]) -> None:
    count = made["invented_p"].Count
    told = made["invented_p"].summary([count("a", "a", 1, 10), count("b", "b", 0, 90)])
    assert (told["share"], told["beats"]) == (0.01, 100)
    assert told["low"] == 0
    assert told["high"] == pytest.approx(0.1)


def test_each_group_of_rhythms_is_its_own(made: dict[str, ModuleType]) -> None:
    groups = dict(made["rhythms"].groups_of([0]))
    assert {"sinus", "paced", "sinus, 200 bpm", "muscle, 0 dB"} <= groups.keys()
    assert next(groups["af"]).rhythms[0].kind == "AFIB"
    fast = next(groups["sinus, 180 bpm"])
    assert len(fast.beats) == pytest.approx(30, abs=2)


def test_where_no_p_is_marked_they_are_counted_per_beat(made: dict[str, ModuleType]) -> None:
    one = held(made, "af")
    found = made["rhythms"].scores([one])
    assert found["marked"]["P"] == 0
    assert made["rhythms"].cells(found)[0] == "no P; 0.000 a beat"
    assert found["peaks"] == {"hit": found["beats"], "missed": 0, "extra": 0}


def test_the_recipe_asks_for_beats_of_mit_bih_first() -> None:
    recipe = read_recipe(ROOT / "recipes" / "r-peaks.toml")
    assert recipe.groups[0].source == "mitdb"
    assert {"waves", "beats"} <= recipe.tasks.keys()  # a QRS supports a doubtful beat


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    ["peers", "global_intervals", "scatter", "ablation", "r_peaks", "rhythms", "invented_p"],
)
def test_quick(part: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, FOLDER / f"{part}.py", "--quick", "--out", tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ},
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    result = json.loads((tmp_path / "results.json").read_text())["parts"][part]
    assert result["quick"]
    assert run.stdout.startswith("| ")
