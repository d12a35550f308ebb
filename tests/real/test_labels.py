"""The vocabularies and crosswalks against the records of the four public sets.

`pytest tests/real/test_labels.py -s` prints the agreement of the crosswalk for each class.
"""

from __future__ import annotations

import ast
import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fascicle.labels import (
    HEART_AXIS,
    SCP,
    SINUS_RHYTHM,
    SNOMED,
    aami_kind,
    challenge_classes,
    challenge_conversion,
    challenge_weights,
    cinc_codes,
    ludb_codes,
    ludb_diagnoses,
    restore,
    rewrite,
    rhythm_kinds,
    scp_statements,
    superclass_of,
    translate,
)
from fascicle.labels.sources import rows
from fascicle.metrics.challenge import challenge_score

RECORDS_OF_PTB_XL = 21837  # the release that the Challenge took
DS1 = "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230"
DS2 = "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232 233 234"
NOT_BEATS = set('+~|x!"[]')
RATE_RHYTHMS = {"SBRAD", "STACH", "SARRH"}


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def ptbxl(data_dir: Path) -> dict[int, set[str]]:
    """Statements and heart axis of every PTB-XL record that is here."""
    return {
        int(row["ecg_id"]): {*ast.literal_eval(row["scp_codes"]), row["heart_axis"]} - {""}
        for row in _table(data_dir / "ptbxl" / "ptbxl_database.csv")
    }


@pytest.fixture(scope="module")
def challenge(data_dir: Path) -> dict[str, set[str]]:
    """Codes of every Challenge record that is here."""
    found = {}
    for path in sorted((data_dir / "cinc2021").glob("*/*.hea")):
        comments = [line.lstrip("# ") for line in path.read_text().splitlines() if line[:1] == "#"]
        stated = next(line for line in comments if line.startswith("Dx:"))
        found[path.stem] = {code.strip() for code in stated[3:].split(",") if code.strip()}
    return found


def _annotations(path: Path) -> tuple[list[str], list[str]]:
    import wfdb  # warns as it is imported beside a late pandas: see the marks below

    found = wfdb.rdann(str(path.with_suffix("")), "atr")
    return found.symbol, found.aux_note


def _converted(statements: set[str]) -> set[str]:
    table = challenge_conversion()
    return {code for statement in statements for code in table.get(statement, ())}


def test_our_scp_table_is_the_published_one(data_dir: Path) -> None:
    assert rows("scp_statements") == _table(data_dir / "ptbxl" / "scp_statements.csv")


def test_every_statement_in_ptb_xl_is_known(ptbxl: dict[int, set[str]]) -> None:
    axes = {row["heart_axis"] for row in rows("heart_axis_to_snomed")}
    used = set().union(*ptbxl.values())
    assert used - axes <= {term.code for term in scp_statements().terms}
    assert "MI" in {superclass_of(code) for code in used - axes}


def test_every_code_of_the_challenge_records_is_known(challenge: dict[str, set[str]]) -> None:
    assert len(challenge) > 50
    assert set().union(*challenge.values()) <= {term.code for term in cinc_codes().terms}


def test_records_in_both_sets_agree_with_the_conversion(
    ptbxl: dict[int, set[str]], challenge: dict[str, set[str]]
) -> None:
    """Also every other HR record holds only codes that the conversion can give."""
    ours = {name: codes for name, codes in challenge.items() if name.startswith("HR")}
    possible = {code for codes in challenge_conversion().values() for code in codes}
    assert set().union(*ours.values()) <= possible
    shared = {name: int(name[2:]) for name in ours if int(name[2:]) in ptbxl}
    agreeing = [name for name, number in shared.items() if _converted(ptbxl[number]) == ours[name]]
    sys.stdout.write(f"\n{len(ours)} HR records, {len(shared)} here, {len(agreeing)} agree\n")
    assert shared
    assert agreeing == list(shared)


def test_a_normal_ecg_is_what_gives_sinus_rhythm_beside_a_rate(
    ptbxl: dict[int, set[str]], challenge: dict[str, set[str]]
) -> None:
    """SR excludes the rate rhythms in PTB-XL, yet the Challenge pairs them: NORM does that."""
    with_sinus = [found for found in ptbxl.values() if "SR" in found]
    assert sum(bool(found & RATE_RHYTHMS) for found in with_sinus) <= len(with_sinus) / 1000
    rates = {code for name in RATE_RHYTHMS for code in challenge_conversion()[name]}
    paired = [
        name
        for name, codes in challenge.items()
        if name.startswith("HR") and "426783006" in codes and codes & rates
    ]
    assert len(paired) >= 3


