"""Windows around beats: their classes, their parts, their mixture."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.data.beat_windows import (
    ANOMALY,
    BeatWindows,
    arrhythmia_at,
    beat_near,
    check_classes,
    class_of,
    few,
    find_windows,
    mixed,
    part_by_class,
    part_by_time,
)
from fascicle.data.pack import Entry
from fascicle.errors import BadData, BadRequest
from fascicle.record import Beat, Rhythm

Make = Callable[..., Entry]
SPANS = {"train": (0.0, 0.4), "validation": (0.4, 0.5), "test": (0.5, 1.0)}


def windows_at(times: list[float], labels: list[int] | None = None, entry: int = 0) -> BeatWindows:
    count = len(times)
    return BeatWindows(
        np.full(count, entry, dtype=np.int64),
        np.arange(count, dtype=np.int64),
        np.array(times, dtype=np.float64),
        np.array(labels or [0] * count, dtype=np.int64),
    )


def beats(*marked: tuple[float, str]) -> tuple[Beat, ...]:
    return tuple(Beat(time_s, "N", symbol=symbol) for time_s, symbol in marked)


def test_normal_is_the_symbol_n_and_nothing_else(entry: Make) -> None:
    made = entry(beats=beats((1, "N"), (2, "L"), (3, "V"), (4, "j")))
    found = find_windows([made], 250.0, 250, ANOMALY)
    assert found.label.tolist() == [0, 1, 1, 1]  # L and j are N only for AAMI
    assert found.start.tolist() == [125, 375, 625, 875]
    assert found.places() == ((0, 125), (0, 375), (0, 625), (0, 875))


def test_windows_that_reach_out_of_the_record_are_left_out(entry: Make) -> None:
    made = entry(beats=beats((0.496, "N"), (0.5, "V"), (9.5, "V"), (9.504, "N")))
    found = find_windows([made], 250.0, 250, ANOMALY)  # ten seconds, 2500 samples
    assert found.time_s.tolist() == [0.5, 9.5]
    assert found.start.tolist() == [0, 2250]


def test_a_beat_without_symbol_is_refused(entry: Make) -> None:
    made = entry(key="mitdb/7", beats=(Beat(2.0, "N"),))
    with pytest.raises(BadData, match=r"mitdb/7: the beat at 2.00 s has no symbol"):
        find_windows([made], 250.0, 250, ANOMALY)


def test_the_rhythm_at_the_beat_is_its_class(entry: Make) -> None:
    made = entry(
        samples=50_000,
        beats=beats((5, "V"), (15, "N"), (25, "N"), (60, "V"), (99.9, "N"), (100, "N")),
        rhythms=(
            Rhythm(0, 10, "VT"),
            Rhythm(10, 20, "N"),
            Rhythm(20, 30, "AFIB"),
            Rhythm(40, 70, "VT"),  # sustained: no NSVT
            Rhythm(90, 100, "AFL"),
        ),
    )
    names = ("NSVT", "AFIB", "AFL")
    found = find_windows([made], 250.0, 250, names)
    assert [(t, names[k]) for t, k in zip(found.time_s, found.label, strict=True)] == [
        (5.0, "NSVT"),
        (25.0, "AFIB"),
        (99.9, "AFL"),
    ]
    binary = find_windows([made], 250.0, 250, ("NSVT", "other"))
    assert binary.label.tolist() == [0, 1, 1, 1, 1, 1]
    assert arrhythmia_at(made, 35.0) == ""  # between two spans
    assert arrhythmia_at(entry(), 3.0) == ""


@pytest.mark.parametrize(
    "names", [(), ("normal",), ("normal", "NSVT"), ("NSVT",), ("NSVT", "NSVT"), ("VT", "other")]
)
def test_classes_that_do_not_go_together_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="classes of beats are normal and abnormal"):
        check_classes(names)


def test_the_nearest_beat_is_found(entry: Make) -> None:
    made = entry(beats=beats((1, "N"), (2, "V"), (3, "N")))
    assert [beat_near(made, t) for t in (0.0, 1.4, 1.6, 2.0, 9.0)] == [0, 0, 1, 1, 2]
    assert class_of(made, 1, ANOMALY) == 1
    with pytest.raises(BadData, match="no beat is marked"):
        beat_near(entry(), 1.0)


def test_parts_in_time_keep_their_distance() -> None:
    windows = windows_at([float(t) for t in range(100)])
    parts = part_by_time(windows, [100.0], SPANS, apart_s=6.0)
    assert parts["test"].time_s.tolist() == list(range(50, 100))
    assert parts["validation"].time_s.tolist() == list(range(40, 45))
    assert parts["train"].time_s.tolist() == list(range(35))  # 40 - 6 = 34 is just far enough


def test_parts_of_different_records_may_be_close() -> None:
    a, b = windows_at([10.0, 90.0], entry=0), windows_at([90.0], entry=1)
    both = BeatWindows(*(np.concatenate(p) for p in zip(*(
        (w.entry, w.start, w.time_s, w.label) for w in (a, b)), strict=True)))  # fmt: skip
    parts = part_by_time(both, [100.0, 300.0], {"train": (0, 0.5), "test": (0.5, 1)}, 50.0)
    assert parts["train"].entry.tolist() == [0, 1]
    assert parts["test"].time_s.tolist() == [90.0]


def test_a_class_is_cut_by_its_own_beats() -> None:
    times = [*range(0, 40, 2), *range(100, 200, 5)]
    windows = windows_at([float(t) for t in times], [0] * 20 + [1] * 20)
    parts = part_by_class(windows, {"train": (0, 0.5), "test": (0.5, 1)}, apart_s=6.0)
    test = parts["test"]
    assert test.time_s[test.label == 0].tolist() == list(range(20, 40, 2))
    assert test.time_s[test.label == 1].tolist() == list(range(150, 200, 5))
    assert parts["train"].time_s[parts["train"].label == 0].tolist() == list(range(0, 15, 2))


def test_what_is_too_short_to_cut_trains_and_tests_by_turns() -> None:
    columns = [windows_at([5.0, 6.0, 7.0], entry=k) for k in range(3)]
    windows = BeatWindows(
        *(np.concatenate([getattr(c, n) for c in columns]) for n in BeatWindows.__slots__)
    )
    parts = part_by_class(windows, SPANS, apart_s=6.0)
    assert parts["train"].entry.tolist() == [0, 0, 0, 2, 2, 2]
    assert parts["test"].entry.tolist() == [1, 1, 1]
    assert len(parts["validation"]) == 0
    alone = part_by_class(windows, {"train": (0.0, 1.0)}, apart_s=6.0)
    assert len(alone["train"]) == 9


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 99), st.integers(0, 2)), min_size=1, max_size=60),
    st.sampled_from(["time", "class"]),
)
def test_no_two_parts_come_near(found: list[tuple[float, int]], cut: str) -> None:
    found.sort()
    windows = windows_at([t for t, _ in found], [k for _, k in found])
    if cut == "time":
        parts = part_by_time(windows, [100.0], SPANS, 6.0)
    else:
        parts = part_by_class(windows, SPANS, 6.0)
    for a, b in combinations(parts.values(), 2):
        gaps = np.abs(a.time_s[:, None] - b.time_s[None])
        assert (gaps >= 6.0 - 1e-9).all()


def test_a_mixture_has_the_shares_and_every_window() -> None:
    windows = windows_at([float(t) for t in range(110)], [0] * 100 + [1] * 10)
    drawn = mixed(windows, (0.7, 0.3))
    assert np.bincount(drawn.label).tolist() == [100, 43]
    assert set(drawn.time_s) == set(windows.time_s)
    rare = mixed(windows, (3.0, 7.0))
    assert np.bincount(rare.label).tolist() == [100, 233]
    alike = mixed(windows, (1.0, 1.0, 1.0))  # a class without a window is left out
    assert np.bincount(alike.label).tolist() == [100, 100]
    assert len(mixed(windows_at([]), (1.0, 1.0))) == 0


def test_any_alone_is_every_beat(entry: Make) -> None:
    made = entry(beats=(Beat(2.0, "N"), Beat(4.0, "V", symbol="V")))  # a symbol is not needed
    assert find_windows([made], 250.0, 250, ("any",)).label.tolist() == [0, 0]
    with pytest.raises(BadRequest, match="or any alone; found any, other"):
        check_classes(("any", "other"))


def test_few_windows_of_each_class_of_each_record() -> None:
    parts = [windows_at([float(t) for t in range(20)], [0] * 17 + [1] * 3, entry=k) for k in (0, 1)]
    windows = BeatWindows(
        *(np.concatenate([getattr(p, n) for p in parts]) for n in BeatWindows.__slots__)
    )
    drawn = few(windows, 4, np.random.default_rng(1))
    for k in (0, 1):
        assert np.bincount(drawn.label[drawn.entry == k]).tolist() == [4, 3]
    again = few(windows, 4, np.random.default_rng(2))
    assert drawn.places() != again.places()
    assert few(windows, 99, np.random.default_rng(1)).places() == windows.places()
    assert len(few(windows_at([]), 4, np.random.default_rng(1))) == 0
