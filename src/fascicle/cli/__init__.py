"""The command line. Each command imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

import sys

from fascicle.cli.app import app
from fascicle.errors import FascicleError

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; what a user can mend is one line and exit code 2."""
    try:
        app()
    except FascicleError as error:
        sys.stderr.write(f"fascicle: {' '.join(str(error).split())}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("fascicle: interrupted\n")
        sys.exit(130)
