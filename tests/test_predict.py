"""Any record becomes findings or a refusal; in pieces or in one, the findings are the same."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from fascicle import passing
from fascicle.bundle import Bundle, new_network, save_bundle
from fascicle.decode.beats import find_beats
from fascicle.errors import BadBundle, BadRequest
from fascicle.labels import superclasses
from fascicle.passing import window_spans
from fascicle.predict import (
    Model,
    Prepared,
    assemble,
    choose_leads,
    load,
    predict,
    predict_many,
)
from fascicle.recipe import TaskRecipe, parse_recipe, read_recipe
from fascicle.record import INTERVALS, LEAD_SETS, LEADS, Findings, LeadQuality, Record
from fascicle.report.schema import findings_schema
from fascicle.signal.quality import assess
from fascicle.synth import Noise, synthesize
from fascicle.tasks import TASKS

RECIPES = Path(__file__).parents[1] / "recipes"


def make_bundle(**changes: Any) -> Bundle:
    """Return a bundle of a small net with random weights that marks something."""
    recipe = parse_recipe(
        {
            "name": "small",
            "preprocessing": {"rate_hz": 125.0},
            "backbone": {"filters": [16, 16, 32], "decoder": [16, 16], "skip": 16, "kernel": 3},
            "tasks": {"waves": {}, "beats": {}, "diagnosis": {"systems": ["PTB-XL superclass"]}},
            "groups": [{"source": "synth", "tasks": ["waves"], "rows": 1}],
        },
        "small",
    )
    known = {name: TASKS[name].vocabulary for name in ("waves", "beats")}
    blank = Bundle(recipe, {**known, "diagnosis": superclasses()}, {}, {}, {})
    torch.manual_seed(4)
    network = new_network(recipe, blank.tasks())
    with torch.no_grad():
        for name, weight in network.named_parameters():
            # last layers: so decided that decoding has something to find, but no beats equally sure
            if name.endswith(("net.3.weight", "mix.3.weight")):
                weight.mul_(4 if name.startswith("heads.beats") else 12)
    return replace(blank, weights=network.state_dict(), **changes)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(make_bundle())


def numbers(value: Any) -> list[float]:
    """Return every number in a tree of plain values."""
    if isinstance(value, dict):
        return [n for part in value.values() for n in numbers(part)]
    if isinstance(value, list):
        return [n for part in value for n in numbers(part)]
    return [float(value)] if isinstance(value, float | int) else []


def check(model: Model, record: Record, lead_set: str | None = None) -> dict[str, Any]:
    """Return the findings' JSON form, which must keep its schema and hold no NaN."""
    tree = model.analyze(record, lead_set).to_dict()
    json.dumps(tree, allow_nan=False)
    jsonschema.validate(tree, findings_schema())
    for wave in tree["waves"]:
        assert wave["onset_s"] <= wave["peak_s"] <= wave["offset_s"]
    for part in (*tree["waves"], *tree["beats"], *tree["diagnoses"]):
        assert 0 <= part["probability"] <= 1
    return tree


@pytest.mark.parametrize("samples", [1, 2, 3, 7, 8, 9, 63, 64, 65, 499, 1875, 1876, 2500, 5001])
def test_any_length(samples: int, model: Model) -> None:
    whole = synthesize("sinus", seed=3, duration_s=42.0, rate_hz=125.0, leads=("I", "II"))
    record = replace(whole, signal=whole.signal[:, :samples].copy())
    prepared = model.prepare(record)
    arrays = predict(model.network, model.tasks, prepared, model.bundle)
    assert arrays["waves"].shape == (12, 4, samples)
    assert arrays["beats"].shape == (6, samples)
    assert arrays["diagnosis"].shape == (5,)
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert np.allclose(arrays["waves"].sum(axis=1), 1, atol=1e-5)
    if samples < 7:  # too short to be told from a flat line
        with pytest.raises(BadRequest, match="no usable standard lead"):
            model.analyze(record)
        return
    tree = check(model, record)
    assert tree["record"]["duration_s"] == samples / 125