def test_the_share_of_each_converted_class_is_the_challenges(ptbxl: dict[int, set[str]]) -> None:
    """PTB-XL's records here are an eighth of all and not a random one, so shares only resemble."""
    here = Counter(code for found in ptbxl.values() for code in _converted(found))
    lines = ["", "class     Challenge  expected   here  ratio"]
    unlike = []
    for row in rows("challenge_scored") + rows("challenge_unscored"):
        expected = int(row["PTB_XL"]) * len(ptbxl) / RECORDS_OF_PTB_XL
        count = here[row["SNOMEDCTCode"]]
        if expected == 0:
            assert count == 0, row
            continue
        name = row["Abbreviation"]
        ratio = count / expected
        lines.append(f"{name:8} {row['PTB_XL']:>10} {expected:9.1f} {count:6} {ratio:6.2f}")
        if expected >= 12 and not 2 / 3 <= ratio <= 3 / 2:
            unlike.append(name)
    sys.stdout.write("\n".join(lines) + "\n")
    # 118 records of all have a long QT, so 14 are expected here; 8 is within two deviations.
    assert set(unlike) <= {"LQT"}


def test_ludb_headers_and_table_state_the_same_known_codes(data_dir: Path) -> None:
    known = {term.code for term in ludb_diagnoses().terms}
    only_in_table: set[str] = set()
    for row in _table(data_dir / "ludb" / "ludb.csv"):
        cells = [text for column, text in row.items() if column not in {"ID", "Sex", "Age"}]
        path = data_dir / "ludb" / "data" / f"{row['ID']}.hea"
        comments = [line[1:] for line in path.read_text().splitlines() if line[:1] == "#"]
        stated = ludb_codes(line for line in comments if not line.startswith("<"))
        assert stated <= ludb_codes(cells) <= known, path.stem
        only_in_table |= ludb_codes(cells) - stated
    # LUDB's own headers leave this one out.
    assert only_in_table == {"pacemaker presence, undefined"}


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_mit_bih_symbols_give_the_known_counts_of_beats(data_dir: Path) -> None:
    counts: dict[str, Counter[str]] = {}
    for split, names in (("DS1", DS1), ("DS2", DS2)):
        symbols: list[str] = []
        for name in names.split():
            symbols += _annotations(data_dir / "mitdb" / f"{name}.atr")[0]
        assert {symbol for symbol in symbols if aami_kind(symbol) is None} <= NOT_BEATS
        counts[split] = Counter(kind for symbol in symbols if (kind := aami_kind(symbol)))
    assert counts == {
        "DS1": {"N": 45866, "S": 944, "V": 3788, "F": 415, "Q": 8},
        "DS2": {"N": 44259, "S": 1837, "V": 3221, "F": 388, "Q": 7},
    }


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_mit_bih_rhythm_marks_are_all_known_and_all_used(data_dir: Path) -> None:
    marks: set[str] = set()
    for path in (data_dir / "mitdb").glob("*.atr"):
        notes = _annotations(path)[1]
        marks |= {note.rstrip("\0")[1:] for note in notes if note.startswith("(")}
    assert marks == set(rhythm_kinds())


def test_rewritten_labels_come_back_but_for_sinus_rhythm(
    ptbxl: dict[int, set[str]], challenge: dict[str, set[str]]
) -> None:
    classes, weights = challenge_classes(), challenge_weights()
    normal = classes.index(SNOMED, SINUS_RHYTHM)
    axes = {row["heart_axis"] for row in rows("heart_axis_to_snomed")}
    theirs = [
        translate(codes - axes, SCP, SNOMED) | translate(codes & axes, HEART_AXIS, SNOMED)
        for codes in ptbxl.values()
    ]
    for name, least, sets in (
        ("PTB-XL", 0.96, theirs),
        ("Challenge", 0.92, [frozenset(codes) for codes in challenge.values()]),
    ):
        taught = [rewrite({SNOMED: codes}) for codes in sets]
        back = [restore(labels)[SNOMED] for labels in taught]
        assert [rewrite({SNOMED: codes}) for codes in back] == taught
        other = [(one, two) for one, two in zip(sets, back, strict=True) if one != two]
        assert all(one ^ two == {SINUS_RHYTHM} for one, two in other)
        assert all(
            (SINUS_RHYTHM in one) == bool({"426177001"} & one) for one, _ in other
        )  # lost beside sinus bradycardia, won where no rhythm was named
        before, after = (
            np.stack([classes.encode({SNOMED: codes})[0] > 0 for codes in some])
            for some in (sets, back)
        )
        score = challenge_score(before, after, weights, normal)
        sys.stdout.write(f"{name}: {len(other)} of {len(sets)} differ, score {score:.3f}\n")
        assert least < score < 1
