"""A file becomes a Record: `read` is the only door in, `write_annotations` the one out."""

from fascicle.io.annotations import write_annotations
from fascicle.io.folders import find_records
from fascicle.io.reading import READERS, read

__all__ = ["READERS", "find_records", "read", "write_annotations"]
