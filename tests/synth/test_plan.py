"""Marks against the drawn parameters: intervals of the record equal those of its plan."""

from __future__ import annotations

import numpy as np
import pytest

from fascicle.record import WaveKind
from fascicle.synth import CONDITIONS, synthesize
from fascicle.synth.oscillation import draw_oscillation, oscillate
from fascicle.synth.plan import Plan, draw_plan
from fascicle.synth.render import Train


def plan_of(condition: str, seed: int, duration_s: float = 10.0) -> Plan:
    rng = np.random.default_rng(seed).spawn(2)[0]
    return draw_plan(rng, CONDITIONS[condition], None, duration_s)


def trains_of(plan: Plan, kind: WaveKind) -> list[Train]:
    return [train for train in plan.trains if train.kind == kind]


@pytest.mark.parametrize("condition", sorted(CONDITIONS))
@pytest.mark.parametrize("seed", [0, 1])
def test_marks_lie_inside_the_planned_waves_and_fill_them(condition: str, seed: int) -> None:
    plan = plan_of(condition, seed)
    record = synthesize(condition, seed=seed)
    for kind in ("P", "QRS", "T"):
        marks = [w for w in record.waves if w.kind == kind and None not in (w.onset_s, w.offset_s)]
        for train in trains_of(plan, kind):
            for onset, length, marked in zip(
                train.onset_s, train.length_s, train.marked, strict=True
            ):
                end = onset + length
                if onset < 0.0 or end > 9.99:
                    continue
                mine = [
                    w
                    for w in marks
                    if onset <= (w.onset_s or 0.0) and (w.offset_s or 0.0) <= end + 1e-9
                ]
                assert bool(mine) == bool(marked)
                if not mine:
                    continue
                slack = 0.004 + 0.04 * length
                assert min(w.onset_s or 0.0 for w in mine) - onset < slack
                assert end - max(w.offset_s or 0.0 for w in mine) < slack


def test_pr_qrs_and_qt_are_the_drawn_ones() -> None:
    for seed in range(10):
        plan = plan_of("sinus", seed)
        (p,), (qrs,), (t,) = (trains_of(plan, kind) for kind in ("P", "QRS", "T"))
        np.testing.assert_allclose(qrs.length_s, plan.heart.qrs_s)
        assert np.ptp(qrs.onset_s - p.onset_s) < 0.0062
        assert (qrs.onset_s - p.onset_s).mean() == pytest.approx(plan.heart.pr_s, abs=0.008)
        qt = t.onset_s + t.length_s - qrs.onset_s
        rr = 60.0 / plan.bpm
        assert qt.mean() == pytest.approx(plan.heart.qtc_s * np.cbrt(rr), rel=0.02)


def test_bodies_differ() -> None:
    hearts = [plan_of("sinus", seed).heart for seed in range(60)]
    assert {heart.sex for heart in hearts} == {"F", "M"}
    for name, low in (("age", 8.0), ("pr_s", 0.008), ("qrs_s", 0.004), ("qtc_s", 0.008)):
        assert np.std([getattr(heart, name) for heart in hearts]) > low, name
    women = np.mean([heart.qtc_s for heart in hearts if heart.sex == "F"])
    men = np.mean([heart.qtc_s for heart in hearts if heart.sex == "M"])
    assert women > men


def test_hidden_p_waves_are_there_but_not_marked() -> None:
    hidden = sum(
        int((~train.marked).sum())
        for seed in range(10)
        for train in trains_of(plan_of("avb3", seed), "P")
    )
    assert hidden > 5
    assert all(train.marked.all() for train in trains_of(plan_of("sinus", 0), "P"))


def test_beats_cover_the_whole_record_whatever_its_length() -> None:
    for condition in CONDITIONS:
        plan = plan_of(condition, 1, duration_s=30.0)
        onsets = np.concatenate([train.onset_s for train in trains_of(plan, "QRS")])
        assert onsets.min() < 0.0, condition
        assert onsets.max() > 30.0, condition


def spectrum(kind: str, seed: int) -> tuple[float, float]:
    """Return the mean frequency under 9 Hz, and how much of the power one line holds."""
    drawn = draw_oscillation(np.random.default_rng(seed), kind, 5.0)
    dipole = oscillate(drawn, np.arange(10000) / 500)
    power = np.abs(np.fft.rfft(dipole @ np.array([0.0, 1.0, -1.0]))) ** 2
    hertz = np.fft.rfftfreq(10000, 1 / 500)
    centre = float((hertz * power)[hertz < 9].sum() / power[hertz < 9].sum())
    return centre, float(power.max() / power.sum())


def test_flutter_is_steady_and_fibrillation_wanders_around_its_frequency() -> None:
    flutter = np.array([spectrum("flutter", seed) for seed in range(8)])
    fibrillation = np.array([spectrum("fibrillation", seed) for seed in range(8)])
    np.testing.assert_allclose(flutter[:, 0], 5.0, atol=0.1)
    np.testing.assert_allclose(fibrillation[:, 0], 5.0, atol=1.0)
    assert flutter[:, 1].min() > 0.7
    assert fibrillation[:, 1].mean() < 0.6


def test_flutter_waves_run_near_300_per_minute_and_beats_take_whole_numbers_of_them() -> None:
    ratios = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        timing = draw_plan(rng, CONDITIONS["flutter"], 75.0, 20.0).timing
        rr_s = np.diff([beat.onset_s for beat in timing.ventricles])
        waves = rr_s * timing.atrial_hz
        assert 4.2 < timing.atrial_hz < 5.8
        assert np.abs(waves - np.rint(waves)).mean() < 0.12
        ratios.append(np.rint(waves))
    kinds = [len(np.unique(drawn)) for drawn in ratios]
    assert {1, 2} <= set(kinds)  # 4:1, and 5:1 and 3:1 in turn
    assert max(kinds) >= 3  # variable block
