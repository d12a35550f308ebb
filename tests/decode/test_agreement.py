from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fascicle.decode.agreement import HINT, LEAST_LEADS
from fascicle.decode.delineation import Rules, delineate_leads, without
from fascicle.record import LEADS, Wave

RATE_HZ = 250.0
WITH_P = "....PPPP...QQQQ...TTTTTT......"
FAINT = {"P": "i", "T": "u"}
BY_OTHERS = without("faint_t")
"""A lead is given a T by the other leads alone."""
Spell = Callable[[str], np.ndarray]
Find = Callable[..., list[str]]


@pytest.fixture
def found(spell: Spell) -> Find:
    """Return what tells the kinds of waves in each of so many leads."""

    def find(texts: list[str], rules: Rules | None = None) -> list[str]:
        leads = dict(zip(LEADS, map(spell, texts), strict=False))
        made = delineate_leads(leads, RATE_HZ, rules)
        return [" ".join(wave.kind for wave in waves) for waves in made.values()]

    return find


def silent(text: str, letter: str, instead: str = ".") -> str:
    return text.replace(letter, instead)


@pytest.mark.parametrize(
    ("leads", "alone", "stays"), [(12, 3, False), (12, 4, True), (8, 2, False)]
)
def test_a_p_of_a_quarter_of_the_leads_is_noise(
    leads: int, alone: int, stays: bool, found: Find
) -> None:
    texts = [WITH_P] * alone + [silent(WITH_P, "P")] * (leads - alone)
    few = "P QRS T" if stays else "QRS T"
    assert found(texts) == [few] * alone + ["QRS T"] * (leads - alone)
    assert found(texts, without("lone_p_leads"))[:alone] == ["P QRS T"] * alone


def test_a_t_of_few_leads_stays(found: Find) -> None:
    texts = [WITH_P] + [silent(WITH_P, "T")] * 11
    assert found(texts) == ["P QRS T"] + ["P QRS"] * 11


@pytest.mark.parametrize("letter", ["P", "T"])
@pytest.mark.parametrize(("shown", "given"), [(11, True), (6, True), (5, False)])
def test_what_most_leads_show_is_there_in_one_that_hints_at_it(
    letter: str, shown: int, given: bool, found: Find
) -> None:
    faint = silent(WITH_P, letter, FAINT[letter])
    texts = [WITH_P] * shown + [faint] * (12 - shown)
    less = "QRS T" if letter == "P" else "P QRS"
    assert found(texts, BY_OTHERS)[shown:] == ["P QRS T" if given else less] * (12 - shown)
    assert found(texts, without("most_leads", BY_OTHERS))[shown:] == [less] * (12 - shown)


def test_a_lead_that_shows_nothing_there_is_given_nothing(spell: Spell, found: Find) -> None:
    texts = [WITH_P] * 11 + [silent(WITH_P, "P")]
    assert spell(".")[1].max() < HINT
    assert found(texts)[11] == "QRS T"


def test_there_must_be_room(found: Find) -> None:
    t_there = WITH_P.replace("....PPPP", "..TTTiii")
    assert found([WITH_P] * 11 + [t_there])[11] == "T QRS T"


def test_few_leads_keep_what_each_shows(found: Find) -> None:
    texts = [WITH_P] + [silent(WITH_P, "P", "i")] * (LEAST_LEADS - 2)
    assert found(texts) == ["P QRS T"] + ["QRS T"] * (LEAST_LEADS - 2)


def test_a_wave_that_is_given_lies_where_the_others_have_it_and_peaks_in_its_own_signal(
    spell: Spell,
) -> None:
    faint = silent(WITH_P, "T", "u")
    maps = dict(zip(LEADS, map(spell, [WITH_P] * 11 + [faint]), strict=True))
    signal = np.zeros(maps["I"].shape[1], dtype=np.float32)
    signal[105] = 0.2
    made = delineate_leads(maps, RATE_HZ, BY_OTHERS, signals={"V6": signal})
    theirs, given = made["I"][-1], made["V6"][-1]
    assert isinstance(given, Wave)
    assert (given.lead, given.kind, given.onset_s, given.offset_s, given.peak_s) == (
        "V6", "T", theirs.onset_s, theirs.offset_s, 105 / RATE_HZ,
    )  # fmt: skip
    assert HINT < given.probability < 0.5


@pytest.mark.parametrize("late", [-4, -2, 2, 4])
def test_a_boundary_of_t_lies_at_most_so_far_from_those_of_the_other_leads(
    late: int, spell: Spell
) -> None:
    texts = [f"...PPPP...QQQQ{'.' * (6 + by)}TTTTTT{'.' * (8 - by)}" for by in [0] * 11 + [late]]
    maps = dict(zip(LEADS, map(spell, texts), strict=True))
    usual, other = (delineate_leads(maps, RATE_HZ)[lead][-1] for lead in ("I", "V6"))
    far_s = Rules().far_t_s
    for ours, theirs in ((other.onset_s, usual.onset_s), (other.offset_s, usual.offset_s)):
        assert ours is not None
        assert theirs is not None
        assert ours - theirs == pytest.approx(np.clip(0.02 * late, -far_s, far_s), abs=1e-6)
    free = delineate_leads(maps, RATE_HZ, without("far_t_s"))["V6"][-1]
    assert (free.onset_s or 0) - (usual.onset_s or 0) == pytest.approx(0.02 * late, abs=1e-6)


@given(seed=st.integers(0, 10_000), leads=st.integers(1, 12))
def test_waves_stay_in_order_and_apart(seed: int, leads: int, spell: Spell) -> None:
    rng = np.random.default_rng(seed)
    letters = np.array(list(".PQTiu"))
    texts = ["".join(rng.choice(letters, 12).repeat(3)) for _ in range(leads)]
    maps = dict(zip(LEADS, map(spell, texts), strict=False))
    for waves in delineate_leads(maps, RATE_HZ).values():
        ends = np.array([(wave.onset_s, wave.offset_s) for wave in waves]).reshape(-1, 2)
        assert (ends[:, 0] < ends[:, 1]).all()
        assert (ends[1:, 0] >= ends[:-1, 1]).all()


@pytest.mark.parametrize("cut", range(1, 12))
def test_what_the_end_of_the_record_cuts_ends_with_it(cut: int, spell: Spell) -> None:
    usual, shorter = spell(4 * WITH_P), spell(4 * WITH_P.replace("TTTTTT.", "TTTTT.."))
    last = usual.shape[1] - 5 * 6 - 3 * cut
    maps = {lead: (usual if row % 3 else shorter)[:, :last] for row, lead in enumerate(LEADS)}
    signals = {lead: np.zeros(last, np.float32) for lead in maps}
    for waves in delineate_leads(maps, RATE_HZ, signals=signals).values():
        assert all(0 <= w.onset_s <= w.peak_s <= w.offset_s for w in waves)  # type: ignore[operator]
        assert (waves[-1].offset_s or 0) <= (last - 1) / RATE_HZ


def test_leads_of_unequal_length_are_refused(spell: Spell) -> None:
    with pytest.raises(ValueError, match="equally many samples"):
        delineate_leads({"I": spell(WITH_P), "II": spell(WITH_P + ".")}, RATE_HZ)
