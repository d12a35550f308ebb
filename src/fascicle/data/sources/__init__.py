"""The public data sets that fascicle knows, in the layout in which PhysioNet publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fascicle.data.sources.cinc import CINC2021
from fascicle.data.sources.ludb import LUDB
from fascicle.data.sources.mitdb import MITDB
from fascicle.data.sources.ptbxl import PTBXL, PTBXL100
from fascicle.data.sources.source import Item, Source

__all__ = ["SOURCES", "Item", "Source"]

SOURCES: Mapping[str, Source] = MappingProxyType(
    {source.name: source for source in (MITDB, LUDB, PTBXL, PTBXL100, CINC2021)}
)
