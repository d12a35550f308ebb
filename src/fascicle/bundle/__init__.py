"""Bundles: one safetensors file that holds weights and all that their use needs.

The header (key "fascicle", JSON) has the schema version, recipe, vocabularies, thresholds,
temperatures, model card, licence, and the checksums of the weights and of itself. An ensemble is a
bundle whose header also has those of its members. No pickle is read or written anywhere.
"""

from fascicle.bundle.file import (
    ENSEMBLE_SCHEMA,
    SCHEMA,
    default_bundle,
    read_bundle,
    save_bundle,
)
from fascicle.bundle.nets import (
    CONTEXT,
    TYPICAL,
    VIEWED,
    Bundle,
    difference,
    new_network,
    widened,
)

__all__ = [
    "CONTEXT",
    "ENSEMBLE_SCHEMA",
    "SCHEMA",
    "TYPICAL",
    "VIEWED",
    "Bundle",
    "default_bundle",
    "difference",
    "new_network",
    "read_bundle",
    "save_bundle",
    "widened",
]
