"""`fascicle ensemble`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fascicle.errors import BadRequest

if TYPE_CHECKING:
    from fascicle.decode.ensembles import Vote


def ensemble_command(paths: Sequence[Path], out: Path, vote: Vote, name: str, half: bool) -> None:
    """Write one bundle of several and print what it is.

    Raises
    ------
    BadBundle
        If one of them cannot be read, or the file cannot be written.
    BadRequest
        If they cannot answer together, one is given twice, or the file is one of them.
    """
    from fascicle.bundle import default_bundle, read_bundle, save_bundle
    from fascicle.ensemble import make_ensemble

    members = [default_bundle() if str(path) == "default" else path for path in paths]
    places = [path.resolve() for path in members]
    if len(set(places)) < len(places):
        raise BadRequest("one of the bundles is given twice")
    if out.resolve() in places:
        raise BadRequest(f"{out} is one of the bundles: write the ensemble to another file")
    made = make_ensemble([read_bundle(path) for path in members], vote, name)
    saved = save_bundle(made, out, half=half)
    sys.stdout.write(f"wrote {out}: {len(saved.members)} nets, {vote}, sha256 {saved.sha256}\n")
