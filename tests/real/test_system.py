"""The shipped bundle on real records of all four sets, and the card's figures recomputed."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import fascicle
from fascicle.data.sources import SOURCES
from fascicle.evaluate import evaluate
from fascicle.io import read
from fascicle.outcomes import outcome_by_blocks
from fascicle.predict import Model, choose_leads, load, outcome, predict
from fascicle.record import LEADS, Beat, Record, Wave
from fascicle.report import findings_schema
from fascicle.signal.quality import assess

DEVELOPMENT = Path(__file__).parents[2] / "benchmarks" / "development" / "bundle.safetensors"
RECORDS = {
    "mitdb": "208",
    "ludb": "data/1",
    "ptbxl": "records500/00000/00001_hr",
    "cinc2021": "georgia",
}


@cache
def shipped() -> Model:
    return load(threads=1)


@cache
def net_alone() -> Model:
    """Return the shipped net without its second stage for beats and second view of diagnoses."""
    bundle = shipped().bundle
    return Model(replace(bundle, weights=bundle.net_weights), threads=1)


def first_record(data_dir: Path, source: str) -> Record:
    items = SOURCES[source].index(data_dir / source)
    wanted = RECORDS[source]
    item = next((i for i in items if wanted in str(i.path)), items[0])
    return SOURCES[source].load(item)


@pytest.mark.parametrize("source", sorted(RECORDS))
def test_findings_of_every_set_follow_the_schema(data_dir: Path, source: str) -> None:
    findings = shipped().analyze(first_record(data_dir, source))
    jsonschema.validate(json.loads(json.dumps(findings.to_dict())), findings_schema())
    assert findings.beats
    rate = findings.intervals["heart_rate_bpm"]
    assert rate is not None
    assert 20 < rate.value < 250
    assert {wave.kind for wave in findings.waves if wave.lead is None} >= {"QRS", "T"}


def test_three_lines_of_python(data_dir: Path) -> None:
    record = fascicle.read(data_dir / "ludb" / "data" / "1.hea")
    findings = fascicle.load().analyze(record)
    assert findings.to_dict()["schema"] == "fascicle/findings/1"


def test_a_figure_of_the_card_is_what_evaluate_gives(data_dir: Path) -> None:
    model = load(DEVELOPMENT, threads=1)
    stated = [
        entry
        for entry in shipped().bundle.card["development"]["scores"]
        if entry["source"] == "ptbxl" and entry["folds"] == [9] and entry["lead_set"] is None
    ]
    assert len(stated) == 1
    assert stated[0]["seen_in_training"] is False
    assert stated[0]["bundle"]["weights_sha256"] == model.bundle.weights_sha256
    found = evaluate(model, "ptbxl", data_dir, folds=[9], resamples=0)
    assert found["records"] == stated[0]["records"]
    for key in ("PTB-XL superclass.macro.auroc", "SCP-ECG.macro.auroc"):
        stated_value = stated[0]["scores"][f"diagnosis.{key}"]
        assert found["scores"][f"diagnosis.{key}"] == pytest.approx(stated_value, abs=1e-3)


def test_a_long_record_has_no_seams(data_dir: Path) -> None:
    model = net_alone()
    record = choose_leads(
        SOURCES["mitdb"].load(SOURCES["mitdb"].index(data_dir / "mitdb")[0]), None
    )
    record = replace(record, signal=record.signal[:, : int(300 * record.rate_hz)])
    prepared = model.prepare(record, assess(record))
    whole = predict(model.network, model.tasks, prepared, model.bundle, chunk_s=1e6)
    for chunk_s in (23.0, 41.0, 60.0):
        pieces = predict(model.network, model.tasks, prepared, model.bundle, chunk_s=chunk_s)
        for task, array in whole.items():
            np.testing.assert_allclose(pieces[task], array, atol=2e-4, err_msg=task)


def test_a_long_record_is_found_the_same_wherever_it_is_cut(data_dir: Path) -> None:
    """The shipped net, half an hour of AF and noise: chunks and blocks at three places."""
    model = net_alone()
    record = choose_leads(read(data_dir / "mitdb" / "203.hea", annotations=False), None)
    prepared = model.prepare(record, assess(record))
    parts = (model.network, model.tasks, prepared, model.bundle)
    whole = predict(*parts, chunk_s=1e6)
    expected = outcome(prepared, whole, model.bundle, model.tasks)
    assert len(expected.beats) > 2500
    assert len(expected.waves) > 8000
    for chunk_s, block_s in ((47.0, 133.0), (111.0, 77.0), (180.0, 300.0)):
        pieces = predict(*parts, chunk_s=chunk_s)
        for task, array in whole.items():
            np.testing.assert_allclose(pieces[task], array, atol=2e-4, err_msg=task)
        found = outcome_by_blocks(*parts, block_s=block_s, chunk_s=chunk_s)
        assert [(w.lead, w.kind) for w in found.waves] == [(w.lead, w.kind) for w in expected.waves]
        assert [beat.kind for beat in found.beats] == [beat.kind for beat in expected.beats]
        for ours, theirs in ((found.waves, expected.waves), (found.beats, expected.beats)):
            np.testing.assert_allclose(numbers(ours), numbers(theirs), atol=1e-3)
        for task, answer in expected.answers.items():
            np.testing.assert_array_equal(found.answers[task].decisions, answer.decisions)


def test_second_stage_and_view_tell_the_same_wherever_a_record_is_cut(data_dir: Path) -> None:
    """It takes R peaks at whole samples, so rounding may move one beat's features a little."""
    model = shipped()
    record = choose_leads(read(data_dir / "mitdb" / "203.hea", annotations=False), None)
    prepared = model.prepare(record, assess(record))
    parts = (model.network, model.tasks, prepared, model.bundle)
    one, two = (outcome_by_blocks(*parts, block_s=b, chunk_s=c) for b, c in ((133, 47), (300, 180)))
    assert len(one.beats) == len(two.beats) > 2500
    apart = np.abs(np.subtract(numbers(one.beats), numbers(two.beats)))
    assert apart.max() < 0.02
    assert (apart > 1e-3).any(axis=1).mean() < 0.01
    same = [a.kind == b.kind for a, b in zip(one.beats, two.beats, strict=True)]
    assert np.mean(same) > 0.999
    for task, answer in one.answers.items():
        other = two.answers[task]
        np.testing.assert_allclose(answer.probabilities, other.probabilities, atol=2e-3)


