"""Age, sex and diagnosis codes from the comments of a WFDB header.

Spellings: CinC `#Age: 56`, `# Dx: 426783006, 164889003,`; LUDB `#<age>: 51`; MIT-BIH `# 69 M 1085`.
The order of the comments does not matter: two lines that disagree make the fact unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fascicle.record import Sex

_AGE = re.compile(r"\bage\b\s*>?\s*[:=]\s*>?\s*([^\s,;<]*)\s*(months?|weeks?|days?)?", re.I)
_SEX = re.compile(r"\b(?:sex|gender)\b\s*>?\s*[:=]\s*([^\s,;<]*)", re.I)
_MITDB = re.compile(r"\s*(-?\d{1,3})\s+([MF?])\s+\d", re.ASCII)
_DX = re.compile(r"\s*dx\b\s*[:=]?(.*)", re.I)
_YEARS = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)(?:y|yr|yrs|years|\+)?", re.I | re.ASCII)
_SNOMED = re.compile(r"\d{6,18}", re.ASCII)

UNKNOWN = {"", "nan", "unknown", "none", "null", "n/a", "na", "u", "?", "-", "-1"}
SEXES: dict[str, Sex] = {"f": "F", "female": "F", "woman": "F", "m": "M", "male": "M", "man": "M"}
OLDEST_YEARS = 120


def age_of(comments: Sequence[str]) -> tuple[float | None, list[str]]:
    """Return the age in years, None if unknown, and warnings."""
    warnings: list[str] = []
    ages = set()
    for comment in comments:
        mitdb = _MITDB.match(comment)
        found = _AGE.search(comment)
        text, part = (mitdb[1], None) if mitdb else (found[1], found[2]) if found else ("", None)
        if text.lower() in UNKNOWN:
            continue
        years = _YEARS.fullmatch(text)
        if years is None or part is not None or float(years[1]) > OLDEST_YEARS:
            warnings.append(
                f"age {text[:20]!r} is not a number of years up to {OLDEST_YEARS}: unknown"
            )
        else:
            ages.add(float(years[1]))
    if len(ages) > 1:
        warnings.append(f"the header gives several ages {sorted(ages)}: unknown")
    return (ages.pop() if len(ages) == 1 else None), sorted(warnings)


def sex_of(comments: Sequence[str]) -> tuple[Sex | None, list[str]]:
    """Return "F" or "M", None if unknown, and warnings."""
    warnings: list[str] = []
    sexes: set[Sex] = set()
    for comment in comments:
        mitdb = _MITDB.match(comment)
        found = _SEX.search(comment)
        text = (mitdb[2] if mitdb else found[1] if found else "").lower()
        if text in SEXES:
            sexes.add(SEXES[text])
        elif text not in UNKNOWN:
            warnings.append(f"sex {text[:20]!r} is neither female nor male: unknown")
    if len(sexes) > 1:
        warnings.append("the header gives both sexes: unknown")
    return (sexes.pop() if len(sexes) == 1 else None), sorted(warnings)


def codes_of(comments: Sequence[str]) -> tuple[frozenset[str] | None, list[str]]:
    """Return the SNOMED CT codes of the `Dx` comments, None where there are none, and warnings."""
    codes: set[str] = set()
    warnings: list[str] = []
    for comment in comments:
        found = _DX.fullmatch(comment)
        for code in re.split(r"[\s,;]+", found[1]) if found else ():
            if _SNOMED.fullmatch(code):
                codes.add(code)
            elif code.lower() not in UNKNOWN:
                warnings.append(f"diagnosis {code[:20]!r} is not a SNOMED CT code: left out")
    return (frozenset(codes) or None), sorted(warnings)
