from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from fascicle.errors import BadRequest
from fascicle.record import BEAT_KINDS, LEADS, Beat, Findings, LeadQuality, Record, Rhythm
from fascicle.report.layout import lay_out
from fascicle.report.page import draw_page, save_page

MM_PER_INCH = 25.4


def paper_of(figure: Figure) -> Axes:
    return next(axes for axes in figure.axes if axes.get_label() == "paper")


def lines_of(axes: Axes, label: str) -> list[np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """The lines of one collection in mm on the page, through the real transforms."""
    (found,) = [
        item
        for item in axes.collections
        if isinstance(item, LineCollection) and item.get_label() == label
    ]
    figure = axes.figure
    to_mm = MM_PER_INCH / figure.dpi
    return [axes.transData.transform(line) * to_mm for line in found.get_segments()]


def texts_of(figure: Figure) -> list[Text]:
    return [text for axes in figure.axes for text in axes.texts if text.get_text()]


def words_of(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in texts_of(figure))


def test_page_is_a4(record: Record, findings: Findings) -> None:
    figure = draw_page(record, findings)
    assert figure.get_size_inches() * MM_PER_INCH == pytest.approx([297, 210])


@pytest.mark.parametrize(("label", "pitch_mm"), [("1 mm", 1.0), ("5 mm", 5.0)])
def test_grid_is_in_true_millimetres(
    record: Record, findings: Findings, label: str, pitch_mm: float
) -> None:
    lines = lines_of(paper_of(draw_page(record, findings)), label)
    upright = sorted(line[0, 0] for line in lines if line[0, 0] == line[1, 0])
    level = sorted(line[0, 1] for line in lines if line[0, 1] == line[1, 1])
    for places in (upright, level):
        steps = np.diff(places) / pitch_mm
        # The lines of 5 mm stand in for every fifth of the fine ones.
        assert steps == pytest.approx(np.where(steps > 1.5, 2, 1))
        assert steps.mean() < 1.3


def test_calibration_pulse_is_ten_millimetres_by_five(record: Record, findings: Findings) -> None:
    pulses = lines_of(paper_of(draw_page(record, findings)), "calibration")
    assert len(pulses) == 4
    for pulse in pulses:
        assert np.ptp(pulse[:, 1]) == pytest.approx(10)
        assert pulse[3, 0] - pulse[2, 0] == pytest.approx(5)


@pytest.mark.parametrize(("height_mv", "gain"), [(1.0, 10.0), (5.0, 5.0)])
def test_traces_have_the_scale_that_is_printed(
    record: Record, findings: Findings, height_mv: float, gain: float
) -> None:
    signal = np.zeros_like(record.signal)
    signal[:, 100::250] = height_mv  # at .4 s, 1.4 s, ...
    figure = draw_page(replace(record, signal=signal), findings)
    strips = [line for line in lines_of(paper_of(figure), "trace") if np.ptp(line[:, 0]) > 249]
    (strip,) = strips
    assert np.ptp(strip[:, 0]) == pytest.approx(250, abs=0.11)
    assert np.ptp(strip[:, 1]) == pytest.approx(height_mv * gain)
    peaks = strip[strip[:, 1] > strip[:, 1].max() - 0.1, 0]
    assert np.diff(peaks) == pytest.approx(25)
    assert f"25 mm/s · {gain:g} mm/mV · 0–10 s" in words_of(figure)


def test_waves_lie_on_their_trace_and_time(record: Record, findings: Findings) -> None:
    paper = paper_of(draw_page(record, findings))
    strip_qrs = lines_of(paper, "QRS")[-12:]
    start = min(line[0, 0] for line in lines_of(paper, "trace"))
    for beat, line in zip(findings.beats, strip_qrs, strict=True):
        assert line[np.argmax(line[:, 1]), 0] == pytest.approx(start + 25 * beat.time_s)
        assert np.ptp(line[:, 0]) == pytest.approx(0.08 * 25, abs=0.11)


def test_consensus_stands_in_for_a_lead_without_waves(record: Record, findings: Findings) -> None:
    def count(kept: set[str | None]) -> int:
        waves = tuple(wave for wave in findings.waves if wave.lead in kept)
        figure = draw_page(record, replace(findings, waves=waves))
        return len(lines_of(paper_of(figure), "QRS"))

    assert count({None}) == count({*LEADS})
    assert 0 < count({"V5"}) < count({"II", "V5"}) < count({None})


def test_gaps_stay_gaps(record: Record, findings: Findings) -> None:
    signal = record.signal.copy()
    signal[:, 300:400] = np.nan
    whole = lines_of(paper_of(draw_page(record, findings)), "trace")
    gapped = lines_of(paper_of(draw_page(replace(record, signal=signal), findings)), "trace")
    # The gap (1.2 to 1.6 s) breaks the first column (three leads) and the rhythm strip.
    assert len(gapped) == len(whole) + 4


def test_traces_stay_in_their_rows(record: Record, findings: Findings) -> None:
    tall = replace(record, signal=record.signal * np.float32(40))
    figure = draw_page(tall, findings)
    layout = lay_out(tall, findings)
    paper = paper_of(figure)
    limits = [
        paper.transData.transform([(0, row.bottom_mm), (0, row.top_mm)])[:, 1]
        * (MM_PER_INCH / figure.dpi)
        for row in layout.rows
    ]
    for line in lines_of(paper, "trace"):
        low, high = line[:, 1].min(), line[:, 1].max()
        assert any(low >= a - 1e-6 and high <= b + 1e-6 for a, b in limits)
    assert "Cut where they leave their row:" in words_of(figure)


def test_page_says_what_a_reader_needs(record: Record, findings: Findings) -> None:
    words = words_of(draw_page(record, findings))
    for said in (
        *("rec-1", "female, 63 years", "12 leads · 10 s · 250 Hz", "read by default 1.0"),
        *("75 bpm", "−30°", "—", "11 N, 1 V", "PTB-XL superclass", "Conduction disturbance"),
        *("60%", "sinus rhythm", "poor: noisy", "QT: no T wave was sure enough"),
        *("V", *LEADS, "Research software, not a medical device."),
    ):
        assert said in words.splitlines() or said.startswith("QT: "), said
    assert "QT: no T wave" in words
    assert "atrial fibrillation" not in words


def test_beats_stand_above_the_rhythm_strip(record: Record, findings: Findings) -> None:
    paper = paper_of(draw_page(record, findings))
    marks = [text for text in paper.texts if text.get_text() in {"N", "V"}]
    assert [mark.get_text() for mark in marks] == [beat.kind for beat in findings.beats]
    assert np.diff([mark.get_position()[0] for mark in marks]) == pytest.approx(0.8 * 25)


def test_missing_leads_are_named(record: Record, findings: Findings) -> None:
    signal = record.signal.copy()
    signal[2] = np.nan
    part = replace(record, signal=signal[:9], leads=LEADS[:9])
    quality = {"V1": LeadQuality("missing", ("flat",))}
    words = words_of(draw_page(part, replace(findings, quality=quality)))
    assert words.count("missing: not recorded") == 3
    assert words.count("missing: no signal") == 1
    assert words.count("missing: flat") == 1


def test_long_record_says_which_part_it_shows(record: Record, findings: Findings) -> None:
    long = replace(record, signal=np.tile(record.signal, 3))
    words = words_of(draw_page(long, findings, start_s=5.5))
    assert "5.5–15.5 s of 30 s" in words


@pytest.mark.parametrize("samples", [0, 1, 2, 700, 2500])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 12])
def test_any_shape_is_drawn(record: Record, findings: Findings, samples: int, count: int) -> None:
    part = replace(record, signal=record.signal[:count, :samples], leads=LEADS[:count])
    assert draw_page(part, findings).axes


