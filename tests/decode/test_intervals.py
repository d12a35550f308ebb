from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from fascicle.decode.intervals import corrected_qt_ms, intervals
from fascicle.record import INTERVALS, Beat, BeatKind, Measure, Wave

RATE_HZ = 250.0
Sinus = Callable[..., list[Wave]]
Found = dict[str, Measure | None]


def signal(duration_s: float = 10.0) -> dict[str, np.ndarray]:
    return {lead: np.zeros(round(duration_s * RATE_HZ), np.float32) for lead in ("I", "aVF")}


def beats_of(waves: list[Wave], kinds: str = "N") -> list[Beat]:
    peaks = [wave.peak_s for wave in waves if wave.kind == "QRS" and wave.peak_s is not None]
    letters: list[BeatKind] = [kinds[i % len(kinds)] for i in range(len(peaks))]  # type: ignore[misc]
    return [Beat(time, kind) for time, kind in zip(peaks, letters, strict=True)]


def measure(
    waves: list[Wave], beats: list[Beat], duration_s: float = 10
) -> tuple[Found, list[str]]:
    found, warnings = intervals(waves, beats, signal(duration_s), RATE_HZ)
    assert tuple(found) == INTERVALS
    for key in INTERVALS:  # whatever is missing has its reason
        assert (found[key] is None) == any(w.startswith(f"{key}: ") for w in warnings) or (
            key == "pr_ms" and found[key] is not None
        )
    return found, warnings


def value(found: Found, key: str) -> float:
    measured = found[key]
    assert measured is not None
    return measured.value


@pytest.mark.parametrize("bpm", [30, 60, 75, 120, 180, 220])
def test_intervals_of_a_known_rhythm(bpm: int, sinus: Sinus) -> None:
    waves = sinus(bpm, 10, None)
    found, _ = measure(waves, beats_of(waves))
    rr_s = 60 / bpm
    qt_ms = 1000 * min(0.4 * min(rr_s, 1.0) ** 0.5, rr_s - min(0.16, 0.35 * rr_s) - 0.01)
    assert value(found, "heart_rate_bpm") == pytest.approx(bpm)
    assert value(found, "rr_ms") == pytest.approx(1000 * rr_s)
    assert value(found, "qrs_ms") == pytest.approx(80)
    assert value(found, "pr_ms") == pytest.approx(1000 * min(0.16, 0.35 * rr_s))
    assert value(found, "qt_ms") == pytest.approx(qt_ms)
    assert value(found, "qtc_bazett_ms") == pytest.approx(qt_ms / math.sqrt(rr_s))
    assert value(found, "qtc_fridericia_ms") == pytest.approx(qt_ms / rr_s ** (1 / 3))
    assert value(found, "qtc_framingham_ms") == pytest.approx(qt_ms + 154 * (1 - rr_s))


def test_corrections_of_a_published_kind() -> None:
    corrected = corrected_qt_ms(np.array([360.0]), 640.0)
    assert corrected["qtc_bazett_ms"] == pytest.approx([450.0])
    assert corrected["qtc_fridericia_ms"] == pytest.approx([360 / 0.64 ** (1 / 3)])
    assert corrected["qtc_framingham_ms"] == pytest.approx([415.44])


def test_median_deviation_and_number_of_beats(sinus: Sinus) -> None:
    waves = sinus(60, 10, None)
    first = next(i for i, wave in enumerate(waves) if wave.kind == "QRS")
    waves[first] = Wave(None, "QRS", 0.5, 0.54, 0.64)
    measured = measure(waves, beats_of(waves))[0]["qrs_ms"]
    assert measured is not None
    assert measured.value == pytest.approx(80)
    assert measured.beats == 9
    assert measured.sd == pytest.approx(np.std([140] + [80] * 8))


def test_no_p_wave_means_no_pr(sinus: Sinus) -> None:
    waves = [wave for wave in sinus(80, 10, None) if wave.kind != "P"]
    found, warnings = measure(waves, beats_of(waves))
    assert found["p_ms"] is None
    assert found["pr_ms"] is None
    assert any("0 of 12 beats" in warning for warning in warnings)
    assert found["qt_ms"] is not None


def test_a_few_invented_p_waves_give_no_pr(sinus: Sinus) -> None:
    waves = sinus(80, 10, None)
    kept = [wave for wave in waves if wave.kind != "P"] + [w for w in waves if w.kind == "P"][:4]
    assert measure(kept, beats_of(kept))[0]["pr_ms"] is None


@pytest.mark.parametrize("pr_s", [0.05, 0.45])
def test_a_p_wave_too_near_or_too_far_leads_to_no_beat(pr_s: float) -> None:
    waves = []
    for onset in (1.0, 2.0, 3.0, 4.0):
        waves += [
            Wave(None, "P", onset - pr_s, onset - pr_s + 0.02, onset - pr_s + 0.04),
            Wave(None, "QRS", onset, onset + 0.04, onset + 0.08),
        ]
    assert measure(waves, beats_of(waves))[0]["pr_ms"] is None


def test_an_unsteady_pr_is_said(sinus: Sinus) -> None:
    waves = []
    for beat, onset in enumerate((1.0, 2.0, 3.0, 4.0)):
        p = onset - (0.12, 0.3)[beat % 2]
        waves += [
            Wave(None, "P", p, p + 0.04, p + 0.08),
            Wave(None, "QRS", onset, onset + 0.04, onset + 0.08),
        ]
    found, warnings = measure(waves, beats_of(waves))
    pr = found["pr_ms"]
    assert pr is not None
    assert [pr.value, pr.sd, pr.beats] == pytest.approx([210, 90, 4])
    assert any(warning.startswith("pr_ms: varies") for warning in warnings)


