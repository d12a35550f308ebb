"""The published form of the findings: JSON Schema draft 2020-12 of "fascicle/findings/1"."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def findings_schema() -> dict[str, Any]:
    """Return the JSON schema that every findings file of fascicle obeys."""
    text = files("fascicle.report").joinpath("findings.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
