"""One network reads an electrocardiogram: waves, beats, intervals and diagnoses.

record = fascicle.read("ecg.hea")
findings = fascicle.load().analyze(record)
findings.to_dict()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fascicle.io import read
    from fascicle.predict import load

__all__ = ["load", "read"]


def __getattr__(name: str) -> Any:
    """Import the two doors when they are first used: torch loads with `load` only."""
    if name == "read":
        from fascicle.io import read

        return read
    if name == "load":
        from fascicle.predict import load

        return load
    raise AttributeError(f"module 'fascicle' has no attribute {name!r}")
