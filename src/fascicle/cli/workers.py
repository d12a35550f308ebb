"""Worker processes: an answer for each item, whatever happens to a worker or to its parent."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import TypeVar

PATIENCE_S, PAUSE_S = 5.0, 0.5
"""Time that a worker has to take away what it was writing; it is told again after each pause,
because it goes on with what is in its queue."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(
    work: Callable[[Item], Answer], items: Sequence[Item], processes: int
) -> Iterator[tuple[int, Answer | None]]:
    """Yield the place of each item and its answer as they come; None where it killed its worker.

    When a worker is killed, as by a system that is out of memory, all that is left is done by one
    worker at a time, so that the item that killed it is known and stops no other.
    """
    left = list(range(len(items)))
    while left:
        undone = []
        for place, answer in _pass(work, items, left, processes):
            if answer is None:
                undone.append(place)
            else:
                yield place, answer
        left = sorted(undone)
        if left and processes == 1:
            yield left.pop(0), None  # one worker takes the items in order: it was this one
        processes = 1


@contextmanager
def end_when_told() -> Iterator[None]:
    """Let SIGTERM unwind this process, so that files that are half written are taken away."""
    with _handling(signal.SIGTERM, _leave):
        yield


def _pass(
    work: Callable[[Item], Answer], items: Sequence[Item], places: Sequence[int], processes: int
) -> Iterator[tuple[int, Answer | None]]:
    """Yield as `each` does; None for what was not done when a worker was killed."""
    pool = ProcessPoolExecutor(
        min(processes, len(places)), mp_context=get_context("spawn"), initializer=_start
    )
    finished = False
    try:
        # Workers ignore the keyboard for good: one that is still starting would print a traceback.
        with _handling(signal.SIGINT, signal.SIG_IGN):
            waiting = {pool.submit(work, items[place]): place for place in places}
        for done in as_completed(waiting):
            try:
                yield waiting[done], done.result()
            except (BrokenProcessPool, SystemExit):
                yield waiting[done], None
        finished = True
    finally:
        if not finished:  # interrupted: what waits is not begun, what was begun is left
            pool.shutdown(wait=False, cancel_futures=True)
            _end(active_children())
        pool.shutdown()


def _end(children: Sequence[BaseProcess]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while left := [child for child in children if child.is_alive()]:
        for child in left:
            child.terminate() if time.monotonic() < deadline else child.kill()
        wait([child.sentinel for child in left], PAUSE_S)


@contextmanager
def _handling(
    number: signal.Signals, handler: Callable[[int, FrameType | None], None] | signal.Handlers
) -> Iterator[None]:
    """Handle a signal so while it lasts; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def _start() -> None:
    """Prepare a worker: one thread, and an end when it is told or its parent is gone."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        for _ in range(round(PATIENCE_S / PAUSE_S)):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(PAUSE_S)
        os._exit(1)
