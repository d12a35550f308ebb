"""Shapes written as jaxtyping annotations are checked while tests run.

The hook must be set before anything imports these modules; pytest loads this file first.
"""

from __future__ import annotations

from jaxtyping import install_import_hook

install_import_hook(["fascicle.models", "fascicle.losses"], "beartype.beartype")
