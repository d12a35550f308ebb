"""Rhythm labels rewritten so that a net finds them easier, and back (Sodmann et al. 2021).

"Sinus rhythm" alone says healthy, beside others it says a rhythm; many pathological records say no
rhythm at all. So it becomes sinus rhythm with healthy or pathological, and sinus bradycardia
becomes sinus rhythm, bradycardia and pathological. One table, `label_rewriting.csv`, says all this:

- `when` a SNOMED CT code holds (alone, beside others, always), it `becomes` these of our terms;
  without any rhythm diagnosis a record becomes those of the row "no rhythm".
- a code that "stays" is a rhythm diagnosis, and is not rewritten. So are all other codes.
- a code `returns` when these terms hold ("-" before one that must not).

What is not sinus bradycardia comes back as sinus rhythm wherever that was found: records that named
no rhythm get it, and records that named both lose it. `docs/labels.md` has what that costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fascicle.labels.sources import SNOMED, rows
from fascicle.labels.vocabulary import Term, Vocabulary

REWRITTEN: Final = "fascicle rhythm"
"""The system of our terms: sinus rhythm, healthy, pathological, bradycardia."""


@cache
def _becomes(when: str) -> Mapping[str, tuple[str, ...]]:
    """Return code -> our terms, of the rows with this `when`."""
    found = [row for row in rows("label_rewriting") if row["when"] == when]
    return {row["code"]: tuple(filter(None, row["becomes"].split("|"))) for row in found}


@cache
def _returns() -> Mapping[str, tuple[str, ...]]:
    """Return code -> what must hold for it to come back."""
    return {
        r["code"]: tuple(r["returns"].split("|")) for r in rows("label_rewriting") if r["returns"]
    }


@cache
def _rhythm_codes() -> frozenset[str]:
    return frozenset(row["code"] for row in rows("label_rewriting") if row["code"])


def rewrite(labels: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Return the labels with SNOMED CT rhythms rewritten, and our terms under `REWRITTEN`.

    Where SNOMED CT is unknown our terms are too; a record that holds no code at all gets none.
    """
    known = {system: frozenset(codes) for system, codes in labels.items()}
    if SNOMED not in known:
        return known
    codes = known[SNOMED]
    terms: set[str] = set()
    for when, holds in (("alone", len(codes) == 1), ("beside others", len(codes) > 1)):
        for code in codes & _becomes(when).keys() if holds else ():
            terms.update(_becomes(when)[code])
    for code in codes & _becomes("always").keys():
        terms.update(_becomes("always")[code])
    if codes and not codes & _rhythm_codes():
        terms.update(_becomes("no rhythm")[""])
    return known | {SNOMED: codes - _returns().keys(), REWRITTEN: frozenset(terms)}


def restore(labels: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Return the labels with our terms turned back into SNOMED CT codes."""
    known = {system: frozenset(codes) for system, codes in labels.items()}
    terms = known.pop(REWRITTEN, None)
    if terms is None:
        return known
    back = {
        code
        for code, conditions in _returns().items()
        if all((c.removeprefix("-") in terms) != c.startswith("-") for c in conditions)
    }
    return known | {SNOMED: known.get(SNOMED, frozenset()) | back}


def rewritten(vocabulary: Vocabulary) -> Vocabulary:
    """Return the classes that a net is taught in place of these: our terms come last."""
    gone = {(SNOMED, code) for code in _returns()}
    kept = tuple(term for term in vocabulary.terms if (term.system, term.code) not in gone)
    lost = {term.code for term in vocabulary.terms} if len(kept) < len(vocabulary) else set()
    parts = dict.fromkeys(
        part
        for when in ("alone", "beside others", "always")
        for code, terms in _becomes(when).items()
        for part in terms
        if code in lost
    )
    merged = {key: code for key, code in vocabulary.merged.items() if (key[0], code) not in gone}
    return Vocabulary((*kept, *(Term(REWRITTEN, part, part) for part in parts)), merged)


def restore_logits(logits: NDArray[Any], vocabulary: Vocabulary) -> NDArray[np.float32]:
    """Return logits (..., class) of these classes from those of `rewritten(vocabulary)`.

    That several terms hold is as sure as the least sure of them; that one does not, as sure as
    minus its logit. So decisions at 0 are those of `restore`.
    """
    taught = rewritten(vocabulary)
    found = np.empty((*logits.shape[:-1], len(vocabulary)), dtype=np.float32)
    places = {(term.system, term.code): place for place, term in enumerate(taught.terms)}
    for place, term in enumerate(vocabulary.terms):
        key = term.system, term.code
        if key in places:
            found[..., place] = logits[..., places[key]]
            continue
        parts = [
            -logits[..., places[REWRITTEN, c[1:]]]
            if c[:1] == "-"
            else logits[..., places[REWRITTEN, c]]
            for c in _returns()[term.code]
            if (REWRITTEN, c.removeprefix("-")) in places
        ]
        found[..., place] = np.min(parts, axis=0)
    return found
