"""Long records are cut into overlapping windows, and what came of them is glued without seams.

A window carries where it lies and which part of it counts. With half the overlap at least as long
as the net's receptive field reaches, and window - overlap a multiple of the net's total stride,
the glued output equals that of one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Window(NamedTuple):
    """Samples [start, stop) of a record, of which [keep_start, keep_stop) count."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int


def cut(samples: int, window: int, overlap: int) -> list[Window]:
    """Return windows every `window - overlap` samples whose kept parts tile the record.

    Neighbours meet in the middle of their overlap. The last window ends with the record and may be
    shorter; no window is longer than `window`.

    Raises
    ------
    ValueError
        If `samples` or `window` is under 1, or `overlap` is not in 0..window - 1.
    """
    if samples < 1 or window < 1:
        raise ValueError(f"samples and window must be at least 1, not {samples} and {window}")
    if not 0 <= overlap < window:
        raise ValueError(f"overlap must lie in 0..{window - 1}, not {overlap}")
    step = window - overlap
    count = 1 + max(0, -(-(samples - window) // step))
    windows = []
    for index in range(count):
        start = index * step
        keep_start = start + overlap // 2 if index else 0
        keep_stop = start + step + overlap // 2 if index < count - 1 else samples
        windows.append(Window(start, min(start + window, samples), keep_start, keep_stop))
    return windows


def glue(windows: Sequence[Window], pieces: Iterable[NDArray[Any]], samples: int) -> NDArray[Any]:
    """Return (..., samples) put together from the kept part of each piece (..., window).

    Pieces may come from a generator: one is held at a time.

    Raises
    ------
    ValueError
        If the windows do not tile the record, or a piece does not fit its window.
    """
    edges = [0, *(window.keep_stop for window in windows)]
    if edges[:-1] != [window.keep_start for window in windows] or edges[-1] != samples:
        raise ValueError(f"the windows do not tile {samples} samples")
    whole: NDArray[Any] | None = None
    for window, piece in zip(windows, pieces, strict=True):
        if piece.shape[-1] != window.stop - window.start:
            raise ValueError(f"piece of {piece.shape[-1]} samples does not fit {window}")
        if whole is None:
            whole = np.empty((*piece.shape[:-1], samples), dtype=piece.dtype)
        kept = piece[..., window.keep_start - window.start : window.keep_stop - window.start]
        whole[..., window.keep_start : window.keep_stop] = kept
    if whole is None:
        raise ValueError("no window to glue")
    return whole


def recut(
    windows: Sequence[Window], pieces: Iterable[Sequence[NDArray[Any]]], steps: Sequence[int]
) -> Iterator[tuple[Window, list[NDArray[Any]]]]:
    """Yield each window with its part of some long arrays, of which a piece after another comes.

    No more is held than a window and a piece.

    Parameters
    ----------
    windows
        In order of time; each starts at a multiple of every step.
    pieces
        Arrays (..., column) of one stretch of time, which follow each other.
    steps
        Samples per column of each array; that of the first is 1.

    Raises
    ------
    ValueError
        If the pieces end before the last window does, or after it.
    """
    held: list[NDArray[Any]] = []
    start = stop = 0
    source = iter(pieces)
    for window in windows:
        parts: list[Sequence[NDArray[Any]]] = []
        if held:
            skip = window.start - start
            parts.append(
                [array[..., skip // step :] for array, step in zip(held, steps, strict=True)]
            )
        start = window.start
        while stop < window.stop:
            piece = next(source, None)
            if piece is None:
                raise ValueError(f"pieces end at sample {stop}, before {window}")
            parts.append(piece)
            stop += piece[0].shape[-1]
        held = [np.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True)]
        size = window.stop - start
        yield (
            window,
            [array[..., : -(-size // step)] for array, step in zip(held, steps, strict=True)],
        )
    if next(source, None) is not None:
        raise ValueError(f"pieces go on after {windows[-1]}")