def numbers(marks: tuple[Wave, ...] | tuple[Beat, ...]) -> list[list[float]]:
    return [
        [value for value in mark.to_dict().values() if isinstance(value, float)] for mark in marks
    ]


@pytest.mark.parametrize("lead", ["I", "V2"])
def test_marks_follow_their_own_lead(data_dir: Path, lead: str) -> None:
    """Moving one lead by 60 ms moves the marks of that lead, and hardly those of the others."""
    model, shift_s = shipped(), 0.06
    record = first_record(data_dir, "ludb")
    moved = record.signal.copy()
    row, shift = record.leads.index(lead), round(shift_s * record.rate_hz)
    moved[row] = np.roll(moved[row], shift)
    before, after = (qrs_onsets(model, r) for r in (record, replace(record, signal=moved)))
    for name in LEADS:
        change_s = np.median([min(after[name] - t, key=abs) for t in before[name]])
        expected = shift_s if name == lead else 0.0
        assert change_s == pytest.approx(expected, abs=0.02), name


def qrs_onsets(model: Model, record: Record) -> dict[str, np.ndarray]:
    prepared = model.prepare(record)
    arrays = predict(model.network, model.tasks, prepared, model.bundle)
    found = outcome(prepared, arrays, model.bundle, model.tasks)
    return {
        lead: np.array([w.onset_s for w in found.waves if w.lead == lead and w.kind == "QRS"])
        for lead in LEADS
    }


@pytest.mark.parametrize("lead_set", ["12", "6", "4", "3", "2", "1"])
def test_one_net_reads_every_lead_set(data_dir: Path, lead_set: str) -> None:
    record = first_record(data_dir, "ptbxl")
    findings = shipped().analyze(record, lead_set)
    beats = shipped().analyze(record).beats
    assert abs(len(findings.beats) - len(beats)) <= 1
    assert all(np.isfinite(diagnosis.probability) for diagnosis in findings.diagnoses)
