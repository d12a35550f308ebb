import json
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fascicle.errors import BadBundle, BadRequest
from fascicle.labels import Term, Vocabulary, join, select

AF = Term("SNOMED-CT", "164889003", "atrial fibrillation")
PVC = Term("SNOMED-CT", "427172004", "premature ventricular contractions")
NORM = Term("SCP-ECG", "NORM", "normal ECG")
HEALTHY = Term("PTB-XL superclass", "NORM", "normal ECG")
MIXED = Vocabulary((AF, NORM, PVC, HEALTHY), {("SNOMED-CT", "17338001"): "427172004"})


def test_encode_sets_one_per_code_and_knows_only_the_systems_given() -> None:
    target, known = MIXED.encode({"SNOMED-CT": {"427172004"}, "SCP-ECG": ["NORM"]})
    assert target.tolist() == [0, 1, 1, 0]
    assert known.tolist() == [True, True, True, False]
    assert target.dtype == np.float32
    assert known.dtype == np.bool_


def test_encode_counts_a_merged_code_as_its_class_once() -> None:
    target, _ = MIXED.encode({"SNOMED-CT": {"427172004", "17338001"}})
    assert target.tolist() == [0, 0, 1, 0]
    assert MIXED.encode({"SNOMED-CT": {"17338001"}})[0].tolist() == [0, 0, 1, 0]


def test_encode_tells_nothing_holds_from_nothing_known() -> None:
    assert MIXED.encode({"SNOMED-CT": frozenset()})[1].tolist() == [True, False, True, False]
    assert MIXED.encode({})[1].tolist() == [False] * 4


def test_encode_leaves_out_codes_that_are_no_class() -> None:
    target, known = MIXED.encode({"SNOMED-CT": {"55930002"}, "LUDB": {"sinus rhythm"}})
    assert target.sum() == 0
    assert known.tolist() == [True, False, True, False]


def test_encode_does_not_take_a_code_of_another_system() -> None:
    assert MIXED.encode({"PTB-XL superclass": {"NORM"}})[0].tolist() == [0, 0, 0, 1]


def test_encode_refuses_a_text_where_codes_belong() -> None:
    with pytest.raises(TypeError, match="not a set of codes"):
        MIXED.encode({"SCP-ECG": "NORM"})


def test_decode_has_every_system_and_the_kept_codes() -> None:
    assert MIXED.decode(np.array([False, True, True, False])) == {
        "SNOMED-CT": {"427172004"},
        "SCP-ECG": {"NORM"},
        "PTB-XL superclass": frozenset(),
    }


@given(st.lists(st.booleans(), min_size=4, max_size=4))
def test_encode_undoes_decode(present: list[bool]) -> None:
    target, known = MIXED.encode(MIXED.decode(np.array(present)))
    assert known.all()
    assert target.astype(bool).tolist() == present


@pytest.mark.parametrize(
    "present", [np.zeros(3, dtype=bool), np.zeros(4), np.zeros((1, 4), dtype=bool)]
)
def test_decode_refuses_other_shapes_and_probabilities(present: Any) -> None:
    with pytest.raises(ValueError, match="expected bool of shape"):
        MIXED.decode(present)


def test_index_finds_terms_and_merged_codes() -> None:
    assert [MIXED.index(term.system, term.code) for term in MIXED.terms] == [0, 1, 2, 3]
    assert MIXED.index("SNOMED-CT", "17338001") == 2


@pytest.mark.parametrize(
    ("system", "code"), [("SNOMED-CT", "NORM"), ("LUDB", "NORM"), ("SNOMED-CT", "")]
)
def test_index_refuses_unknown_codes_and_names_the_known(system: str, code: str) -> None:
    known = "164889003, 427172004" if system == "SNOMED-CT" else "none"
    with pytest.raises(BadRequest, match=f"known: {known}"):
        MIXED.index(system, code)


def test_a_vocabulary_refuses_a_code_twice() -> None:
    with pytest.raises(ValueError, match="164889003"):
        Vocabulary((AF, Term(AF.system, AF.code, "another name")))


