"""The command line. Each command imports what it needs when it runs, so that --help is quick."""

from __future__ import annotations

import io
import sys
from typing import NoReturn

from fascicle.cli.app import app
from fascicle.errors import FascicleError

__all__ = ["app", "main"]

INTERRUPTED = 130
"""Exit code that typer gives an interrupt from the keyboard."""


def main() -> None:
    """Run the command line; what a user can mend is one line and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be in any encoding
    try:
        app()
    except FascicleError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.filename or 'the system'}: {error.strerror or error}")
    except MemoryError:
        _refuse("out of memory")
    except SystemExit as end:
        if end.code == INTERRUPTED:
            sys.stderr.write("fascicle: interrupted\n")
        raise


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"fascicle: {' '.join(reason.split())}\n")
    sys.exit(2)
