from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.decode.delineation import NO_RULES, Rules, delineate, without
from fascicle.record import Wave

RATE_HZ = 250.0
Spell = Callable[[str], np.ndarray]


def kinds(waves: tuple[Wave, ...]) -> str:
    return " ".join(wave.kind for wave in waves)


def bounds(waves: tuple[Wave, ...] | list[Wave]) -> np.ndarray:
    return np.array([(wave.onset_s, wave.offset_s) for wave in waves])


@pytest.mark.parametrize("bpm", [30, 45, 60, 90, 120, 150, 180, 220])
@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 500.0])
def test_known_waves_come_back(
    bpm: int, rate_hz: float, draw: Callable[..., np.ndarray], sinus: Callable[..., list[Wave]]
) -> None:
    truth = sinus(bpm, 10)
    found = delineate(draw(truth, round(10 * rate_hz), rate_hz), rate_hz, "II")
    assert [wave.kind for wave in found] == [wave.kind for wave in truth]
    assert np.abs(bounds(found) - bounds(truth)).max() <= 1.0 / rate_hz
    assert {wave.lead for wave in found} == {"II"}


def test_boundaries_lie_between_samples(
    draw: Callable[..., np.ndarray], sinus: Callable[..., list[Wave]]
) -> None:
    truth = sinus(71, 60)
    error = bounds(delineate(draw(truth, 15000, RATE_HZ), RATE_HZ, "II")) - bounds(truth)
    coarse = bounds(delineate(draw(truth, 15000, RATE_HZ), RATE_HZ, "II", without("refine")))
    assert np.abs(error.mean(axis=0)).max() < 0.1 / RATE_HZ  # no bias, unlike whole samples
    assert np.abs((coarse - bounds(truth)).mean(axis=0)).min() > 0.3 / RATE_HZ


def test_a_boundary_is_where_the_class_loses_its_lead() -> None:
    p = np.array([0.0, 0.1, 0.4, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.6, 0.3, 0.0], np.float32)
    probabilities = np.stack([1 - p, 0 * p, 0 * p, p])
    (wave,) = delineate(probabilities, 100.0, "I")
    assert wave.onset_s == pytest.approx(0.0225, abs=1e-6)
    assert wave.offset_s == pytest.approx(0.09 + 0.01 / 3, abs=1e-6)
    assert wave.peak_s == pytest.approx(((wave.onset_s or 0) + (wave.offset_s or 0)) / 2)
    assert wave.probability == pytest.approx(p[3:10].mean(), abs=1e-6)


def test_a_p_begins_and_ends_where_it_is_to_be_expected() -> None:
    # it begins at sample 6 or, as likely, at 12; it ends after sample 22 for sure
    p = np.zeros(40, np.float32)
    p[6:12], p[12:23] = 0.51, 1.0
    probabilities = np.stack([1 - p, p, 0 * p, 0 * p])
    (wave,) = delineate(probabilities, 100.0, "I")
    assert wave.onset_s == pytest.approx(0.01 * (11.5 - 0.51 * 6), abs=1e-6)
    assert wave.offset_s == pytest.approx(0.225, abs=1e-6)
    (likeliest,) = delineate(probabilities, 100.0, "I", without("expected_p"))
    assert likeliest.onset_s == pytest.approx(0.06, abs=0.005)


def test_a_t_begins_where_the_net_holds_it_likeliest_to_begin() -> None:
    # it may begin at sample 20, or anywhere in the 150 after it; it ends after sample 249
    p = np.concatenate([np.zeros(20), np.linspace(0.4, 1, 150), np.ones(80), np.zeros(20)])
    probabilities = np.stack([1 - p, 0 * p, 0 * p, p]).astype(np.float32)
    (wave,) = delineate(probabilities, RATE_HZ, "I")
    (evenly,) = delineate(probabilities, RATE_HZ, "I", without("likely_t_s"))
    assert evenly.onset_s == pytest.approx(45 / RATE_HZ, abs=1 / RATE_HZ)
    assert wave.onset_s is not None
    assert abs(wave.onset_s - 20 / RATE_HZ) <= Rules().likely_t_s + 1e-6
    assert wave.offset_s == evenly.offset_s == pytest.approx(249.5 / RATE_HZ, abs=1e-6)


def test_a_t_that_the_record_cuts_begins_with_it_and_ends_where_it_ended() -> None:
    p = np.concatenate([np.linspace(0.9, 0.89, 50), np.zeros(20)])  # it does not rise anywhere
    probabilities = np.stack([1 - p, 0 * p, 0 * p, p]).astype(np.float32)
    for turned in (probabilities, probabilities[:, ::-1]):
        (wave,) = delineate(turned, RATE_HZ, "I")
        (evenly,) = delineate(turned, RATE_HZ, "I", without("likely_t_s"))
        assert bounds([wave]) == pytest.approx(bounds([evenly]), abs=1e-6)


