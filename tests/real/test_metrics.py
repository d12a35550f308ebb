"""The conventions of the scores meet real annotations: LUDB's waves and MIT-BIH's beats."""

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fascicle.io import read
from fascicle.metrics.beats import aami_scores, confusion, detection_scores, match_beats
from fascicle.metrics.waves import annotated_span, boundary_counts, wave_scores
from fascicle.record import Wave


def whole(wave: Wave) -> Wave:
    """Return the wave with all its marks, as an estimate has them."""
    known = [time for time in (wave.onset_s, wave.peak_s, wave.offset_s) if time is not None]
    peak_s = wave.peak_s or known[0]
    return replace(
        wave,
        onset_s=wave.onset_s if wave.onset_s is not None else peak_s - 0.04,
        peak_s=peak_s,
        offset_s=wave.offset_s if wave.offset_s is not None else peak_s + 0.04,
    )


@pytest.mark.parametrize("number", ["1", "7", "34", "95", "116"])  # all but 1 leave marks out
def test_ludb_against_itself_is_perfect(number: str, data_dir: Path) -> None:
    record = read(data_dir / "ludb" / "data" / f"{number}.hea")
    counts = []
    for lead in record.leads:
        waves = [wave for wave in record.waves if wave.lead == lead]
        beyond = [Wave(lead, "P", 0.01, 0.02, 0.03), Wave(lead, "T", 9.95, 9.96, 9.98)]
        estimate = [whole(wave) for wave in waves] + beyond
        span = annotated_span(waves)
        assert span is not None
        assert 0.03 < span[0] < span[1] < 9.95
        counts.append(boundary_counts(waves, estimate, tolerance_s=0.04, span=span))
    scores = wave_scores(counts)
    for kind in {wave.kind for wave in record.waves}:
        assert scores[f"{kind}.f1"] == 1
        assert scores[f"{kind}.onset.error_sd_ms"] == 0


def test_most_leads_of_ludb_begin_and_end_with_a_qrs(data_dir: Path) -> None:
    ends: Counter[bool] = Counter()
    for path in sorted((data_dir / "ludb" / "data").glob("?.hea")):
        record = read(path)
        for lead in record.leads:
            waves = [wave for wave in record.waves if wave.lead == lead]
            waves.sort(key=lambda wave: annotated_span([wave]) or (0.0, 0.0))
            ends[waves[0].kind == waves[-1].kind == "QRS"] += 1
    assert ends[True] > 0.8 * ends.total()


@pytest.mark.parametrize("number", ["100", "208"])
def test_detection_counts_equal_those_of_wfdb(number: str, data_dir: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # wfdb 4.3 under pandas 3.1
        from wfdb.processing import compare_annotations
    beats = read(data_dir / "mitdb" / f"{number}.hea").beats
    samples = np.rint([360 * beat.time_s for beat in beats]).astype(int)
    rng = np.random.default_rng(int(number))
    found = samples[rng.random(samples.size) < 0.97]
    found = found + rng.integers(-20, 21, found.size)
    found = np.unique(np.concatenate([found, rng.integers(0, samples[-1], 40)]))
    theirs = compare_annotations(samples, found, 54)
    match = match_beats(samples / 360, found / 360)
    table = confusion([beat.kind for beat in beats], ["N"] * found.size, match)
    scores = detection_scores(table)
    assert float(scores["sensitivity"]) == pytest.approx(theirs.sensitivity, abs=0.002)
    assert float(scores["ppv"]) == pytest.approx(theirs.positive_predictivity, abs=0.002)


def test_mit_bih_against_itself_is_perfect(data_dir: Path) -> None:
    beats = read(data_dir / "mitdb" / "208.hea").beats
    times, kinds = [beat.time_s for beat in beats], [beat.kind for beat in beats]
    scores = aami_scores(confusion(kinds, kinds, match_beats(times, times, start_s=300)))
    assert scores["accuracy"] == scores["V.f1"] == scores["F.f1"] == 1