def crowded(findings: Findings) -> Findings:
    return replace(
        findings,
        name="a very long name $x^2$ " * 9,
        diagnoses=tuple(
            replace(item, name=item.name + " and more of the same", code=f"{i}")
            for i, item in enumerate(findings.diagnoses * 12)
        ),
        warnings=tuple(f"warning {i} about a lead that is clipped" * (i % 3) for i in range(15)),
        beats=findings.beats + tuple(Beat(20.0 + i, BEAT_KINDS[i % 5]) for i in range(5000)),
        quality={lead: LeadQuality("poor", ("noisy beyond use",) * 9) for lead in LEADS},
        bundle=replace(findings.bundle, name="a bundle with a very long name " * 9),
    )


def test_texts_never_overlap_or_leave_the_page(record: Record, findings: Findings) -> None:
    figure = draw_page(record, crowded(findings))
    texts = texts_of(figure)
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    boxes = np.array([text.get_window_extent(renderer).extents for text in texts])
    low, high = boxes[:, :2], boxes[:, 2:]
    assert (low >= 0).all()
    assert (high <= figure.bbox.size).all()
    # Half a millimetre (three pixels) of descenders and accents may touch.
    meet = (high[:, None] > low[None] + 3) & (high[None] > low[:, None] + 3)
    pairs = [
        (texts[i].get_text(), texts[j].get_text()) for i, j in np.argwhere(np.triu(meet.all(2), 1))
    ]
    assert pairs == []