@pytest.mark.parametrize("rate_hz", [60.0, 100.0, 249.7, 1000.0])
def test_any_rate(rate_hz: float, model: Model) -> None:
    record = synthesize("af", seed=3, duration_s=3.0, rate_hz=rate_hz)
    tree = check(model, record)
    assert tree["record"]["rate_hz"] == rate_hz
    last = max((beat["time_s"] for beat in tree["beats"]), default=0)
    assert last <= record.duration_s


def test_the_findings_say_what_they_are_of(model: Model) -> None:
    record = replace(synthesize("sinus", seed=1), age=61.0, sex="F", warnings=("careful",))
    findings = model.analyze(record)
    assert (findings.name, findings.age, findings.sex) == (record.name, 61.0, "F")
    assert findings.leads == LEADS
    assert findings.warnings[0] == "careful"
    assert set(findings.intervals) == set(INTERVALS)
    assert {w.lead for w in findings.waves} <= {None, *LEADS}
    assert [d.code for d in findings.diagnoses] == ["NORM", "MI", "STTC", "CD", "HYP"]
    assert all(diagnosis.threshold == 0.5 for diagnosis in findings.diagnoses)
    assert len(findings.waves) > 20


def test_age_and_sex_reach_the_net(model: Model) -> None:
    record = synthesize("sinus", seed=1)
    unknown = model.analyze(replace(record, age=None, sex=None))
    known = model.analyze(replace(record, age=80.0, sex="F"))
    assert unknown.diagnoses != known.diagnoses
    assert unknown.beats == known.beats


def test_thresholds_and_temperatures_are_used() -> None:
    record = synthesize("sinus", seed=1)
    plain = Model(make_bundle()).analyze(record)
    found = {d.code: d.probability for d in plain.diagnoses}
    cool = Model(make_bundle(temperatures={"diagnosis": (0.5,) * 5})).analyze(record)
    for diagnosis in cool.diagnoses:
        odds = found[diagnosis.code] / (1 - found[diagnosis.code])
        assert diagnosis.probability == pytest.approx(odds**2 / (1 + odds**2), abs=1e-5)
    thresholds = tuple(found[code] + shift for code, shift in zip(found, (-1e-3, 1e-3) * 3))  # noqa: B905
    sharp = Model(make_bundle(thresholds={"diagnosis": thresholds[:5]})).analyze(record)
    assert [d.present for d in sharp.diagnoses] == [True, False, True, False, True]


@pytest.mark.parametrize("lead_set", list(LEAD_SETS))
def test_a_lead_set_is_chosen_before_leads_are_derived(lead_set: str, model: Model) -> None:
    record = synthesize("sinus", seed=2, duration_s=5.0)
    findings = model.analyze(record, lead_set)
    limbs = LEADS[:6] if {"I", "II"} <= set(LEAD_SETS[lead_set]) else ("I",)
    expected = {*LEAD_SETS[lead_set], *limbs}
    assert set(findings.leads) == expected
    assert {wave.lead for wave in findings.waves if wave.lead} <= expected
    # what stands in a lead that was not chosen changes nothing
    row = LEADS.index("V6" if lead_set != "12" else "I")
    other = record.signal.copy()
    other[row] = 7.0
    changed = model.analyze(replace(record, signal=other), lead_set)
    assert (changed.waves == findings.waves) == (lead_set != "12")


def test_derived_leads_come_from_the_chosen_ones(model: Model) -> None:
    record = synthesize("sinus", seed=2, duration_s=5.0, noise=None)
    wrong = record.signal.copy()
    wrong[LEADS.index("III")] += 1.0  # the file's own III is not among the chosen
    chosen = choose_leads(replace(record, signal=wrong), "2")
    assert chosen.derived == {"III", "aVR", "aVL", "aVF"}
    assert np.allclose(chosen.lead("III"), record.lead("II") - record.lead("I"), atol=1e-6)
    del model


