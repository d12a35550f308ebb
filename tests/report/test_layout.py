from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.errors import BadRequest
from fascicle.record import LEADS, BundleInfo, Findings, LeadQuality, Record
from fascicle.report.layout import cut_out, lay_out


def take(record: Record, *leads: str) -> Record:
    return replace(record, signal=np.stack([record.lead(lead) for lead in leads]), leads=leads)


def scaled(record: Record, lead: str, factor: float) -> Record:
    signal = record.signal.copy()
    signal[record.leads.index(lead)] *= factor
    return replace(record, signal=signal)


def test_twelve_leads_stand_three_by_four(record: Record, findings: Findings) -> None:
    layout = lay_out(record, findings)
    rows = [[s.lead for s in layout.strips if s.row == row] for row in range(4)]
    assert rows == [
        ["I", "aVR", "V1", "V4"],
        ["II", "aVL", "V2", "V5"],
        ["III", "aVF", "V3", "V6"],
        ["II"],
    ]
    assert [s.left_mm for s in layout.strips if s.row == 0] == [10.0, 72.5, 135.0, 197.5]
    assert [s.start_s for s in layout.strips if s.row == 0] == [0.0, 2.5, 5.0, 7.5]
    assert (layout.gain, layout.start_s, layout.end_s) == (10.0, 0.0, 10.0)
    assert not layout.overlapping


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_few_leads_are_strips_of_ten_seconds(
    record: Record, findings: Findings, count: int
) -> None:
    layout = lay_out(take(record, *LEADS[:count]), findings)
    assert [strip.lead for strip in layout.strips] == list(LEADS[:count])
    assert {strip.length_s for strip in layout.strips} == {10.0}
    assert [s.lead for s in layout.strips if s.rhythm] == ["I" if count == 1 else "II"]


def test_eight_leads_keep_the_places_of_twelve(record: Record, findings: Findings) -> None:
    layout = lay_out(take(record, "I", "II", *LEADS[6:]), findings)
    assert len(layout.strips) == 13
    assert layout.undrawn == ()


def test_unknown_leads_follow_the_known_or_are_named(record: Record, findings: Findings) -> None:
    odd = replace(take(record, "V1", "V2", "I"), leads=("vx", "vy", "I"))
    assert [strip.lead for strip in lay_out(odd, findings).strips] == ["I", "vx", "vy"]
    more = replace(
        record, signal=np.vstack([record.signal, record.signal[:1]]), leads=(*LEADS, "vx")
    )
    assert lay_out(more, findings).undrawn == ("vx",)


def test_rhythm_strip_takes_a_good_lead(record: Record, findings: Findings) -> None:
    bad = replace(findings, quality={"II": LeadQuality("poor"), "V1": LeadQuality("missing")})
    assert [s.lead for s in lay_out(record, bad).strips if s.rhythm] == ["I"]
    gone = scaled(record, "II", np.nan)
    assert [s.lead for s in lay_out(gone, findings).strips if s.rhythm] == ["V1"]


def test_short_record_fills_its_columns(record: Record, findings: Findings) -> None:
    layout = lay_out(replace(record, signal=record.signal[:, :1000]), findings)
    assert layout.overlapping
    assert [s.start_s for s in layout.strips if s.row == 0] == [0.0, 1.5, 1.5, 1.5]
    assert layout.end_s == 4.0


def test_long_record_shows_ten_seconds(record: Record, findings: Findings) -> None:
    long = replace(record, signal=np.tile(record.signal, 3))
    layout = lay_out(long, findings, start_s=12.0)
    assert (layout.start_s, layout.end_s) == (12.0, 22.0)
    assert lay_out(long, findings, start_s=28.0).end_s == 30.0


@pytest.mark.parametrize("start_s", [-1.0, 10.0, 99.0, float("nan"), float("inf")])
def test_refuses_a_start_outside(record: Record, findings: Findings, start_s: float) -> None:
    with pytest.raises(BadRequest, match=r"from 0 to 10 \(the end of rec-1\)"):
        lay_out(record, findings, start_s)


@pytest.mark.parametrize(("factor", "gain"), [(1.0, 10.0), (9.0, 5.0), (25.0, 2.5), (90.0, 2.5)])
def test_tall_signals_lower_the_gain(
    record: Record, findings: Findings, factor: float, gain: float
) -> None:
    layout = lay_out(scaled(record, "V2", factor), findings)
    assert layout.gain == gain
    assert layout.cut == (("V2",) if factor == 90.0 else ())


def test_a_poor_lead_does_not_lower_the_gain(record: Record, findings: Findings) -> None:
    layout = lay_out(scaled(record, "V3", 50.0), findings)  # V3 is poor
    assert layout.gain == 10.0
    assert layout.cut == ("V3",)


FINDINGS = Findings("x", ("I",), 100.0, 10.0, None, None, BundleInfo("b", "1", ""))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=12),
    st.integers(0, 1500),
)
def test_rows_never_meet(heights: list[tuple[float, float]], samples: int) -> None:
    signal = np.zeros((len(heights), samples), np.float32)
    for row, (low, high) in enumerate(heights):
        signal[row, 3::50], signal[row, 5::50] = low, high
    layout = lay_out(Record("x", signal, 100.0, LEADS[: len(heights)]), FINDINGS)
    edges = [(row.top_mm, row.base_mm, row.bottom_mm) for row in layout.rows]
    flat = [edge for row in edges for edge in row]
    assert max(np.diff(flat)) < 1e-9
    assert flat[0] <= layout.height_mm + 1e-9
    assert flat[-1] >= -1e-9


def test_cut_out_takes_the_median_away_and_keeps_gaps(record: Record, findings: Findings) -> None:
    signal = record.signal + np.float32(3.0)
    signal[1, 10:20] = np.nan
    strip = next(s for s in lay_out(record, findings).strips if s.lead == "II")
    times, samples = cut_out(replace(record, signal=signal), strip)
    assert times[0] == 0.0
    assert times[-1] == 2.5
    assert np.flatnonzero(np.isnan(samples)).tolist() == list(range(10, 20))
    assert np.nanmedian(samples) == pytest.approx(0.0, abs=1e-6)