@pytest.mark.parametrize(
    "merged",
    [
        {("SNOMED-CT", "1"): "2"},
        {("SCP-ECG", "1"): AF.code},
        {("SNOMED-CT", PVC.code): AF.code},
    ],
)
def test_a_vocabulary_refuses_merging_that_makes_no_sense(
    merged: Mapping[tuple[str, str], str],
) -> None:
    with pytest.raises(ValueError, match="counts as"):
        Vocabulary((AF, PVC), merged)


def test_a_vocabulary_does_not_follow_changes_of_what_it_was_made_from() -> None:
    merged = {("SNOMED-CT", "17338001"): PVC.code}
    vocabulary = Vocabulary((PVC,), merged)
    merged["SNOMED-CT", "1"] = PVC.code
    assert len(vocabulary.merged) == 1
    with pytest.raises(TypeError):
        vocabulary.merged["SNOMED-CT", "1"] = PVC.code  # type: ignore[index]


def test_it_survives_json_pickle_and_being_a_key() -> None:
    assert Vocabulary.from_dict(json.loads(json.dumps(MIXED.to_dict()))) == MIXED
    assert pickle.loads(pickle.dumps(MIXED)) == MIXED
    assert {MIXED: 1}[Vocabulary(MIXED.terms, dict(MIXED.merged))] == 1


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"terms": []},
        {"terms": [{"system": "a", "code": "b"}], "merged": []},
        {"terms": [{"system": "a", "code": 7, "name": "c"}], "merged": []},
        {"terms": ["text"], "merged": []},
        {"terms": 3, "merged": []},
        {"terms": [], "merged": [{"system": "a", "equivalent": "b", "code": "c"}]},
        {"terms": [{"system": "a", "code": "b", "name": "c"}] * 2, "merged": []},
        [],
    ],
)
def test_from_dict_refuses_what_is_no_vocabulary(stored: Any) -> None:
    with pytest.raises(BadBundle, match="not a stored vocabulary"):
        Vocabulary.from_dict(stored)


def test_select_keeps_the_order_asked_for_and_what_is_merged() -> None:
    picked = select(MIXED, ["427172004", ("PTB-XL superclass", "NORM")])
    assert picked == Vocabulary((PVC, HEALTHY), MIXED.merged)
    assert select(MIXED, [AF.code]).merged == {}
    assert select(MIXED, []) == Vocabulary(())


def test_select_takes_a_merged_code_for_its_class() -> None:
    assert select(MIXED, ["17338001"]).terms == (PVC,)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (["NORM"], "SCP-ECG and PTB-XL superclass"),
        (["999"], "no system here"),
        ([("SCP-ECG", "999")], "known: NORM"),
        (["427172004", "17338001"], "a second time"),
    ],
)
def test_select_refuses_codes_that_are_ambiguous_unknown_or_double(
    codes: list[str | tuple[str, str]], said: str
) -> None:
    with pytest.raises(BadRequest, match=said):
        select(MIXED, codes)


def test_select_refuses_one_text() -> None:
    with pytest.raises(TypeError, match="several codes"):
        select(MIXED, "NORM")


def test_join_appends_classes_and_merged_codes() -> None:
    left = Vocabulary((AF,), {("SNOMED-CT", "1"): AF.code})
    right = Vocabulary((NORM, PVC), MIXED.merged)
    both = join(left, right)
    assert both.terms == (AF, NORM, PVC)
    assert both.merged == {**left.merged, **right.merged}
    assert both.systems == ("SNOMED-CT", "SCP-ECG")
    assert join() == Vocabulary(())


def test_join_refuses_the_same_class_twice_and_merging_two_ways() -> None:
    with pytest.raises(ValueError, match="repeat"):
        join(Vocabulary((AF,)), MIXED)
    one = Vocabulary((AF,), {("SNOMED-CT", "1"): AF.code})
    other = Vocabulary((PVC,), {("SNOMED-CT", "1"): PVC.code})
    with pytest.raises(ValueError, match="counts as"):
        join(one, other)