def test_ventricular_beats_count_for_rate_only(sinus: Sinus) -> None:
    waves = sinus(60, 10, None)
    wide = [
        Wave(None, "QRS", w.onset_s, w.peak_s, w.onset_s + 0.16)
        if w.kind == "QRS" and i % 2 and w.onset_s is not None
        else w
        for i, w in enumerate(waves)
    ]
    kinds = "".join("V" if i % 2 else "N" for i, w in enumerate(waves) if w.kind == "QRS")
    found, _ = measure(wide, beats_of(wide, kinds))
    qrs = found["qrs_ms"]
    assert qrs is not None
    assert [qrs.value, qrs.sd, qrs.beats] == pytest.approx([80, 0, kinds.count("N")])
    assert value(found, "heart_rate_bpm") == pytest.approx(60)


def test_only_ventricular_beats_are_measured_with_a_warning(sinus: Sinus) -> None:
    waves = sinus(60, 10, None)
    found, warnings = measure(waves, beats_of(waves, "V"))
    assert value(found, "qrs_ms") == pytest.approx(80)
    assert found["pr_ms"] is None
    assert any(warning.startswith("intervals: every beat") for warning in warnings)


def test_rr_in_bigeminy_is_the_mean_of_short_and_long() -> None:
    times = np.cumsum([1.0] + [0.4, 1.2] * 4 + [0.4])  # five short, four long
    beats = [Beat(time, "N" if i % 2 == 0 else "V") for i, time in enumerate(times.tolist())]
    found, _ = measure([], beats, 12)
    assert value(found, "rr_ms") == pytest.approx(800)
    assert value(found, "heart_rate_bpm") == pytest.approx(75)


def test_a_pause_does_not_move_rr() -> None:
    times = np.cumsum([1.0] + [0.8] * 6 + [300.0] + [0.8] * 6).tolist()
    found, _ = measure([], [Beat(time, "N") for time in times], 400)
    assert value(found, "rr_ms") == pytest.approx(800)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_beats_have_no_rr(count: int, sinus: Sinus) -> None:
    waves = sinus(60, 2, None)[: 3 * count]
    found, _ = measure(waves, beats_of(waves))
    assert found["rr_ms"] is None
    assert found["heart_rate_bpm"] is None
    assert found["qtc_bazett_ms"] is None
    assert (found["qt_ms"] is None) == (count == 0)


def test_no_t_wave_means_no_qt(sinus: Sinus) -> None:
    waves = [wave for wave in sinus(80, 10, None) if wave.kind != "T"]
    found, _ = measure(waves, beats_of(waves))
    assert [key for key in INTERVALS if key.startswith("qt") and found[key] is not None] == []
    assert found["pr_ms"] is not None


def test_a_single_missing_t_borrows_no_other(sinus: Sinus) -> None:
    waves = sinus(120, 10, None)
    del waves[8]
    qt = measure(waves, beats_of(waves))[0]["qt_ms"]
    assert qt is not None
    assert qt.sd == pytest.approx(0, abs=1e-6)
    assert qt.beats == len(beats_of(waves)) - 1


def test_waves_cut_by_the_end_are_not_measured(sinus: Sinus) -> None:
    waves = [
        Wave(None, "QRS", 0.0, 0.01, 0.03),  # its first half lies before the record
        *sinus(60, 9, None),
        Wave(None, "T", 9.9, 9.95, 9.996),
    ]
    found, _ = measure(waves, beats_of(waves))
    qrs = found["qrs_ms"]
    assert qrs is not None
    assert qrs.beats == len(beats_of(waves)) - 1
    assert qrs.sd == pytest.approx(0, abs=1e-9)


def test_without_beats_the_qrs_count(sinus: Sinus) -> None:
    found, warnings = measure(sinus(75, 10, None), [])
    assert value(found, "heart_rate_bpm") == pytest.approx(75)
    assert any("each QRS" in warning for warning in warnings)


def test_waves_of_single_leads_are_left_out(sinus: Sinus) -> None:
    waves = sinus(75, 10, "II")
    found, _ = measure(waves, beats_of(waves))
    assert found["qrs_ms"] is None
    assert found["rr_ms"] is not None


def test_a_qrs_without_a_beat_is_not_measured(sinus: Sinus) -> None:
    waves = sinus(60, 10, None)
    qrs = measure(waves, beats_of(waves)[:4])[0]["qrs_ms"]
    assert qrs is not None
    assert qrs.beats == 4


def test_no_signal_still_gives_all_but_the_axis(sinus: Sinus) -> None:
    waves = sinus(60, 10, None)
    found, warnings = intervals(waves, beats_of(waves), {}, RATE_HZ)
    assert [key for key in INTERVALS if found[key] is None] == ["axis_deg"]
    assert warnings == ["axis_deg: needs leads I and aVF; missing I and aVF"]


def test_where_no_qrs_was_measured_that_is_the_reason(sinus: Sinus) -> None:
    waves = [wave for wave in sinus(60, 10, None) if wave.kind != "QRS"]
    _, warnings = measure(waves, [Beat(2.0, "N"), Beat(3.0, "N")])
    for key in ("p_ms", "pr_ms", "qrs_ms", "qt_ms", "qtc_bazett_ms"):
        assert f"{key}: no whole QRS that belongs to a beat" in warnings
