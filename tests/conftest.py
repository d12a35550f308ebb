"""What holds for all tests; pytest loads this file first.

Shapes written as jaxtyping annotations are checked while tests run: the hook must be set before
anything imports these modules. An example of hypothesis may take its time: machines are busy.
"""

from __future__ import annotations

from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["fascicle.models", "fascicle.losses"], "beartype.beartype")

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