def test_a_t_does_not_reach_into_a_likelier_p() -> None:
    # two T and two P in one stretch, as at 200 bpm; the T falls slowly while the P rises
    p_wave, t_wave = np.zeros(60), np.zeros(60)
    t_wave[10:45] = np.r_[np.full(15, 0.9), np.linspace(0.52, 0.3, 20)]
    p_wave[30:45] = 0.45
    probabilities = np.stack([1 - p_wave - t_wave, p_wave, 0 * p_wave, t_wave])
    (wave,) = delineate(probabilities.astype(np.float32).clip(0), RATE_HZ, "I")
    assert wave.offset_s is not None
    assert wave.offset_s < 32 / RATE_HZ


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("QQQQ...uuu..uuuuu...QQQQ..TTTT", "QRS T QRS T"),  # one T per beat
        ("QQQQ...uuPPPPuu......QQQQ..TTTT", "QRS P QRS T"),  # too short on either side of a P
        ("QQQQ...uuuuuPPPP.....QQQQ..TTTT", "QRS T P QRS T"),
        ("QQQQ" + 30 * "." + "uuuuuu...QQQQ..TTTT", "QRS QRS T"),  # too late for a T
        ("uuuuuu....QQQQ..TTTT", "QRS T"),  # no QRS is known before it
        ("QQQQ..TTTT......uuuuu", "QRS T"),
        ("QQQQ.....uuuuu", "QRS T"),  # the record ends in it
    ],
)
def test_a_faint_t_is_one_where_a_beat_lacks_it(text: str, expected: str, spell: Spell) -> None:
    assert kinds(delineate(spell(text), RATE_HZ, "I")) == expected


# each rule: the field, a text that needs it, what is found with it and without it
CASES = [
    ("merge_p_s", "...PP.PP...QQQQ...", "P QRS", "P P QRS"),
    ("merge_qrs_s", "...QQ.QQ...TTTT...", "QRS T", "QRS QRS T"),
    ("merge_t_s", "...QQQ...TTT.TTT...", "QRS T", "QRS T T"),
    ("min_p_s", "...P......QQQQ...", "QRS", "P QRS"),
    ("min_qrs_s", "...QQQQ..........Q...", "QRS", "QRS QRS"),
    ("min_t_s", "...QQQQ....TT...", "QRS", "QRS T"),
    ("min_probability", "...????....QQQQ...", "QRS", "P QRS"),
    ("qrs_distance_s", "...QQQQ...QQ.....", "QRS", "QRS QRS"),
    ("t_distance_s", "...QQQQ..TTTTTT.....TTT....", "QRS T", "QRS T T"),
    ("p_distance_s", "...PPPP...PPP...QQQQ", "P QRS", "P P QRS"),
    ("faint_t", "...QQQQ...uuuuu....PPPP..QQQQ...TTTTT", "QRS T P QRS T", "QRS P QRS T"),
]


@pytest.mark.parametrize(("rule", "text", "on", "off"), CASES, ids=[case[0] for case in CASES])
def test_each_rule_does_what_it_says(rule: str, text: str, on: str, off: str, spell: Spell) -> None:
    others_off = Rules(
        **{
            field.name: getattr(Rules() if field.name == rule else NO_RULES, field.name)
            for field in fields(Rules)
        }
    )
    assert kinds(delineate(spell(text), RATE_HZ, "I", others_off)) == on
    assert kinds(delineate(spell(text), RATE_HZ, "I", NO_RULES)) == off


def test_every_rule_has_a_case() -> None:
    of_ends = {"refine", "expected_p", "likely_t_s", "stray_p_s", "stray_t_s"}
    elsewhere = of_ends | {"lone_p_leads", "most_leads", "far_t_s"}
    assert {case[0] for case in CASES} | elsewhere == {field.name for field in fields(Rules)}
    for field in fields(Rules):
        assert without(field.name) != Rules()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("QQQQ..TTTTTT......PPPP..QQQQ", "QRS T P QRS"),
        ("QQQQ..TTTTTT............QQQQ", "QRS T QRS"),  # AF: no P is an answer
        ("QQQQ............PPPP....QQQQ", "QRS P QRS"),  # a single T is missing
        ("QQQQ..........TTTT..QQQQ", "QRS T QRS"),  # a late T is what the net says
        ("QQQQ.TTTTT...........PPPP..............PPPP......QQQQ", "QRS T P P QRS"),  # AV block
        ("QQQQ..PPPP....TTTTTT.....QQQQ", "QRS P T QRS"),  # dissociation, P in the ST segment
        ("QQQQ..TTTP.TTTT......QQQQ", "QRS T QRS"),  # a biphasic T with a doubtful middle
        ("PPPP...........PPPP.....", "P P"),  # atria without ventricles
        ("TTTTTT......PPPP..QQQQ", "T P QRS"),  # the record begins inside a beat
        ("QQTQQ..TTTTTT", "QRS T"),
        ("QQQQ.TTTTTT" + 40 * "." + "TTTTTT..QQQQ", "QRS T T QRS"),  # a QRS is flat in this lead
        ("TTTTTT....QQQQ..TTTTTT", "T QRS T"),
        (".", ""),
    ],
)
def test_waves_of_a_beat(text: str, expected: str, spell: Spell) -> None:
    assert kinds(delineate(spell(text), RATE_HZ, "I")) == expected