def test_impossible_lead_sets_are_refused(model: Model) -> None:
    record = synthesize("sinus", seed=1, leads=("V1", "V2"))
    with pytest.raises(BadRequest, match="no lead set '5'; known: 12, 6, 4, 3, 2, 1"):
        model.analyze(record, "5")
    with pytest.raises(BadRequest, match="lead set 2 needs one of I, II; the record has V1, V2"):
        model.analyze(record, "2")
    assert model.analyze(record, "3").leads == ("V2",)


def test_a_record_without_a_usable_lead_is_refused(model: Model) -> None:
    record = synthesize("sinus", seed=1, leads=("I", "II"))
    for signal in (np.full_like(record.signal, np.nan), np.zeros_like(record.signal)):
        with pytest.raises(BadRequest, match="no usable standard lead among I, II"):
            model.analyze(replace(record, signal=signal))
    with pytest.raises(BadRequest, match="no usable standard lead among ECG, resp"):
        model.analyze(replace(record, leads=("ECG", "resp"), waves=()))
    with pytest.raises(BadRequest):
        model.analyze(replace(record, signal=np.zeros((2, 0), np.float32)))


def broken(kind: str) -> Record:
    record = synthesize("sinus", seed=5, duration_s=8.0, rate_hz=250.0, noise=Noise())
    signal, half = record.signal.copy(), record.samples // 2
    match kind:
        case "gaps":
            signal[:, 300:900] = np.nan
            signal[3, :] = np.nan
            signal[5, ::7] = np.nan
        case "flat":
            signal[:] = 0.7
        case "mostly flat":
            signal[:, 30:] = -0.2
        case "half a record":
            signal[:, half:] = np.nan
        case "one lead of twelve":
            signal[1:] = np.nan
        case "one sample of a lead":
            signal[2, 1:] = np.nan
        case "rails":
            signal[:] = np.where(signal > 0, 5, -5)
        case "enormous":
            signal *= 1e6
        case "step":
            signal[:, half:] += 300
        case "tiny":
            signal *= 1e-6
    return replace(record, signal=signal)


@pytest.mark.parametrize(
    "kind",
    ["gaps", "half a record", "one lead of twelve", "one sample of a lead", "rails", "enormous",
     "step"],
)  # fmt: skip
def test_bad_signals_never_give_nan(kind: str, model: Model) -> None:
    tree = check(model, broken(kind))
    assert all(np.isfinite(number) for number in numbers(tree))
    long = broken(kind)
    long = replace(long, signal=np.tile(long.signal, (1, 4)))  # the way of long records
    assert all(np.isfinite(number) for number in numbers(check(model, long)))


@pytest.mark.parametrize("kind", ["flat", "mostly flat", "tiny"])
def test_a_record_without_an_ecg_is_refused(kind: str, model: Model) -> None:
    with pytest.raises(BadRequest, match="no usable standard lead"):
        model.analyze(broken(kind))


def test_a_missing_lead_has_no_waves(model: Model) -> None:
    tree = check(model, broken("one lead of twelve"))
    assert tree["quality"]["leads"]["V1"]["status"] == "missing"
    assert {wave["lead"] for wave in tree["waves"]} <= {None, "I"}


def test_other_leads_than_the_standard_ones_are_reported_and_unused(model: Model) -> None:
    record = synthesize("sinus", seed=5, duration_s=6.0)
    more = replace(
        record,
        signal=np.concatenate([record.signal, record.signal[:1]]),
        leads=(*LEADS, "resp"),
    )
    plain, found = model.analyze(record), model.analyze(more)
    assert found.waves == plain.waves
    assert "resp" in found.quality


