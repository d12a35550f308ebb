"""From the codes of one system to those of another, where the meaning is the same or wider.

A code without a counterpart is not a key: it is better unsaid than forced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from fascicle.errors import BadRequest
from fascicle.labels.sources import (
    AAMI,
    HEART_AXIS,
    LUDB,
    MIT_BEAT,
    MIT_RHYTHM,
    SCP,
    SNOMED,
    SUPERCLASS,
    ludb_code,
    rows,
)

Crosswalk = Mapping[str, tuple[str, ...]]


def _pairs(table: str, source: str, target: str) -> Crosswalk:
    found = {row[source]: tuple(row[target].split("|")) for row in rows(table) if row[target]}
    return MappingProxyType(found)


def _ludb() -> Crosswalk:
    found = _pairs("ludb_diagnoses", "name", "snomed")
    return MappingProxyType({ludb_code(name): codes for name, codes in found.items()})


_CROSSWALKS: Final[Mapping[tuple[str, str], Callable[[], Crosswalk]]] = MappingProxyType(
    {
        (SCP, SNOMED): lambda: _pairs("scp_to_snomed", "scp", "snomed"),
        (SCP, SUPERCLASS): lambda: _pairs("scp_statements", "", "diagnostic_class"),
        (HEART_AXIS, SNOMED): lambda: _pairs("heart_axis_to_snomed", "heart_axis", "snomed"),
        (MIT_BEAT, AAMI): lambda: _pairs("mit_bih_beats", "code", "aami"),
        (MIT_RHYTHM, SNOMED): lambda: _pairs("mit_bih_rhythms", "code", "snomed"),
        (LUDB, SNOMED): _ludb,
    }
)


@cache
def crosswalk(from_system: str, to_system: str) -> Crosswalk:
    """Return code -> the codes of `to_system` that hold whenever it holds.

    Raises
    ------
    BadRequest
        When there is no crosswalk between the two.
    """
    if (from_system, to_system) not in _CROSSWALKS:
        known = "; ".join(f"{source} to {target}" for source, target in _CROSSWALKS)
        raise BadRequest(f"no crosswalk from {from_system!r} to {to_system!r}; there are: {known}")
    return _CROSSWALKS[from_system, to_system]()


@cache
def challenge_conversion() -> Crosswalk:
    """Return SCP statement or heart axis -> the codes that the Challenge gave it in PTB-XL.

    This is what stands in the Challenge's PTB-XL headers. It differs from `crosswalk` where we hold
    the meaning to be another: `docs/labels.md` says where, and how far the records show it.
    """
    statements = _pairs("scp_to_snomed", "scp", "challenge")
    axes = _pairs("heart_axis_to_snomed", "heart_axis", "challenge")
    return MappingProxyType({**statements, **axes})


def translate(codes: Iterable[str], from_system: str, to_system: str) -> frozenset[str]:
    """Return the codes of `to_system` that follow from codes of `from_system`."""
    table = crosswalk(from_system, to_system)
    return frozenset(target for code in codes for target in table.get(code, ()))
