"""Values of recipes that several sections have, and what a section is."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fascicle.record import LEADS

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("a kernel must be odd, to stand on its sample")
    return value


Kernel = Annotated[int, Field(gt=0), AfterValidator(_odd)]
Channels = Annotated[int, Field(gt=0, multiple_of=8)]
"""Norms take channels in eight groups."""


def _lead(value: str) -> str:
    if value not in LEADS:
        raise ValueError(f"a lead is one of {', '.join(LEADS)}")
    return value


Lead = Annotated[str, AfterValidator(_lead)]


class Section(BaseModel):
    """A part of a recipe: frozen, and refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
