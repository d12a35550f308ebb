"""Decoding on the cardiologists' marks of LUDB, as if a perfect net had drawn them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fascicle.decode.consensus import consensus
from fascicle.decode.delineation import Rules, delineate, delineate_leads
from fascicle.decode.intervals import intervals
from fascicle.io import read
from fascicle.record import WAVE_KINDS, Record, Wave

RATE_HZ = 250.0


@pytest.fixture(scope="module")
def ludb(data_dir: Path) -> list[Record]:
    headers = sorted((data_dir / "ludb" / "data").glob("*.hea"))
    assert len(headers) > 100
    return [read(header) for header in headers[::3]]


def drawn(waves: list[Wave], samples: int) -> np.ndarray:
    hot = np.zeros((4, samples), np.float32)
    hot[0] = 1
    for wave in waves:
        assert wave.onset_s is not None
        assert wave.offset_s is not None
        inside = slice(int(np.ceil(wave.onset_s * RATE_HZ)), int(wave.offset_s * RATE_HZ) + 1)
        hot[:, inside] = 0
        hot[1 + WAVE_KINDS.index(wave.kind), inside] = 1
    return hot


def whole(record: Record, lead: str) -> list[Wave]:
    return [
        wave
        for wave in record.waves
        if wave.lead == lead and wave.onset_s is not None and wave.offset_s is not None
    ]


def test_the_rules_cost_no_real_wave(ludb: list[Record]) -> None:
    rules = Rules(stray_p_s=0, stray_t_s=0, far_t_s=0)  # which move boundaries on purpose
    count = lost = 0
    for record in ludb:
        samples = round(record.duration_s * RATE_HZ)
        marks = {lead: drawn(whole(record, lead), samples) for lead in record.leads}
        for lead, found in delineate_leads(marks, RATE_HZ, rules).items():
            truth = whole(record, lead)
            ours = np.array([(WAVE_KINDS.index(w.kind), w.onset_s, w.offset_s) for w in found])
            for wave in truth:
                like = ours[ours[:, 0] == WAVE_KINDS.index(wave.kind), 1:]
                error = np.abs(like - (wave.onset_s, wave.offset_s)).max(axis=1, initial=0)
                lost += not (error.size and error.min() <= 1 / RATE_HZ)
            count += len(truth)
    assert count > 10_000
    assert lost <= count / 1000


def test_boundaries_move_a_little_and_to_both_sides(ludb: list[Record]) -> None:
    moves = []
    for record in ludb:
        for lead in record.leads:
            marks = drawn(whole(record, lead), round(record.duration_s * RATE_HZ))
            stay = delineate(marks, RATE_HZ, lead, Rules(stray_p_s=0, stray_t_s=0))
            moved = delineate(marks, RATE_HZ, lead)
            assert [wave.kind for wave in moved] == [wave.kind for wave in stay]
            pairs = zip(moved, stay, strict=True)
            moves += [bounds(new) - bounds(old) for new, old in pairs if new.kind != "QRS"]
    assert np.abs(np.mean(moves, axis=0)).max() < 0.001
    assert np.abs(moves).mean() < 0.005
    assert np.abs(moves).max() < 0.06


def bounds(wave: Wave) -> np.ndarray:
    return np.array([wave.onset_s, wave.offset_s], dtype=np.float64)


def test_intervals_of_the_cardiologists_are_plausible(ludb: list[Record]) -> None:
    refused = set()
    values = []
    for record in ludb:
        waves = consensus({lead: whole(record, lead) for lead in record.leads})
        signal = dict(zip(record.leads, record.signal, strict=True))
        found, _ = intervals(waves, [], signal, record.rate_hz)
        qrs, qt = found["qrs_ms"], found["qtc_fridericia_ms"]
        assert qrs is not None
        assert qt is not None
        values.append((qrs.value, qt.value))
        if found["pr_ms"] is None:
            refused.add(record.name)
    qrs_ms, qt_ms = np.median(values, axis=0)
    assert 90 < qrs_ms < 125
    assert 390 < qt_ms < 450
    fibrillation = {"8", "44", "51", "83", "93", "95", "96", "101", "109", "110", "112"}
    seen = {record.name for record in ludb}
    assert fibrillation & seen <= refused
    assert len(refused) <= len(seen) / 5
