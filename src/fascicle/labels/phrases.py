"""The words of a report that mean something: two tables that a cardiologist can edit, as rules.

`report_phrases.csv` gives codes to phrases; `report_modifiers.csv` lists words that deny, doubt,
join or end. Text and patterns are compared after `fold`. In a pattern `*` is the rest of a word,
`#` a number, `...` up to four words, `.` a full stop that may be missing, `(a|b|)` a choice.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, cast, get_args

from fascicle.errors import BadFile
from fascicle.labels.sources import scp_statements

Language = Literal["en", "de"]
Kind = Literal["phrase", "negation", "hedge", "or", "and", "stop", "filler"]
Position = Literal["before", "after", ""]

PHRASE_COLUMNS: Final = ("code", "language", "pattern", "note")
MODIFIER_COLUMNS: Final = ("kind", "language", "position", "pattern", "note")
MODIFIERS: Final = tuple(kind for kind in get_args(Kind) if kind != "phrase")
_LETTERS: Final = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe"}
_KEPT: Final = ".,;!?/"
_SIGNS: Final = {
    "...": " (?:[^ .;!?]+ ){0,4}",
    " ": " ",
    "/": " ?/ ?",
    ",": " ?,",
    "?": r" ?\?",
    ".": r"\.?",
    "*": r"\w*",
    "#": r"\d+",
    "(": "(?:",
    "|": "|",
    ")": ")",
}
_TOKEN: Final = re.compile(r" ?\.\.\. ?|[a-z0-9]+|[ /,?.*#()|]")
_LEAD: Final = r"(?:i|ii|iii|av[rlf]|[rlf]|v ?[1-9](?:r|(?: ?[, ] ?[1-9]\b)*))"
_LEADS: Final = rf"{_LEAD}(?: ?[,/] ?{_LEAD}| (?:and |und |bis |to |v |)?{_LEAD})*"


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern and what its words do.

    Parameters
    ----------
    kind
        phrase: states its codes; negation, hedge: deny or doubt a phrase; or: what is denied or
        doubted goes on; and: it may go on, as after a comma; stop: it ends; filler: no effect.
    pattern
        Over folded text.
    codes
        Of a phrase, each with True where the phrase itself leaves the code open. Empty for a
        phrase that is understood and has no code.
    position
        Where a negation or hedge stands: before or after its phrase.
    """

    kind: Kind
    pattern: re.Pattern[str]
    codes: tuple[tuple[str, bool], ...] = ()
    position: Position = ""


def fold(text: str) -> tuple[str, tuple[int, ...]]:
    """Return small letters, umlauts as two, other signs as blanks; and each letter's place.

    The places are those in `text`, one per folded letter and one more for the end.
    """
    letters: list[str] = []
    places: list[int] = []
    for place, sign in enumerate(text):
        for letter in _folded(sign, letters[-1:], text[place + 1 : place + 2]):
            if letter == " " and letters[-1:] in ([], [" "]):
                continue
            letters.append(letter)
            places.append(place)
    return "".join(letters), (*places, len(text))


