"""Memory that was freed goes back to the system.

The C library keeps what a program frees, in case it asks again. Between the stages of a long record
that would be hundreds of megabytes, of sizes that the next stage has no use for.
"""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Give what is free to the system, where the C library can (glibc)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
