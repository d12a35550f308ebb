"""Splits: no person on both sides, with one named exception."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fascicle.data.pack import Entry
from fascicle.data.splits import check_leaks, choose
from fascicle.errors import BadData

Make = Callable[..., Entry]


def test_choose_by_fold(entry: Make) -> None:
    entries = [entry(key=str(i), fold=i % 3) for i in range(6)]
    assert [e.key for e in choose(entries, (0, 2))] == ["0", "2", "3", "5"]
    assert choose(entries, None) == tuple(entries)
    assert choose(entries, ()) == ()
    assert choose(entries, (7,)) == ()


def test_a_clean_split_passes(entry: Make) -> None:
    train = [entry(key=f"a/{i}", patient=f"a/p{i}") for i in range(4)]
    held_out = [entry(key=f"a/{i}", patient=f"a/p{i}") for i in range(4, 8)]
    check_leaks(train, held_out)
    check_leaks(train, [])
    check_leaks([], held_out)
    check_leaks(train * 2, held_out)  # one record may teach in two groups


def test_one_patient_on_both_sides_is_refused(entry: Make) -> None:
    train = [entry(key="a/1", patient="a/p1"), entry(key="a/2", patient="a/p2")]
    held_out = [entry(key="a/3", patient="a/p2")]
    with pytest.raises(BadData, match=r"leaks 1 pairs .* a/2 and a/3 \(a/p2\)"):
        check_leaks(train, held_out)


def test_one_record_on_both_sides_is_refused(entry: Make) -> None:
    with pytest.raises(BadData, match="a/1 and a/1"):
        check_leaks([entry(key="a/1")], [entry(key="a/1")])


def test_records_meet_across_sets_by_their_key(entry: Make) -> None:
    """CinC's HR00017 is PTB-XL's 00017, and only PTB-XL knows whose it is."""
    cinc = entry(key="ptbxl/00017", patient="ptbxl/00017", source="cinc2021")
    same = entry(key="ptbxl/00017", patient="ptbxl/p9", source="ptbxl")
    sibling = entry(key="ptbxl/00018", patient="ptbxl/p9", source="ptbxl")
    other = entry(key="ptbxl/00019", patient="ptbxl/p8", source="ptbxl")
    for train, held_out in (([cinc], [same]), ([same], [cinc])):
        with pytest.raises(BadData, match=r"\(ptbxl/p9\)"):
            check_leaks(train, held_out)
    with pytest.raises(BadData, match="ptbxl/00018 and ptbxl/00017"):
        check_leaks([sibling], [other, cinc, same])
    with pytest.raises(BadData, match="ptbxl/00017 and ptbxl/00018"):
        check_leaks([cinc, same], [sibling])
    check_leaks([cinc], [other])


def test_the_one_exception_is_201_against_202(entry: Make) -> None:
    one = entry(key="mitdb/201", patient="mitdb/201")
    two = entry(key="mitdb/202", patient="mitdb/201")
    third = entry(key="mitdb/203", patient="mitdb/201")
    check_leaks([one], [two])
    check_leaks([two], [one])
    for train, held_out in (
        ([one], [one]),
        ([two], [two]),
        ([one, two], [two]),
        ([two, one], [two]),
        ([one], [third]),
        ([one, third], [two]),
        ([third, one], [two]),
    ):
        with pytest.raises(BadData, match="mitdb/201"):
            check_leaks(train, held_out)


def test_many_leaks_are_counted_and_three_shown(entry: Make) -> None:
    both = [entry(key=f"a/{i}") for i in range(10)]
    with pytest.raises(BadData, match="leaks 10 pairs") as caught:
        check_leaks(both, both)
    assert str(caught.value).count(" and a/") == 3
