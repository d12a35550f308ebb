"""An ordered list of codes that turns a record's labels into arrays and back.

A class is one Term. Its place in `Vocabulary.terms` is its place in every target, logit and
score. Labels are `Record.labels`: system of codes -> codes that hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadBundle, BadRequest


@dataclass(frozen=True, slots=True)
class Term:
    """One code of one system, with the name that people read."""

    system: str
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Classes in a fixed order, and the codes that count as one of them.

    Parameters
    ----------
    terms
        One per class; no (system, code) twice.
    merged
        (system, equivalent code) -> the code in `terms` of the same system that it counts as.
    """

    terms: tuple[Term, ...]
    merged: Mapping[tuple[str, str], str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        keys = [(term.system, term.code) for term in self.terms]
        if len(set(keys)) != len(keys):
            twice = sorted({key for key in keys if keys.count(key) > 1})
            raise ValueError(f"terms repeat: {twice}")
        for (system, equivalent), code in self.merged.items():
            if (system, code) not in keys:
                raise ValueError(f"{system} {equivalent} counts as {code}, which is no term")
            if (system, equivalent) in keys:
                raise ValueError(f"{system} {equivalent} is a term and counts as {code} too")
        object.__setattr__(self, "merged", MappingProxyType(dict(self.merged)))

    def __len__(self) -> int:
        return len(self.terms)

    def __reduce__(self) -> tuple[type[Vocabulary], tuple[object, ...]]:
        # A mapping proxy cannot be pickled, and worker processes receive vocabularies.
        return Vocabulary, (self.terms, dict(self.merged))

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems of the terms, each once, in the order in which they appear."""
        return tuple(dict.fromkeys(term.system for term in self.terms))

    def _places(self) -> dict[tuple[str, str], int]:
        places = {(term.system, term.code): place for place, term in enumerate(self.terms)}
        for (system, equivalent), code in self.merged.items():
            places[system, equivalent] = places[system, code]
        return places

    def index(self, system: str, code: str) -> int:
        """Return the place of a code, merged codes included. Raises BadRequest if unknown."""
        places = self._places()
        if (system, code) not in places:
            known = ", ".join(term.code for term in self.terms if term.system == system)
            raise BadRequest(f"no code {code!r} of {system!r} here; known: {known or 'none'}")
        return places[system, code]

    def encode(
        self, labels: Mapping[str, Iterable[str]]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return target (class,), 1 where a class holds, and known (class,).

        A class is known when its system is a key of `labels`; unknown classes are 0 in the
        target. Codes that are no class here are left out: most records hold some.
        """
        target = np.zeros(len(self.terms), dtype=np.float32)
        known = np.array([term.system in labels for term in self.terms], dtype=np.bool_)
        places = self._places()
        for system, codes in labels.items():
            if isinstance(codes, str):
                raise TypeError(f"labels[{system!r}] is the text {codes!r}, not a set of codes")
            for code in codes:
                if (system, code) in places:
                    target[places[system, code]] = 1.0
        return target, known

    def decode(self, present: NDArray[np.bool_]) -> dict[str, frozenset[str]]:
        """Return the codes that hold by system, from (class,) bool; every system is a key."""
        if present.shape != (len(self.terms),) or present.dtype != np.bool_:
            raise ValueError(
                f"expected bool of shape ({len(self.terms)},), got {present.dtype} {present.shape}"
            )
        return {
            system: frozenset(
                term.code
                for term, holds in zip(self.terms, present, strict=True)
                if holds and term.system == system
            )
            for system in self.systems
        }

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold; `from_dict` reads it."""
        return {
            "terms": [
                {"system": term.system, "code": term.code, "name": term.name} for term in self.terms
            ],
            "merged": [
                {"system": system, "equivalent": equivalent, "code": code}
                for (system, equivalent), code in self.merged.items()
            ],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Vocabulary:
        """Return the vocabulary that `to_dict` stored. Raises BadBundle if it is not one."""
        try:
            terms = tuple(
                Term(_text(row["system"]), _text(row["code"]), _text(row["name"]))
                for row in stored["terms"]
            )
            merged = {
                (_text(row["system"]), _text(row["equivalent"])): _text(row["code"])
                for row in stored["merged"]
            }
            return cls(terms, merged)
        except (KeyError, TypeError, ValueError) as error:
            raise BadBundle(f"this is not a stored vocabulary: {error!r}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def select(vocabulary: Vocabulary, codes: Iterable[str | tuple[str, str]]) -> Vocabulary:
    """Return the vocabulary of some codes, in the order given, with what is merged into them.

    Parameters
    ----------
    vocabulary
        Where the classes come from.
    codes
        A code, or (system, code) where two systems share it. A merged code picks its class.

    Raises
    ------
    BadRequest
        For a code that is not there, is there twice, or picks a class a second time.
    """
    if isinstance(codes, str):
        raise TypeError(f"expected several codes, got the text {codes!r}")
    picked: list[Term] = []
    for wanted in codes:
        system, code = (
            (_system_of(vocabulary, wanted), wanted) if isinstance(wanted, str) else wanted
        )
        term = vocabulary.terms[vocabulary.index(system, code)]
        if term in picked:
            raise BadRequest(f"{system} {code} picks the class {term.code} a second time")
        picked.append(term)
    kept = {(term.system, term.code) for term in picked}
    merged = {key: code for key, code in vocabulary.merged.items() if (key[0], code) in kept}
    return Vocabulary(tuple(picked), merged)


def _system_of(vocabulary: Vocabulary, code: str) -> str:
    keys = [(term.system, term.code) for term in vocabulary.terms] + list(vocabulary.merged)
    systems = [system for system, known in keys if known == code]
    if len(systems) != 1:
        found = " and ".join(systems) or "no system here"
        raise BadRequest(f"the code {code!r} is of {found}; name one of {vocabulary.systems}")
    return systems[0]


def join(*vocabularies: Vocabulary) -> Vocabulary:
    """Return one vocabulary with the classes of all, one after the other.

    Raises
    ------
    ValueError
        When two of them hold the same code of the same system.
    """
    terms = tuple(term for vocabulary in vocabularies for term in vocabulary.terms)
    merged: dict[tuple[str, str], str] = {}
    for vocabulary in vocabularies:
        for key, code in vocabulary.merged.items():
            if merged.setdefault(key, code) != code:
                raise ValueError(f"{key} counts as {merged[key]} and as {code}")
    return Vocabulary(terms, merged)
