"""Errors that a user can mend. Each message says what was expected, what came, and where.

The command line prints the message as one line and exits with code 2; no traceback.
"""

from __future__ import annotations


class FascicleError(Exception):
    """Base of every error that fascicle raises on purpose."""


class BadFile(FascicleError):
    """A file that cannot be read as an ECG, an annotation file or a label file."""


class BadRecipe(FascicleError):
    """A recipe with an unknown key, a missing key or an impossible value."""


class BadBundle(FascicleError):
    """A bundle that is damaged, foreign, of a later schema, or not made for this input."""


class BadData(FascicleError):
    """A data set folder, pack or split that is incomplete, corrupt or leaks patients."""


class BadRequest(FascicleError):
    """An impossible combination of arguments."""
