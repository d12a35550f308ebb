import pytest

from fascicle.errors import BadRequest
from fascicle.labels import (
    AAMI,
    HEART_AXIS,
    LUDB,
    MIT_BEAT,
    MIT_RHYTHM,
    SCP,
    SNOMED,
    SUPERCLASS,
    Vocabulary,
    aami_classes,
    aami_kind,
    challenge_classes,
    challenge_conversion,
    cinc_codes,
    crosswalk,
    ludb_diagnoses,
    rhythms,
    scp_statements,
    superclass_of,
    superclasses,
    translate,
)
from fascicle.labels.sources import rows

WAYS = [
    (SCP, SNOMED, scp_statements, cinc_codes),
    (SCP, SUPERCLASS, scp_statements, superclasses),
    (MIT_RHYTHM, SNOMED, rhythms, cinc_codes),
    (LUDB, SNOMED, ludb_diagnoses, cinc_codes),
]


def _codes(vocabulary: Vocabulary) -> set[str]:
    return {term.code for term in vocabulary.terms}


@pytest.mark.parametrize(("source", "target", "sources", "targets"), WAYS)
def test_a_crosswalk_goes_from_known_codes_to_known_codes(
    source: str, target: str, sources: object, targets: object
) -> None:
    assert callable(sources)
    assert callable(targets)
    table = crosswalk(source, target)
    assert table
    assert set(table) <= _codes(sources())
    for codes in table.values():
        assert codes
        assert len(set(codes)) == len(codes)
        assert set(codes) <= _codes(targets())


# The classes that the foundation issue asks for, each from the statement that means it.
SCORED = [
    ("SR", "426783006"),
    ("NORM", "426783006"),
    ("SBRAD", "426177001"),
    ("STACH", "427084000"),
    ("SARRH", "427393009"),
    ("AFIB", "164889003"),
    ("AFLT", "164890007"),
    ("1AVB", "270492004"),
    ("LPR", "164947007"),
    ("LNGQT", "111975006"),
    ("IRBBB", "713426002"),
    ("CRBBB", "713427006"),
    ("CLBBB", "733534002"),
    ("LAFB", "445118002"),
    ("IVCD", "698252002"),
    ("PVC", "427172004"),
    ("PAC", "284470004"),
    ("QWAVE", "164917005"),
    ("NDT", "164934002"),
    ("INVT", "59931005"),
    ("LVOLT", "251146004"),
    ("PACE", "10370003"),
]


@pytest.mark.parametrize(("statement", "code"), SCORED)
def test_scp_statements_reach_the_scored_classes(statement: str, code: str) -> None:
    assert crosswalk(SCP, SNOMED)[statement] == (code,)


def test_scored_classes_that_ptb_xl_cannot_express_are_these() -> None:
    reached = {code for codes in crosswalk(SCP, SNOMED).values() for code in codes}
    reached |= {code for codes in crosswalk(HEART_AXIS, SNOMED).values() for code in codes}
    missing = {term.code for term in challenge_classes().terms} - reached
    assert missing == {"6374002", "426627000", "365413008"}  # BBB, Brady, PRWP


@pytest.mark.parametrize("axis", ["LAD", "ALAD"])
def test_left_and_right_axes(axis: str) -> None:
    assert crosswalk(HEART_AXIS, SNOMED)[axis] == ("39732003",)
    assert crosswalk(HEART_AXIS, SNOMED)[axis.replace("L", "R", 1)] == ("47665007",)
    assert "MID" not in crosswalk(HEART_AXIS, SNOMED)


def test_every_statement_has_a_row_in_the_table_even_without_a_counterpart() -> None:
    assert {row["scp"] for row in rows("scp_to_snomed")} == _codes(scp_statements())
    assert "SVARR" not in crosswalk(SCP, SNOMED)


def test_superclasses_agree_with_superclass_of() -> None:
    table = crosswalk(SCP, SUPERCLASS)
    for code in _codes(scp_statements()):
        assert (table[code][0] if code in table else None) == superclass_of(code)


def test_beats_agree_with_aami_kind() -> None:
    table = crosswalk(MIT_BEAT, AAMI)
    assert len(table) == 15
    assert {kinds[0] for kinds in table.values()} == _codes(aami_classes())
    assert all(kinds == (aami_kind(symbol),) for symbol, kinds in table.items())


def test_ludb_statements_reach_what_they_say() -> None:
    table = crosswalk(LUDB, SNOMED)
    assert table["iii degree av-block"] == ("27885002",)
    assert set(table["ventricular extrasystole, type: couplet"]) == {"427172004", "251182009"}
    assert "electric axis of the heart: normal" not in table
    assert "pacemaker presence, undefined" not in table


def test_the_challenge_converted_every_code_that_it_counts_in_ptb_xl_and_no_other() -> None:
    counted = {
        row["SNOMEDCTCode"]
        for table in ("challenge_scored", "challenge_unscored")
        for row in rows(table)
        if int(row["PTB_XL"]) > 0
    }
    assert {code for codes in challenge_conversion().values() for code in codes} == counted


def test_our_crosswalk_differs_from_the_challenge_only_where_the_docs_say() -> None:
    ours = {**crosswalk(SCP, SNOMED), **crosswalk(HEART_AXIS, SNOMED)}
    theirs = challenge_conversion()
    differing = {key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}
    assert differing == {
        *("PVC", "PRC(S)", "CLBBB", "SVARR", "BIGU", "TRIGU", "HVOLT", "VCLVH"),
        *("DIG", "EL", "ANEUR", "AXL", "AXR", "SAG"),
    }


def test_translate_joins_the_codes_and_drops_those_without_a_counterpart() -> None:
    assert translate(["NORM", "SR", "AFIB", "SVARR"], SCP, SNOMED) == {"426783006", "164889003"}
    assert translate([], SCP, SNOMED) == frozenset()


@pytest.mark.parametrize(("source", "target"), [(SNOMED, SCP), (SCP, SCP), ("scp", SNOMED)])
def test_crosswalk_refuses_ways_that_are_not_there(source: str, target: str) -> None:
    with pytest.raises(BadRequest, match="SCP-ECG to SNOMED-CT"):
        crosswalk(source, target)


def test_crosswalks_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(TypeError):
        crosswalk(SCP, SNOMED)["SR"] = ()  # type: ignore[index]
