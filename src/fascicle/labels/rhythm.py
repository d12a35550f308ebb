"""Kinds of rhythm, and which one a mark of MIT-BIH or a statement about a whole record says.

A mark of ectopy alone (B, T, AB) names no kind: bigeminy stands on sinus rhythm in most records,
on atrial fibrillation in some. Pre-excitation is sinus rhythm that takes another way down.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal, cast, get_args

from fascicle.labels.sources import SNOMED, rows
from fascicle.labels.vocabulary import Term, Vocabulary

RhythmKind = Literal["sinus", "AF", "flutter", "SVT", "VT", "paced", "other"]
NAMES: Mapping[RhythmKind, str] = MappingProxyType(
    {
        "sinus": "sinus rhythm",
        "AF": "atrial fibrillation",
        "flutter": "atrial flutter",
        "SVT": "supraventricular tachycardia",
        "VT": "ventricular tachycardia",
        "paced": "paced rhythm",
        "other": "other rhythm",
    }
)
UNSAID = "UNKNOWN"
"""What a mark says where no rhythm is told; MIT-BIH has no mark for that, nor for "other"."""


def rhythm_classes() -> Vocabulary:
    """Return the seven kinds of rhythm, in the order of a net's logits."""
    return Vocabulary(
        tuple(Term("fascicle rhythm kind", kind, NAMES[kind]) for kind in get_args(RhythmKind))
    )


@cache
def rhythm_kinds() -> Mapping[str, RhythmKind | None]:
    """Return the kind of rhythm of each mark of MIT-BIH; None where a mark names none."""
    return MappingProxyType(
        {row["code"]: cast(RhythmKind, row["kind"]) or None for row in rows("mit_bih_rhythms")}
    )


def rhythm_mark(kind: str) -> str:
    """Return the first mark of a kind, without its bracket: MIT-BIH's, or "OTHER", "UNKNOWN"."""
    if kind == "other":
        return "OTHER"
    return next((mark for mark, found in rhythm_kinds().items() if found == kind), UNSAID)


@cache
def _statements() -> Mapping[str, RhythmKind]:
    return MappingProxyType(
        {row["snomed"]: cast(RhythmKind, row["kind"]) for row in rows("rhythm_statements")}
    )


def said_rhythm(labels: Mapping[str, frozenset[str]]) -> RhythmKind | None:
    """Return the kind of rhythm that a record's SNOMED CT codes say, None if none or several.

    Parameters
    ----------
    labels
        System -> codes, as of `Record.labels`.
    """
    known = _statements()
    kinds = {known[code] for code in labels.get(SNOMED, ()) if code in known}
    return kinds.pop() if len(kinds) == 1 else None
