"""Rewritten rhythm labels: each row of the table, the way back, and logits that decide alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fascicle.labels import (
    REWRITTEN,
    SCP,
    SNOMED,
    Term,
    Vocabulary,
    challenge_classes,
    cinc_codes,
    restore,
    restore_logits,
    rewrite,
    rewritten,
    select,
)
from fascicle.labels.sources import rows

SINUS, SLOW, AF, LAD, FAST = "426783006", "426177001", "164889003", "39732003", "427084000"
HEALTHY, ILL = {"sinus rhythm", "healthy"}, {"sinus rhythm", "pathological"}
code_sets = st.frozensets(st.sampled_from([t.code for t in cinc_codes().terms]), max_size=5)


@pytest.mark.parametrize(
    ("codes", "left", "terms", "back"),
    [
        ({SINUS}, set(), HEALTHY, {SINUS}),
        ({SINUS, LAD}, {LAD}, ILL, {SINUS, LAD}),
        ({SINUS, AF}, {AF}, ILL, {SINUS, AF}),
        ({SLOW}, set(), ILL | {"bradycardia"}, {SLOW}),
        ({SLOW, LAD}, {LAD}, ILL | {"bradycardia"}, {SLOW, LAD}),
        ({SLOW, SINUS}, set(), ILL | {"bradycardia"}, {SLOW}),
        ({LAD}, {LAD}, ILL, {SINUS, LAD}),
        ({AF}, {AF}, set(), {AF}),
        ({FAST, LAD}, {FAST, LAD}, set(), {FAST, LAD}),
        (set(), set(), set(), set()),
    ],
)
def test_each_kind_of_record(
    codes: set[str], left: set[str], terms: set[str], back: set[str]
) -> None:
    made = rewrite({SNOMED: codes, SCP: {"NORM"}})
    assert made == {SNOMED: left, REWRITTEN: terms, SCP: {"NORM"}}
    assert restore(made) == {SNOMED: back, SCP: {"NORM"}}


def test_what_is_unknown_stays_unknown() -> None:
    assert rewrite({SCP: {"SR"}}) == restore({SCP: {"SR"}}) == {SCP: {"SR"}}


def test_the_table_names_codes_of_the_challenge_as_it_does() -> None:
    names = {term.code: term.name for term in cinc_codes().terms}
    for row in rows("label_rewriting"):
        assert row["when"] in {"alone", "beside others", "always", "no rhythm", "stays"}
        assert (row["code"] == "") == (row["when"] == "no rhythm")
        assert (row["becomes"] == "") == (row["when"] == "stays")
        if row["code"]:
            assert names[row["code"]] == row["name"]


@given(code_sets)
def test_the_way_back_changes_nothing_but_sinus_rhythm(codes: frozenset[str]) -> None:
    made = rewrite({SNOMED: codes})
    back = restore(made)[SNOMED]
    assert back ^ codes <= {SINUS}
    if SINUS in codes and SLOW not in codes:
        assert back == codes
    assert rewrite({SNOMED: back}) == made


@given(code_sets)
def test_logits_decide_as_the_labels_do(codes: frozenset[str]) -> None:
    classes = challenge_classes()
    taught = rewritten(classes)
    made = rewrite({SNOMED: codes})
    target, known = taught.encode(made)
    assert known.all()
    logits = restore_logits(np.stack([8 * target - 4, 4 - 8 * target]), classes)
    assert logits.shape == (2, 26)
    expected, _ = classes.encode(restore(made))
    assert ((logits[0] > 0) == (expected > 0)).all()
    assert (np.abs(logits) == 4).all()


def test_the_least_sure_part_decides() -> None:
    classes = select(challenge_classes(), [SINUS, LAD, SLOW])
    taught = [term.code for term in rewritten(classes).terms]
    assert taught == [LAD, "sinus rhythm", "healthy", "pathological", "bradycardia"]
    logits = np.array([0.5, 2.0, -7.0, 9.0, -1.0], dtype=np.float32)
    assert restore_logits(logits, classes).tolist() == [1.0, 0.5, -1.0]


def test_classes_that_are_not_there_are_not_asked() -> None:
    slow = select(challenge_classes(), [SLOW])
    assert [t.code for t in rewritten(slow).terms] == [
        "sinus rhythm", "bradycardia", "pathological",
    ]  # fmt: skip
    normal = select(challenge_classes(), [SINUS, AF])
    assert [t.code for t in rewritten(normal).terms] == [
        AF,
        *("sinus rhythm", "healthy"),
        "pathological",
    ]
    logits = np.array([3.0, -2.0, 1.0, 1.0])
    assert restore_logits(logits, normal).tolist() == [-2.0, 3.0]
    others = Vocabulary((Term(SCP, SINUS, "another system"), Term(SNOMED, AF, "AF")))
    assert rewritten(others) == others


def test_merged_codes_stay_merged() -> None:
    taught = rewritten(challenge_classes())
    assert taught.merged == challenge_classes().merged
    assert len(taught) == 26 - 2 + 4
