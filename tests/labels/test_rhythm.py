"""Marks and statements name kinds of rhythm, and none where they name none or several."""

from typing import get_args

import pytest

from fascicle.labels import (
    SNOMED,
    RhythmKind,
    cinc_codes,
    rhythm_classes,
    rhythm_kinds,
    rhythm_mark,
    rhythms,
    said_rhythm,
)
from fascicle.labels.sources import rows

SINUS, BRADYCARDIA, AF, FLUTTER = "426783006", "426177001", "164889003", "164890007"


def test_marks_have_a_kind_or_name_ectopy_alone() -> None:
    kinds = rhythm_kinds()
    assert list(kinds) == [term.code for term in rhythms().terms]
    assert len(kinds) == 15
    assert {mark for mark, kind in kinds.items() if kind is None} == {"AB", "B", "T"}
    assert {kind for kind in kinds.values() if kind} == set(get_args(RhythmKind))
    wanted = {"N": "sinus", "SBR": "sinus", "AFIB": "AF", "AFL": "flutter", "SVTA": "SVT"}
    wanted |= {"VT": "VT", "P": "paced", "PREX": "sinus", "BII": "other"}
    assert {mark: kinds[mark] for mark in wanted} == wanted


def test_classes_are_the_kinds() -> None:
    assert tuple(term.code for term in rhythm_classes().terms) == get_args(RhythmKind)


@pytest.mark.parametrize("kind", ["sinus", "AF", "flutter", "SVT", "VT", "paced"])
def test_a_kind_and_its_mark_are_a_pair(kind: str) -> None:
    assert rhythm_kinds()[rhythm_mark(kind)] == kind


def test_kinds_without_a_mark_of_mit_bih_get_one_that_it_does_not_have() -> None:
    assert rhythm_mark("other") == "OTHER"
    assert rhythm_mark("") == rhythm_mark("no such kind") == "UNKNOWN"
    assert not {"OTHER", "UNKNOWN"} & set(rhythm_kinds())


def test_a_statement_names_one_kind_or_none() -> None:
    def said(*codes: str) -> str | None:
        return said_rhythm({SNOMED: frozenset(codes)})

    assert said(AF) == said(AF, "39732003") == "AF"
    assert said(SINUS, BRADYCARDIA) == "sinus"
    assert said(AF, SINUS) is said(AF, FLUTTER) is said("39732003") is said() is None
    assert said_rhythm({}) is said_rhythm({"SCP-ECG": frozenset({"AFIB"})}) is None


def test_statements_are_codes_of_the_challenge_with_known_kinds() -> None:
    table = rows("rhythm_statements")
    names = {term.code: term.name for term in cinc_codes().terms}
    assert len({row["snomed"] for row in table}) == len(table)
    for row in table:
        assert names[row["snomed"]].lower() == row["name"]
        assert row["kind"] in get_args(RhythmKind)
