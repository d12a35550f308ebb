"""The bundle that a command teaches something more."""

from __future__ import annotations

from pathlib import Path

from fascicle.bundle import Bundle, default_bundle, read_bundle
from fascicle.errors import BadRequest


def bundle_to_teach(path: Path, out: Path) -> Bundle:
    """Return a bundle, "default" being the one that ships, if the new one has a place.

    Raises
    ------
    BadBundle
        If it cannot be read.
    BadRequest
        If `out` is there already.
    """
    if out.exists():
        raise BadRequest(f"{out}: is there already; choose another name")
    return read_bundle(default_bundle() if str(path) == "default" else path)