def test_the_order_of_the_leads_does_not_matter(model: Model) -> None:
    record = synthesize("sinus", seed=6, duration_s=6.0)
    order = tuple(reversed(LEADS))
    turned = replace(record, signal=record.signal[::-1].copy(), leads=order)
    one, two = model.analyze(record), model.analyze(turned)
    by_lead = [[w for w in found.waves if w.lead] for found in (one, two)]
    assert set(by_lead[0]) == set(by_lead[1])
    assert (one.beats, one.diagnoses) == (two.beats, two.diagnoses)
    for key, measure in one.intervals.items():
        other = two.intervals[key]
        assert (measure is None) == (other is None)
        if measure is not None and other is not None:
            assert measure.value == pytest.approx(other.value), key


@pytest.fixture(scope="module")
def half_hour(model: Model) -> tuple[Record, Prepared]:
    """Return thirty minutes of two leads whose amplitude and noise change."""
    minute = synthesize("pvc", seed=8, duration_s=60.0, rate_hz=125.0, leads=("II", "V1"))
    rng = np.random.default_rng(1)
    signal = np.tile(minute.signal, (1, 30))
    signal *= np.repeat(rng.uniform(0.3, 3, 30), 60 * 125)
    signal += rng.uniform(0, 0.2) * rng.standard_normal(signal.shape)
    record = replace(minute, signal=signal.astype(np.float32), waves=(), beats=())
    return record, model.prepare(record)


def test_a_long_record_in_pieces_equals_one_pass(
    model: Model, half_hour: tuple[Record, Prepared]
) -> None:
    record, prepared = half_hour
    quality = assess(record)
    answers = []
    for chunk_s in (1e5, 60.0, 13.7):
        arrays = predict(model.network, model.tasks, prepared, model.bundle, chunk_s)
        found = assemble(record, quality, prepared, arrays, model.bundle, model.tasks)
        answers.append((arrays, found))
    (whole, expected), *pieces = answers
    assert len(expected.beats) > 500
    assert len(expected.waves) > 1000
    for arrays, found in pieces:
        for task, array in whole.items():
            assert np.abs(array - arrays[task]).max() < 1e-4, task
        same(expected, found)