def _folded(sign: str, before: list[str], after: str) -> str:
    small = sign.lower()
    if small in _LETTERS:
        return _LETTERS[small]
    if sign == "\N{COMBINING DIAERESIS}":
        return "e" if before and before[0] in "aou" else ""
    if sign in ".:":  # in 4.46, 2:1 and 1.Grades no sentence ends
        return " " if after.isalnum() else "."
    if sign in _KEPT:
        return sign
    plain = "".join(part for part in unicodedata.normalize("NFKD", small) if part.isalnum())
    return plain or ("" if unicodedata.combining(sign) else " ")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern of the tables, for whole words.

    Raises
    ------
    ValueError
        If a sign has no meaning, brackets are not in pairs, or it would match without a word.
    """
    plain = "".join(
        _LETTERS.get(sign, " " if sign in "-&" else sign) for sign in pattern.strip().lower()
    )
    plain = re.sub(r"\s+", " ", re.sub(r"\.(?=\w)", " ", plain))  # v.a. as `fold` makes it
    parts = _TOKEN.findall(plain)
    if "".join(parts) != plain:
        odd = next(sign for sign in plain if not _TOKEN.fullmatch(sign))
        raise ValueError(f"the sign {odd!r} has no meaning; known: * # ... . , / ? ( | )")
    body = "".join(_SIGNS.get(part.strip() or " ", part) for part in parts)
    before = "" if plain.startswith("?") else r"(?<!\w)"  # a question mark follows its word at once
    try:
        compiled = re.compile(rf"{before}(?:{body})(?!\w)")
    except re.error as error:
        raise ValueError("brackets are not in pairs") from error
    if compiled.fullmatch("") or not re.search(r"[a-z0-9#?]", plain):
        raise ValueError("it has no word that must be there")
    return compiled


@cache
def read_rules(phrases: Path | None = None, modifiers: Path | None = None) -> tuple[Rule, ...]:
    """Return the rules of two tables; None takes the one that ships with the package.

    Raises
    ------
    BadFile
        Naming the row, if a table cannot be read, lacks a column, or has an unknown code,
        language, kind or position, a pattern that means nothing, or one that stands twice.
    """
    found = [_phrase(row, where) for row, where in _rows("report_phrases", phrases, PHRASE_COLUMNS)]
    found += [
        _modifier(row, where)
        for row, where in _rows("report_modifiers", modifiers, MODIFIER_COLUMNS)
    ]
    return (*found, Rule("filler", re.compile(rf"(?<!\w){_LEADS}(?!\w)")))


def _rows(
    table: str, path: Path | None, columns: Sequence[str]
) -> list[tuple[dict[str, str], str]]:
    """Return each row with its place for messages: file and line, the names being line 1."""
    source = files("fascicle").joinpath("tables", f"{table}.csv") if path is None else path
    name = f"{table}.csv" if path is None else str(path)
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile(f"{name}: expected text in UTF-8") from error
    except OSError as error:
        raise BadFile(f"{name}: cannot be read: {error.strerror or error}") from error
    reader = csv.DictReader(text.splitlines())
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise BadFile(f"{name}: expected the columns {', '.join(columns)}; no {missing[0]!r}")
    rows: list[tuple[dict[str, str], str]] = []
    seen: dict[tuple[str, str], str] = {}
    for row in reader:
        where = f"{name} row {reader.line_num}"
        if None in row or None in row.values():
            raise BadFile(f"{where}: expected {len(columns)} cells; quote a cell with a comma")
        if row["language"] not in get_args(Language):
            raise BadFile(f"{where}: language {row['language']!r} is not en or de")
        key = (row["pattern"].strip().lower(), row.get("position", ""))
        if key in seen:
            raise BadFile(f"{where}: the pattern {row['pattern']!r} stands in {seen[key]} too")
        seen[key] = where
        rows.append((row, where))
    return rows


def _phrase(row: dict[str, str], where: str) -> Rule:
    known = {term.code for term in scp_statements().terms}
    cells = [cell.strip() for cell in row["code"].split("|") if cell.strip()]
    codes = tuple((cell.removesuffix("?"), cell.endswith("?")) for cell in cells)
    unknown = [code for code, _ in codes if code not in known]
    if unknown:
        raise BadFile(f"{where}: {unknown[0]!r} is none of the {len(known)} SCP-ECG statements")
    return Rule("phrase", _pattern(row, where), codes)


def _modifier(row: dict[str, str], where: str) -> Rule:
    kind, position = row["kind"], row["position"]
    if kind not in MODIFIERS:
        raise BadFile(f"{where}: kind {kind!r} is none of {', '.join(MODIFIERS)}")
    expected = ("before", "after") if kind in ("negation", "hedge") else ("",)
    if position not in expected:
        words = " or ".join(expected) or "empty"
        raise BadFile(f"{where}: the position of {kind!r} must be {words}, not {position!r}")
    return Rule(cast(Kind, kind), _pattern(row, where), position=cast(Position, position))


def _pattern(row: dict[str, str], where: str) -> re.Pattern[str]:
    try:
        return compile_pattern(row["pattern"])
    except ValueError as error:
        raise BadFile(f"{where}: pattern {row['pattern']!r}: {error}") from error
