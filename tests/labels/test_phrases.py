"""The tables of phrases: what a pattern means, and refusals that name the row."""

from __future__ import annotations

from pathlib import Path

import pytest

from fascicle.errors import BadFile
from fascicle.labels import scp_statements
from fascicle.labels.phrases import compile_pattern, fold, read_rules
from fascicle.labels.text import read_report

PHRASES = "code,language,pattern,note\n"
MODIFIERS = "kind,language,position,pattern,note\n"


def matches(pattern: str, text: str) -> bool:
    return compile_pattern(pattern).search(fold(text)[0]) is not None


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("lvh", "LVH.", "LVHX"),
        ("infarkt*", "Infarkte", "Vorderinfarkt"),
        ("grade #", "Grade 12", "grade x"),
        ("(old |)infarct", "infarct", "older"),
        ("a ... b", "a 1 2, 3 4 b", "a 1 2 3 4 5 b"),
        ("a ... b", "a b", "a. b"),
        ("links ant. block", "links ant. block", "links anterior block"),
        ("v.a.", "V.a. etwas", "va."),
        ("st-t", "ST-T", "stt"),
        ("flimmern/-flattern", "flimmern / flattern", "flimmern flattern"),
        ("für", "fuer", "fur"),
        ("?", "LVH?", "LVH"),
    ],
)
def test_the_signs_of_a_pattern(pattern: str, matching: str, other: str) -> None:
    assert matches(pattern, matching)
    assert not matches(pattern, other)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a[b]", r"'\[' has no meaning"),
        ("a+", r"'\+' has no meaning"),
        ("(a|b", "brackets are not in pairs"),
        ("a)", "brackets are not in pairs"),
        ("*", "no word that must be there"),
        ("(lvh|)", "no word that must be there"),
        ("", "no word that must be there"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compile_pattern(pattern)


def test_the_shipped_tables_speak_of_all_statements() -> None:
    stated = {code for rule in read_rules() for code, _ in rule.codes}
    assert stated == {term.code for term in scp_statements().terms}


def test_an_own_table_takes_the_place_of_the_shipped(tmp_path: Path) -> None:
    phrases = tmp_path / "phrases.csv"
    phrases.write_text(PHRASES + "LVH|ISC_?,en,big heart,ours\n", encoding="utf-8-sig")
    rules = read_rules(phrases)
    assert read_report("no big heart. LVH", rules).statuses == {"LVH": "absent", "ISC_": "possible"}
    modifiers = tmp_path / "modifiers.csv"
    modifiers.write_text(MODIFIERS + "negation,en,after,my foot,\n")
    assert read_report("no big heart", read_rules(phrases, modifiers)).statuses["LVH"] == "present"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("LVHH,en,lvh,", "row 3: 'LVHH' is none of the 71 SCP-ECG statements"),
        ("LVH|XX?,en,lvh,", "row 3: 'XX' is none"),
        ("LVH,sv,lvh,", "row 3: language 'sv'"),
        ("LVH,en,l[vh,", r"row 3: pattern 'l\[vh': the sign '\['"),
        ("LVH,en,(lvh,", r"row 3: pattern '\(lvh': brackets"),
        ("LVH,en,,", "row 3: pattern '': it has no word"),
        ("LVH,en,Sinus Rhythm,", "row 3: the pattern 'Sinus Rhythm' stands in .* row 2 too"),
        ("LVH,en,lvh", "row 3: expected 4 cells"),
        ("LVH,en,lvh, rvh,note", "row 3: expected 4 cells; quote"),
    ],
)
def test_a_bad_row_of_phrases_is_named(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "phrases.csv"
    path.write_text(PHRASES + "SR,en,sinus rhythm,\n" + row + "\n")
    with pytest.raises(BadFile, match=reason):
        read_rules(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("denial,en,before,no,", "row 2: kind 'denial' is none of negation, hedge, or, and"),
        ("phrase,en,,lvh,", "row 2: kind 'phrase' is none"),
        ("negation,en,,no,", "row 2: the position of 'negation' must be before or after, not ''"),
        ("stop,en,before,but,", "row 2: the position of 'stop' must be empty"),
        ("hedge,en,before,(may,", "row 2: pattern"),
    ],
)
def test_a_bad_row_of_modifiers_is_named(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "modifiers.csv"
    path.write_text(MODIFIERS + row + "\n")
    with pytest.raises(BadFile, match=reason):
        read_rules(None, path)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"gone\.csv: cannot be read"):
        read_rules(tmp_path / "gone.csv")
    path = tmp_path / "phrases.csv"
    path.write_text("code,pattern\n")
    with pytest.raises(BadFile, match="no 'language'"):
        read_rules(path)
    path.write_bytes("code,language,pattern,note\nLVH,de,fü,\n".encode("latin-1"))
    with pytest.raises(BadFile, match="UTF-8"):
        read_rules(path.rename(tmp_path / "latin.csv"))