def same(one: Findings, two: Findings) -> None:
    """Assert equal findings, but for rounding of times between samples.

    Of thousands of waves that untrained weights mark in noise, one may have a sample at which two
    classes are equally probable: rounding decides where it ends.
    """
    assert [(w.lead, w.kind) for w in one.waves] == [(w.lead, w.kind) for w in two.waves]
    assert [beat.kind for beat in one.beats] == [beat.kind for beat in two.beats]
    pairs = [
        (numbers(w.to_dict()), numbers(v.to_dict()))
        for w, v in zip(one.waves, two.waves, strict=True)
    ]
    apart = sum(not np.allclose(w, v, rtol=1e-3, atol=1e-3) for w, v in pairs)
    assert apart <= len(pairs) // 1000
    rest, other = (numbers(replace(found, waves=()).to_dict()) for found in (one, two))
    assert np.allclose(rest, other, rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def perceiving() -> Model:
    """Return a model whose diagnoses are a Perceiver's, with beats and waves to measure."""
    bundle = make_bundle()
    small = {"latents": 4, "width": 16, "attention_heads": 2, "outputs": 8}
    tree = bundle.recipe.model_dump(mode="json")
    tree["tasks"]["diagnosis"] |= {"head": "perceiver", "perceiver": small}
    blank = replace(bundle, recipe=parse_recipe(tree, "perceiving"))
    torch.manual_seed(5)
    network = new_network(blank.recipe, blank.tasks())
    state = network.state_dict() | {
        name: weight
        for name, weight in bundle.weights.items()
        if not name.startswith("heads.diagnosis.")
    }
    return Model(replace(blank, weights=state))


def test_a_perceiver_reads_a_long_record_at_once_however_it_is_cut(
    perceiving: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = synthesize("pvc", seed=4, duration_s=150.0, rate_hz=125.0)
    prepared = perceiving.prepare(record)
    network, tasks, bundle = perceiving.network, perceiving.tasks, perceiving.bundle
    whole = predict(network, tasks, prepared, bundle, 1e5)
    for chunk_s, piece_s, frames in ((60.0, 60.0, 8192), (13.7, 11.0, 33)):
        monkeypatch.setattr("fascicle.models.intervals.PIECE_S", piece_s)
        monkeypatch.setattr("fascicle.models.perceiver.AT_ONCE", frames)
        cut = predict(network, tasks, prepared, bundle, chunk_s)
        assert all(np.abs(whole[task] - cut[task]).max() < 1e-4 for task in whole)
    alone = predict(network, {"diagnosis": tasks["diagnosis"]}, prepared, bundle)
    assert np.allclose(alone["diagnosis"], whole["diagnosis"], atol=1e-5)
    later = prepared.signal.copy()
    later[:, -1250:] *= 3
    other = predict(network, tasks, replace(prepared, signal=later), bundle)
    assert not np.allclose(other["diagnosis"], whole["diagnosis"], atol=1e-4)
    found = assemble(record, assess(record), prepared, whole, bundle, tasks)
    assert not any("mean over" in warning for warning in found.warnings)


def test_a_chunk_shorter_than_the_reach_is_lengthened(model: Model) -> None:
    record = synthesize("sinus", seed=1, duration_s=30.0)
    prepared = model.prepare(record)
    whole = predict(model.network, model.tasks, prepared, model.bundle, 100.0)
    short = predict(model.network, model.tasks, prepared, model.bundle, 0.01)
    assert all(np.abs(whole[task] - short[task]).max() < 1e-4 for task in whole)


def test_a_long_record_reads_as_its_parts_do(model: Model) -> None:
    """Each part is normalised as the ten seconds that the net has learnt on, loud or quiet."""
    part = synthesize("sinus", seed=1, duration_s=10.24, rate_hz=125.0, noise=None)  # whole frames
    gains = (1, 1, 1, 5, 5, 5)
    signal = np.concatenate([gain * part.signal for gain in gains], axis=1, dtype=np.float32)
    long = model.prepare(replace(part, signal=signal, waves=(), beats=()))
    found = predict(model.network, model.tasks, long, model.bundle)
    for place in (1, 4):  # their neighbours are alike
        scaled = replace(part, signal=gains[place] * part.signal)
        alone = predict(model.network, model.tasks, model.prepare(scaled), model.bundle)
        for task in ("waves", "beats"):
            inside = found[task][..., 1280 * place : 1280 * (place + 1)]
            apart = np.abs(inside - alone[task])[..., 300:-300]
            assert np.median(apart) < 0.01, (task, place)


def test_the_statistics_of_one_record_do_not_stay(model: Model) -> None:
    short = synthesize("sinus", seed=1, duration_s=8.0)
    before = model.analyze(short)
    model.analyze(synthesize("vt", seed=2, duration_s=40.0))
    assert model.analyze(short) == before


def test_a_long_record_that_was_broken_off_leaves_nothing_behind(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = synthesize("sinus", seed=1, duration_s=40.0)
    before = model.analyze(long)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken_off:
        broken_off.setattr(passing, "_pass", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.analyze(synthesize("vt", seed=2, duration_s=30.0))
    assert model.analyze(long) == before


def test_windows_are_about_ten_seconds() -> None:
    spans = window_spans
    assert spans(1, 250.0) == [(0, 1)]
    assert spans(3749, 250.0) == [(0, 3749)]
    assert spans(3751, 250.0) == [(0, 1876), (1876, 3751)]
    long = spans(450_000, 250.0)
    assert len(long) == 180
    assert long[0][0] == 0
    assert long[-1][1] == 450_000


def test_a_net_of_beats_alone(model: Model) -> None:
    recipe = model.bundle.recipe.model_copy(update={"tasks": {"beats": TaskRecipe()}})
    vocabularies = {"beats": TASKS["beats"].vocabulary}
    weights = {
        name: weight
        for name, weight in model.bundle.weights.items()
        if not name.startswith(("heads.waves", "heads.diagnosis"))
    }
    single = Model(Bundle(recipe, vocabularies, {}, {}, weights))
    record = synthesize("sinus", seed=1, duration_s=20.0)
    findings = single.analyze(record)
    assert not findings.waves
    assert not findings.diagnoses
    made = model.probabilities(model.prepare(record, assess(record)))["beats"]
    rate_hz = recipe.preprocessing.rate_hz
    assert findings.beats == find_beats(made[0], made[1:], rate_hz)  # no QRS is asked


def test_a_file_loads_and_threads_are_set(tmp_path: Path) -> None:
    save_bundle(make_bundle(), tmp_path / "b")
    before = torch.get_num_threads()
    try:
        model = load(tmp_path / "b", threads=1)
        assert torch.get_num_threads() == 1
        load(str(tmp_path / "b"))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert model.analyze(synthesize("sinus", seed=1)).bundle.sha256 == model.bundle.sha256
    with pytest.raises(BadBundle, match="no such file"):
        load(tmp_path / "absent")


HALF_HOUR = """
import sys
from pathlib import Path
import numpy as np
from fascicle.predict import load
from fascicle.record import LEADS, Record
rng = np.random.default_rng(1)
signal = rng.standard_normal((2, 30 * 60 * 360), dtype=np.float32)
model = load(sys.argv[1], threads=1)
findings = model.analyze(Record("long", signal, 360.0, ("II", "V1")))
assert findings.duration_s == 1800
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of one program is told by Linux")
def test_half_an_hour_takes_less_than_a_gigabyte(tmp_path: Path) -> None:
    recipe = read_recipe(RECIPES / "default.toml")
    known = {name: TASKS[name].vocabulary for name in ("waves", "beats", "rhythm")}
    blank = Bundle(recipe, {**known, "diagnosis": superclasses()}, {}, {}, {})
    weights = new_network(recipe, blank.tasks()).state_dict()
    save_bundle(replace(blank, weights=weights), tmp_path / "b")
    done = subprocess.run(
        [sys.executable, "-c", HALF_HOUR, str(tmp_path / "b")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1e6  # kB


def test_quality_missing_leaves_a_lead_out(model: Model) -> None:
    record = synthesize("sinus", seed=1, duration_s=4.0)
    prepared = model.prepare(record, {"V6": LeadQuality("missing"), "V5": LeadQuality("poor")})
    assert prepared.present.tolist() == [True] * 11 + [False]
    assert not prepared.signal[11].any()


@pytest.mark.parametrize("backbone", ["resnet18_se", "unet"])
def test_many_records_at_once_read_as_one_by_one(backbone: str) -> None:
    recipe = parse_recipe(
        {
            "name": "small",
            "window_s": 5.0,
            "leads": ["I", "II"],
            "preprocessing": {"rate_hz": 100.0},
            "backbone": {"name": backbone},
            "tasks": {"diagnosis": {"systems": ["PTB-XL superclass"]}},
            "groups": [{"source": "synth", "tasks": ["diagnosis"], "rows": 1}],
        },
        "small",
    )
    blank = Bundle(recipe, {"diagnosis": superclasses()}, {}, {"diagnosis": (2.0,) * 5}, {})
    torch.manual_seed(5)
    network = new_network(recipe, blank.tasks()).eval()
    made = np.random.default_rng(6)
    records = [
        Prepared(
            made.standard_normal((12, samples), dtype=np.float32),
            np.isin(LEADS, leads),
            made.random(6, dtype=np.float32),
        )
        for samples, leads in ((1000, ("I", "II")), (300, ("II",)), (6400, ("I",)), (500, ("I",)))
    ]
    together = predict_many(network, blank.tasks(), records, blank)
    for prepared, found in zip(records, together, strict=True):
        alone = predict(network, blank.tasks(), prepared, blank)
        np.testing.assert_allclose(found["diagnosis"], alone["diagnosis"], atol=1e-5)
    assert np.ptp([found["diagnosis"] for found in together], axis=0).max() > 1e-3
    assert predict_many(network, blank.tasks(), [], blank) == []
