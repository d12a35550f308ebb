"""What a training tells while it runs: a line of JSON per step, and TensorBoard where it is there.

`log.jsonl` is the record that counts; a resumed training drops the lines of the steps it repeats.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from fascicle.files import write_whole

LOG = "log.jsonl"
BOARD = "tensorboard"

Write = Callable[[int, Mapping[str, float]], None]


@contextmanager
def journal(folder: Path, done: int) -> Iterator[Write]:
    """Give what writes the values of a step; those after step `done` are written anew."""
    _cut(folder / LOG, done)
    with _board(folder / BOARD, done) as show, (folder / LOG).open("a", encoding="utf-8") as file:

        def write(step: int, values: Mapping[str, float]) -> None:
            file.write(json.dumps({"step": step, **values}, allow_nan=False) + "\n")
            file.flush()
            show(step, values)

        yield write


def _cut(path: Path, done: int) -> None:
    """Drop the lines of steps that will be taken again, and one that was not finished."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()[:done]
        write_whole(path, "".join(line + "\n" for line in lines).encode())


@contextmanager
def _board(folder: Path, done: int) -> Iterator[Write]:
    """Give what writes scalars for TensorBoard; without the package it does nothing."""
    if find_spec("tensorboard") is None:
        yield lambda _step, _values: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=done + 1) as writer:

        def show(step: int, values: Mapping[str, float]) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        yield show