def test_merging_never_crosses_a_qrs(spell: Spell) -> None:
    loose = Rules(merge_p_s=1.0, merge_t_s=1.0, p_distance_s=0)
    text = "PPP..QQQ..TTT......PPP..QQQ..TTT"
    assert kinds(delineate(spell(text), RATE_HZ, "I", loose)) == "P QRS T P QRS T"


def test_the_peak_is_the_largest_deflection_from_the_chord(spell: Spell) -> None:
    probabilities = spell("....TTTTTTTT....")
    signal = np.linspace(0, 5, 80, dtype=np.float32)  # a drift must not draw the peak to the end
    signal[35:38] -= 0.5
    signal[36] -= 0.1
    (wave,) = delineate(probabilities, RATE_HZ, "I", signal=signal)
    assert wave.peak_s == 36 / RATE_HZ


def test_a_signal_without_samples_still_has_peaks(spell: Spell) -> None:
    signal = np.full(80, np.nan, dtype=np.float32)
    (wave,) = delineate(spell("....TTTTTTTT...."), RATE_HZ, "I", signal=signal)
    assert wave.onset_s is not None
    assert wave.offset_s is not None
    assert wave.peak_s is not None
    assert wave.onset_s <= wave.peak_s <= wave.offset_s


@pytest.mark.parametrize("samples", [0, 1, 2])
def test_very_short_records(samples: int) -> None:
    probabilities = np.zeros((4, samples), dtype=np.float32)
    probabilities[2] = 1
    assert delineate(probabilities, RATE_HZ, "I") == ()
    found = delineate(probabilities, RATE_HZ, "I", NO_RULES, np.zeros(samples, np.float32))
    assert len(found) == min(samples, 1)


def test_a_wave_may_fill_the_record() -> None:
    probabilities = np.zeros((4, 50), dtype=np.float32)
    probabilities[3] = 1
    assert delineate(probabilities, RATE_HZ, "I") == (Wave("I", "T", 0.0, 24.5 / 250, 49 / 250),)


@settings(max_examples=50)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 400),
    st.floats(0.1, 5),
    st.sampled_from([NO_RULES, Rules(), without("likely_t_s")]),
)
def test_any_map_gives_ordered_waves(seed: int, samples: int, heat: float, chosen: Rules) -> None:
    generator = np.random.default_rng(seed)
    walk = generator.normal(size=(4, samples)).cumsum(axis=1) * heat
    scores = np.exp(walk - walk.max(axis=0))
    probabilities = (scores / scores.sum(axis=0)).astype(np.float32)
    signal = generator.normal(size=samples).astype(np.float32)
    before = 0.0
    last_t = -1.0
    for wave in delineate(probabilities, RATE_HZ, "I", chosen, signal):
        assert wave.onset_s is not None
        assert wave.peak_s is not None
        assert wave.offset_s is not None
        assert before <= wave.onset_s + 1e-9
        assert wave.onset_s <= wave.peak_s <= wave.offset_s <= (samples - 1) / RATE_HZ
        assert 0 <= wave.probability <= 1
        before = wave.offset_s
        if wave.kind == "T" and not chosen.likely_t_s:  # which moves boundaries farther
            # a boundary may lie up to a sample before the wave's first sample
            assert wave.onset_s - last_t > chosen.t_distance_s - 1 / RATE_HZ
        last_t = {"QRS": -1.0, "T": wave.onset_s, "P": last_t}[wave.kind]


@pytest.mark.parametrize(
    ("probabilities", "rate_hz", "samples"),
    [
        (np.zeros((3, 10)), 250.0, None),
        (np.zeros(10), 250.0, None),
        (np.zeros((4, 10)), 0.0, None),
        (np.zeros((4, 10)), float("nan"), None),
        (np.full((4, 10), np.nan), 250.0, None),
        (np.full((4, 10), 3.0), 250.0, None),
        (np.full((4, 10), -1.0), 250.0, None),
        (np.zeros((4, 10)), 250.0, 9),
    ],
)
def test_what_cannot_be_right_is_refused(
    probabilities: np.ndarray, rate_hz: float, samples: int | None
) -> None:
    signal = None if samples is None else np.zeros(samples, np.float32)
    with pytest.raises(ValueError):
        delineate(probabilities.astype(np.float32), rate_hz, "I", signal=signal)
