import subprocess
import sys
from typing import get_args

import numpy as np
import pytest

from fascicle import record
from fascicle.errors import BadRequest
from fascicle.labels import (
    aami_classes,
    aami_kind,
    challenge_classes,
    challenge_weights,
    cinc_codes,
    ludb_codes,
    ludb_diagnoses,
    rhythms,
    scp_statements,
    superclass_of,
    superclasses,
)
from fascicle.labels.sources import BeatKind, rows


def test_challenge_classes_are_the_official_26_with_four_merged_pairs() -> None:
    vocabulary = challenge_classes()
    assert len(vocabulary) == 26
    assert [term.code for term in vocabulary.terms[:5]] == [
        "164889003",
        "164890007",
        "6374002",
        "426627000",
        "733534002",
    ]
    assert vocabulary.terms[-1].name == "t wave inversion"
    assert {code: kept for (_, code), kept in vocabulary.merged.items()} == {
        "164909002": "733534002",
        "59118001": "713427006",
        "63593006": "284470004",
        "17338001": "427172004",
    }


def test_challenge_classes_and_merged_codes_are_the_30_scored_codes() -> None:
    vocabulary = challenge_classes()
    codes = [term.code for term in vocabulary.terms] + [code for _, code in vocabulary.merged]
    assert sorted(codes) == sorted(row["SNOMEDCTCode"] for row in rows("challenge_scored"))


def test_challenge_weights_are_the_published_rewards() -> None:
    weights = challenge_weights()
    assert weights.shape == (26, 26)
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights, weights.T)
    np.testing.assert_array_equal(np.diag(weights), 1.0)
    place = challenge_classes().index
    flutter, sinus = place("SNOMED-CT", "164890007"), place("SNOMED-CT", "426783006")
    q_wave, pac = place("SNOMED-CT", "164917005"), place("SNOMED-CT", "63593006")
    assert weights[0, flutter] == 0.5
    assert weights[sinus, q_wave] == 0.15
    assert weights[pac, sinus] == 0.4125


def test_weights_belong_to_the_caller() -> None:
    challenge_weights()[:] = 0
    assert challenge_weights()[0, 0] == 1


def test_cinc_codes_are_all_133_unmerged_with_clean_names() -> None:
    vocabulary = cinc_codes()
    assert len(vocabulary) == 133
    assert not vocabulary.merged
    assert vocabulary.index("SNOMED-CT", "164909002") == 10
    assert all(term.name == " ".join(term.name.split()) for term in vocabulary.terms)
    assert all(term.code.isdigit() and term.name for term in vocabulary.terms)


def test_scp_statements_are_71_with_the_superclasses_of_the_table() -> None:
    statements = scp_statements()
    assert len(statements) == 71
    assert statements.terms[statements.index("SCP-ECG", "1AVB")].name == "first degree AV block"
    found = [superclass_of(term.code) for term in statements.terms]
    assert len([name for name in found if name is not None]) == 44
    counts = {term.code: found.count(term.code) for term in superclasses().terms}
    assert counts == {"NORM": 1, "MI": 14, "STTC": 13, "CD": 11, "HYP": 5}


@pytest.mark.parametrize(
    ("code", "superclass"),
    [("NORM", "NORM"), ("INJAS", "MI"), ("LNGQT", "STTC"), ("WPW", "CD"), ("LVH", "HYP")],
)
def test_superclass_of_diagnostic_statements(code: str, superclass: str) -> None:
    assert superclass_of(code) == superclass


@pytest.mark.parametrize("code", ["SR", "AFIB", "PVC", "LVOLT", "VCLVH"])
def test_statements_of_form_and_rhythm_have_no_superclass(code: str) -> None:
    assert superclass_of(code) is None


@pytest.mark.parametrize("code", ["", "norm", "CD", "SR "])
def test_superclass_of_refuses_what_is_no_statement(code: str) -> None:
    with pytest.raises(BadRequest, match="none of PTB-XL's"):
        superclass_of(code)


def test_aami_kinds_are_those_of_the_standard() -> None:
    expected = {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"}
    found = {
        kind: {chr(code) for code in range(33, 127) if aami_kind(chr(code)) == kind}
        for kind in expected
    }
    assert found == {kind: set(symbols) for kind, symbols in expected.items()}


@pytest.mark.parametrize("symbol", ["+", "~", "|", "x", "!", '"', "[", "]", "", "NN", "?"])
def test_other_symbols_are_no_beats(symbol: str) -> None:
    assert aami_kind(symbol) is None


def test_beat_kinds_are_those_of_the_record() -> None:
    assert get_args(BeatKind) == get_args(record.BeatKind)
    assert tuple(term.code for term in aami_classes().terms) == record.BEAT_KINDS


def test_ludb_codes_are_the_same_from_the_table_and_from_a_header() -> None:
    table = ["Sinus bradycardia", "I degree av block\nLeft atrial hypertrophy\n", "", "\n"]
    header = ["Rhythm: Sinus bradycardia.", " I degree AV block. ", "Left atrial  hypertrophy. "]
    expected = {"sinus bradycardia", "i degree av block", "left atrial hypertrophy"}
    assert ludb_codes(table) == ludb_codes(header) == expected
    assert ludb_codes([]) == frozenset()


def test_ludb_codes_of_the_vocabulary_are_stable_and_encode() -> None:
    vocabulary = ludb_diagnoses()
    names = [term.name for term in vocabulary.terms]
    assert len(names) == 83
    target, _ = vocabulary.encode({"LUDB": ludb_codes(names)})
    assert target.all()
    assert ludb_codes(term.code for term in vocabulary.terms) == ludb_codes(names)


def test_a_ludb_statement_that_we_do_not_know_keeps_its_words() -> None:
    assert ludb_codes(["Brugada pattern."]) == {"brugada pattern"}


def test_every_name_is_there_and_no_table_has_ragged_rows() -> None:
    for vocabulary in (superclasses(), aami_classes(), rhythms(), ludb_diagnoses()):
        assert all(term.code and term.name for term in vocabulary.terms)
    for table in (
        "aami_classes",
        "challenge_scored",
        "challenge_unscored",
        "heart_axis_to_snomed",
        "ludb_diagnoses",
        "mit_bih_beats",
        "mit_bih_rhythms",
        "scp_statements",
        "scp_to_snomed",
        "superclasses",
    ):
        found = rows(table)
        assert found
        assert all(None not in row and None not in row.values() for row in found), table


def test_tables_are_read_when_asked_for_and_heavy_libraries_never() -> None:
    script = (
        "import sys, builtins, fascicle.labels as labels\n"
        "from fascicle.labels import sources\n"
        "assert labels.challenge_classes.cache_info().currsize == 0\n"
        "labels.scp_statements()\n"
        "heavy = {'torch', 'pandas', 'scipy', 'wfdb'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
