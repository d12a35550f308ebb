from __future__ import annotations

import numpy as np
import pytest

from fascicle.record import LEADS
from fascicle.synth import shapes
from fascicle.synth.heart import Shape
from fascicle.synth.render import EDGE, VISIBLE_MV, Train, add, mark, r_peaks, sample
from fascicle.synth.shapes import bumps, lead_field

FIELD = lead_field(np.ones(8))


def train(onsets: list[float], length_s: float = 0.1, size: float = 1.0) -> Train:
    table = np.array(shapes.QRS["normal"])
    count = len(onsets)
    return Train(
        "QRS",
        Shape(table[:, :3], table[:, 3:] * size),
        np.array(onsets),
        np.full(count, length_s),
        np.ones(count),
        np.ones(count, dtype=bool),
    )


def rendered(parts: Train, rate_hz: float = 500.0, samples: int = 1000) -> np.ndarray:
    signal = np.zeros((samples, 12))
    add(sample(parts, FIELD, rate_hz), signal)
    return signal.T


def test_bumps_are_zero_outside_their_support() -> None:
    timing = np.array([[0.4, 0.3, 0.5]])
    u = np.array([0.0, 0.0999, 0.1, 0.4, 0.9, 0.9001, 5.0])
    height = bumps(u, timing)[:, 0]
    np.testing.assert_array_equal(height[[0, 1, 2, 5, 6]], 0.0)
    assert height[3] == 1.0
    assert height[4] == pytest.approx(0.0, abs=1e-12)


def test_every_shape_stays_inside_its_wave() -> None:
    for tables in (shapes.P, shapes.QRS, shapes.T, shapes.ST):
        for name, rows in tables.items():
            for centre, left, right, *_ in rows:
                assert centre - left >= -1e-12, name
                assert centre + right <= 1.0 + 1e-12, name


def test_signal_is_zero_outside_the_wave() -> None:
    signal = rendered(train([0.501]))
    assert not signal[:, : int(0.501 * 500) + 1].any()
    assert not signal[:, int(0.601 * 500) + 1 :].any()
    assert np.abs(signal).max() > 0.5


@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 360.0, 500.0, 1000.0])
def test_marks_are_where_the_lead_first_and_last_reaches_the_edge(rate_hz: float) -> None:
    parts = train([0.3002])
    samples = int(rate_hz)
    signal = np.abs(rendered(parts, rate_hz, samples))
    marks = {w.lead: w for w in mark(parts, sample(parts, FIELD, rate_hz), rate_hz, samples)}
    assert len(marks) == 12
    for row, lead in enumerate(LEADS):
        reached = np.flatnonzero(signal[row] >= EDGE * signal[row].max())
        assert marks[lead].onset_s == reached[0] / rate_hz
        assert marks[lead].offset_s == reached[-1] / rate_hz
        assert marks[lead].peak_s == signal[row].argmax() / rate_hz


def test_consensus_of_the_marks_is_the_length_of_the_wave() -> None:
    parts = train([0.3], length_s=0.100)
    marks = mark(parts, sample(parts, FIELD, 1000.0), 1000.0, 1000)
    onset = min(w.onset_s for w in marks if w.onset_s is not None)
    offset = max(w.offset_s for w in marks if w.offset_s is not None)
    assert 0.0 <= onset - 0.3 <= 0.006
    assert 0.0 <= 0.4 - offset <= 0.006


def test_a_wave_too_small_in_a_lead_is_not_marked_there() -> None:
    parts = train([0.3], size=0.03)
    marks = mark(parts, sample(parts, FIELD, 500.0), 500.0, 500)
    tall = {
        lead
        for lead, row in zip(LEADS, rendered(parts), strict=True)
        if np.abs(row).max() >= VISIBLE_MV
    }
    assert {w.lead for w in marks} == tall
    assert 0 < len(tall) < 12


def test_edges_of_the_record_cut_waves_and_their_marks() -> None:
    parts = train([-0.05, 1.95, -0.5, 2.5])
    marks = mark(parts, sample(parts, FIELD, 500.0), 500.0, 1000)
    assert {(w.onset_s is None, w.offset_s is None) for w in marks} == {
        (True, False),
        (False, True),
    }
    signal = rendered(parts)
    assert signal[:, 0].any()
    assert signal[:, -1].any()
    assert not signal[:, 100:900].any()


def test_r_peak_is_the_largest_moment_over_all_leads() -> None:
    parts = train([0.4, 1.2])
    peaks = r_peaks(sample(parts, FIELD, 500.0))
    size = (rendered(parts) ** 2).sum(axis=0)
    assert peaks[0] == size[:500].argmax()
    assert peaks[1] == 500 + size[500:].argmax()


def test_lead_field_has_the_published_rows_and_obeys_einthoven() -> None:
    gains = np.random.default_rng(0).uniform(0.8, 1.2, 8)
    one, two, three, avr, avl, avf = lead_field(gains)[:6]
    np.testing.assert_allclose(three, two - one)
    np.testing.assert_allclose(avr + avl + avf, 0.0, atol=1e-12)
    np.testing.assert_array_equal(FIELD[LEADS.index("V2")], (0.044, 0.164, -1.387))
    np.testing.assert_array_equal(FIELD[0], (0.632, -0.235, 0.059))