def test_png(record: Record, findings: Findings, tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    save_page(record, findings, path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data.endswith(b"IEND\xaeB`\x82")
    size = [int.from_bytes(data[start : start + 4], "big") for start in (16, 20)]
    assert size == [297 * 6, 210 * 6]


def test_svg_has_true_size_and_no_raster(
    record: Record, findings: Findings, tmp_path: Path
) -> None:
    path = tmp_path / "page.svg"
    save_page(record, crowded(findings), path)
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert float(root.attrib["width"].removesuffix("pt")) * 25.4 / 72 == pytest.approx(297)
    assert not [item for item in root.iter() if item.tag.endswith("}image")]
    assert "dc:date" not in path.read_text(encoding="utf-8")


def test_pdf_has_true_size(record: Record, findings: Findings, tmp_path: Path) -> None:
    path = tmp_path / "page.PDF"
    save_page(record, findings, path)
    data = path.read_bytes()
    assert data.startswith(b"%PDF-")
    box = data.split(b"/MediaBox [")[1].split(b"]")[0].split()
    assert [float(side) * 25.4 / 72 for side in box] == pytest.approx([0, 0, 297, 210])
    assert b"/Subtype /Image" not in data
    assert b"/CreationDate" not in data


@pytest.mark.parametrize("name", ["page.gif", "page", "png"])
def test_refuses_another_suffix(
    record: Record, findings: Findings, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadRequest, match=r"\.png, \.svg, \.pdf"):
        save_page(record, findings, tmp_path / name)


def test_a_users_settings_do_not_change_the_page(
    record: Record, findings: Findings, tmp_path: Path
) -> None:
    save_page(record, findings, tmp_path / "plain.png")
    hostile: Any = {
        "savefig.bbox": "tight",
        "savefig.dpi": 20,
        "savefig.facecolor": "black",
        "figure.autolayout": True,
        "font.family": "serif",
        "axes.facecolor": "black",
        "text.color": "red",
    }
    with mpl.rc_context(hostile):
        save_page(record, findings, tmp_path / "hostile.png")
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "hostile.png").read_bytes()


def test_pages_are_the_same_from_several_threads(
    record: Record, findings: Findings, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: save_page(record, findings, path), paths))
    assert len({path.read_bytes() for path in paths}) == 1


def test_pyplot_is_never_loaded() -> None:
    code = "import sys, fascicle.report.page; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_rhythms_are_bracketed_below_the_rhythm_strip(record: Record, findings: Findings) -> None:
    spans = (Rhythm(0.0, 4.0, "sinus"), Rhythm(4.0, 30.0, "AF"))
    figure = draw_page(record, replace(findings, rhythm=spans))
    paper = paper_of(figure)
    (usual,), (fast,) = lines_of(paper, "sinus"), lines_of(paper, "rhythm")
    assert np.ptp(usual[:, 0]) == pytest.approx(100, abs=0.05)  # 4 s at 25 mm/s
    assert np.ptp(fast[:, 0]) == pytest.approx(150, abs=0.05)
    assert len(usual) == 4
    assert len(fast) == 3  # it goes on after the page, so its end is open
    assert {"sinus", "AF"} <= {text.get_text() for text in paper.texts}
    assert "sinus 0:00-0:04, AF 0:04-0:30" in words_of(figure)


def test_many_rhythms_stand_on_a_line_of_their_own_each(record: Record, findings: Findings) -> None:
    kinds = ("sinus", "VT", "SVT", "AF")
    spans = tuple(Rhythm(60.0 * i, 60.0 * i + 55, kinds[i % 4]) for i in range(40))
    words = words_of(draw_page(record, replace(findings, rhythm=spans)))
    for kind in kinds:
        assert f"{kind} 9:10 in 10 spans" in words


def test_a_page_without_rhythms_says_nothing_of_them(record: Record, findings: Findings) -> None:
    figure = draw_page(record, findings)
    assert "Rhythm" not in words_of(figure)
    assert lines_of(paper_of(figure), "rhythm") == []
