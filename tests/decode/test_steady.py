from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fascicle.decode.rules import QRS, P, Rules, T
from fascicle.decode.runs import Runs
from fascicle.decode.steady import SHARE, steadied

RATE_HZ = 250.0
RULES = Rules()
Floats = NDArray[np.float64]


def beats(pr_s: Floats, qt_s: Floats, rr_s: float = 1.0) -> tuple[Runs, Floats, Floats]:
    """Return runs and boundaries of beats with these distances: P of 100, QRS 90, T 180 ms."""
    r = 1.0 + rr_s * np.arange(pr_s.size)
    onset = np.stack([r - pr_s, r, r + qt_s - 0.18], axis=1).ravel() * RATE_HZ
    offset = np.stack([r - pr_s + 0.1, r + 0.09, r + qt_s], axis=1).ravel() * RATE_HZ
    kind = np.tile([P, QRS, T], pr_s.size)
    return Runs(np.rint(onset).astype(int), np.rint(offset).astype(int), kind), onset, offset


def moved_ms(made: tuple[Runs, Floats, Floats], kind: int, rules: Rules = RULES) -> Floats:
    """Return how far onsets and offsets (2, beat) of a kind move, in ms."""
    runs, onset, offset = made
    found = np.stack(steadied(runs, onset, offset, RATE_HZ, rules)) - np.stack([onset, offset])
    return found[:, runs.kind == kind] * 1000 / RATE_HZ


ALIKE = np.full(9, 0.16), np.full(9, 0.4)


def test_what_is_alike_stays_as_it_is() -> None:
    for kind in (P, QRS, T):
        assert np.abs(moved_ms(beats(*ALIKE), kind)).max() < 1e-6


@pytest.mark.parametrize(("place", "kind"), [(0, P), (1, T)])
def test_what_strays_goes_part_of_the_way_back(place: int, kind: int) -> None:
    distances = np.stack(ALIKE)
    distances[place, 4] += 0.02
    moved = moved_ms(beats(distances[0], distances[1]), kind)
    sign = 1 if kind == P else -1  # a longer PR begins earlier, a longer QT ends later
    assert moved[:, 4] == pytest.approx(sign * SHARE * 20)
    assert np.abs(np.delete(moved, 4, axis=1)).max() < 1e-6


def test_qrs_never_moves() -> None:
    rng = np.random.default_rng(0)
    made = beats(0.16 + rng.normal(0, 0.02, 30), 0.4 + rng.normal(0, 0.02, 30))
    assert not moved_ms(made, QRS).any()


def test_another_beat_stays_out_of_it() -> None:
    pr_s = ALIKE[0].copy()
    pr_s[4] = 0.28  # an ectopic P
    assert np.abs(moved_ms(beats(pr_s, ALIKE[1]), P)).max() < 1e-6


def test_a_wenckebach_period_is_hardly_moved() -> None:
    pr_s = np.tile([0.16, 0.22, 0.28, 0.34], 4)
    assert np.abs(moved_ms(beats(pr_s, np.full(16, 0.4)), P)).max() < 5


def test_two_beats_have_none_to_compare_with() -> None:
    made = beats(np.array([0.16, 0.18]), np.array([0.4, 0.42]))
    assert not moved_ms(made, P).any()
    assert not moved_ms(made, T).any()


def test_each_kind_can_be_left_alone() -> None:
    rng = np.random.default_rng(1)
    made = beats(0.16 + rng.normal(0, 0.01, 20), 0.4 + rng.normal(0, 0.01, 20))
    assert not moved_ms(made, P, Rules(stray_p_s=0)).any()
    assert moved_ms(made, T, Rules(stray_p_s=0)).any()


def test_waves_without_a_qrs_stay() -> None:
    runs = Runs(np.array([10, 60]), np.array([30, 90]), np.array([P, P]))
    ends = runs.start.astype(float), runs.stop.astype(float)
    assert np.array_equal(steadied(runs, *ends, RATE_HZ, RULES), ends)


@given(st.integers(0, 10_000), st.integers(0, 40), st.floats(0.0, 0.3))
def test_the_order_of_waves_stays(seed: int, count: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.choice(20 * max(count, 1), 2 * count, replace=False)).astype(float)
    edges += np.sort(rng.uniform(0, spread, edges.size))
    onset, offset = edges[::2], edges[1::2]
    runs = Runs(onset.astype(int), offset.astype(int), rng.choice([P, QRS, T], count))
    moved_on, moved_off = steadied(runs, onset, offset, RATE_HZ, RULES)
    assert (moved_on <= moved_off).all()
    assert (moved_off[:-1] <= moved_on[1:] + 1e-9).all()
    assert moved_on.shape == (count,)
