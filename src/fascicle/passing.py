"""A net passes over a record of any length: logits of every task.

Long records pass in chunks that overlap by all that one output can see, several at a time, so that
the result is that of one pass. What the norms need is taken from ten-second windows first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fascicle.decode.stitch import Window, cut
from fascicle.memory import give_back
from fascicle.models.blocks import Statistics, twin
from fascicle.models.network import Network
from fascicle.models.unet import Features
from fascicle.record import Signal
from fascicle.tasks import Task

Array = NDArray[np.float32]
Item = TypeVar("Item")
Made = TypeVar("Made")
Progress = Callable[[float, float], None]
"""Called with the seconds that are done and all of them."""

WINDOW_S = 10.0
LONG_S = 900.0
"""Longer records have longer chunks, and need not be held as a whole."""
CHUNK_S, LONG_CHUNK_S = 60.0, 180.0
EVERY_S, STATISTICS_S = 3600.0, 60.0
"""Up to the first length every window gives statistics, beyond as many, or one this often."""
WINDOWS_AT_ONCE = 12
MOST_THREADS = 4
"""More chunks at a time take more memory."""
HEAD_REACH = 64
"""Samples to each side that the heads see beyond the trunk's reach."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record as the net sees it: signal (lead, sample) mV at the net's rate, and covariates."""

    signal: Signal
    present: NDArray[np.bool_]
    covariates: Array


class Piece(NamedTuple):
    """What a net makes of samples [start, stop): dense logits (..., sample), deepest frames."""

    start: int
    stop: int
    logits: dict[str, Tensor]
    frames: Tensor


def is_long(prepared: Prepared, rate_hz: float) -> bool:
    """Return whether a record is so long that it is read by large chunks and by blocks."""
    return bool(prepared.signal.shape[1] > LONG_S * rate_hz)


def window_spans(samples: int, rate_hz: float) -> list[tuple[int, int]]:
    """Return samples (start, stop) of windows of about ten seconds; up to 15 s are one window."""
    parts = max(round(samples / (WINDOW_S * rate_hz)), 1)
    edges = np.linspace(0, samples, parts + 1).round().astype(int)
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def is_dense(task: Task) -> bool:
    """Return whether a task's head answers for each sample, in pieces of any length."""
    return not (task.whole or task.resolution == "record")


def dense_heads(network: Network, tasks: Mapping[str, Task]) -> dict[str, nn.Module]:
    """Return the heads of the dense tasks that are asked, or needed by one that is."""
    asked = set(tasks).union(*(task.needs for task in tasks.values()))
    asked -= {name for name, task in tasks.items() if not is_dense(task)}
    return {name: network.heads[name] for name in network.order if name in asked}


@torch.inference_mode()
def record_logits(
    network: Network,
    tasks: Mapping[str, Task],
    prepared: Prepared,
    rate_hz: float,
    chunk_s: float | None = None,
) -> dict[str, Array]:
    """Return the logits of one record: dense heads see it in chunks, the others by ten seconds."""
    samples = prepared.signal.shape[1]
    found: dict[str, Array] = {}
    frames: list[Tensor] = []
    by_window = [n for n, task in tasks.items() if not (task.whole or is_dense(task))]
    answers = Answers(network, by_window, prepared, rate_hz)
    for piece in pieces(network, dense_heads(network, tasks), prepared, rate_hz, chunk_s):
        for name, made in piece.logits.items():
            if name not in found:
                found[name] = np.empty((*made.shape[:-1], samples), dtype=np.float32)
            found[name][..., piece.start : piece.stop] = made
        frames.append(piece.frames)
        answers.add(piece.frames)
    for name in [name for name, task in tasks.items() if task.whole]:
        needed = {need: torch.from_numpy(found[need])[None] for need in tasks[name].needs}
        every = torch.cat(frames, dim=-1)
        found[name] = answer_at_once(network, name, every, prepared, needed).numpy()
    return found | answers.mean()


def pieces(
    network: Network,
    dense: Mapping[str, nn.Module],
    prepared: Prepared,
    rate_hz: float,
    chunk_s: float | None = None,
    progress: Progress | None = None,
) -> Iterator[Piece]:
    """Yield what the net makes of a record, in order of time and without a seam.

    Parameters
    ----------
    dense
        Heads with an answer per sample.
    chunk_s
        Length of the chunks that pass at once; the default goes with the record's length.
    """
    samples = prepared.signal.shape[1]
    spans = window_spans(samples, rate_hz)
    if len(spans) == 1:
        features, made = _run(network, dense, prepared.signal[None], prepared)
        logits = {name: logits[0] for name, logits in made.items()}
        yield Piece(0, samples, logits, features.frames)
        return
    long = is_long(prepared, rate_hz)
    statistics = Statistics([network.backbone, *dense.values()])
    windows = _chunks(network, samples, (chunk_s or (LONG_CHUNK_S if long else CHUNK_S)) * rate_hz)
    try:
        centres = _take_statistics(network, dense, prepared, spread(spans), statistics)
        give_back()
        for piece in _pass(network, list(dense), prepared, windows, statistics, centres):
            yield piece
            if progress is not None:
                progress(piece.stop / rate_hz, samples / rate_hz)
    finally:
        statistics.forget()


def spread(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return every window; of many as many as a record of `EVERY_S` has, or one a minute."""
    count = max(round(EVERY_S / WINDOW_S), round(len(spans) * WINDOW_S / STATISTICS_S))
    if count >= len(spans):
        return list(spans)
    return [spans[place] for place in np.linspace(0, len(spans) - 1, count).round().astype(int)]


def _chunks(network: Network, samples: int, chunk: float) -> list[Window]:
    """Return windows of about `chunk` samples that overlap by twice what one output sees."""
    frame = network.samples_per_frame
    assert network.reach_samples is not None  # windowed nets go another way
    overlap = 2 * frame * -(-(network.reach_samples + HEAD_REACH) // frame)
    size = max(frame * round(chunk / frame), 2 * overlap)
    return cut(samples, size, overlap) if samples > size else cut(samples, samples, 0)


@torch.inference_mode()
def _take_statistics(
    network: Network,
    dense: Mapping[str, nn.Module],
    prepared: Prepared,
    spans: Sequence[tuple[int, int]],
    statistics: Statistics,
) -> Tensor:
    """Take the norms' statistics from ten-second windows; return the centres of these."""
    size = min(stop - start for start, stop in spans)
    starts = [start for start, _ in spans]

    def take(net: Network, own: Statistics, batch: Sequence[int]) -> list[Tensor]:
        windows = np.stack([prepared.signal[:, start : start + size] for start in batch])
        with own.take(len(batch)):
            _run(net, {name: net.heads[name] for name in dense}, windows, prepared)
        return own.hand_over()

    firsts = range(0, len(starts), WINDOWS_AT_ONCE)
    batches = [starts[first : first + WINDOWS_AT_ONCE] for first in firsts]
    for taken in _each(take, batches, network, list(dense), statistics):
        statistics.receive(taken)
    statistics.settle()
    return torch.tensor(starts) + size // 2


@torch.inference_mode()
def _run(
    network: Network, dense: Mapping[str, nn.Module], windows: Signal, prepared: Prepared
) -> tuple[Features, dict[str, Tensor]]:
    """Return features and dense logits of windows (batch, lead, sample) of one record."""
    signal = torch.from_numpy(np.ascontiguousarray(windows))
    present = torch.from_numpy(prepared.present).expand(len(windows), -1)
    covariates = torch.from_numpy(prepared.covariates).expand(len(windows), -1)
    valid = torch.full((len(windows),), windows.shape[-1])
    features: Features = network.backbone(signal, present)
    logits = {
        name: head(features, signal, present, valid, covariates) for name, head in dense.items()
    }
    return features, logits


def _pass(
    network: Network,
    dense: Sequence[str],
    prepared: Prepared,
    windows: Sequence[Window],
    statistics: Statistics,
    centres: Tensor,
) -> Iterator[Piece]:
    """Yield the pieces of the windows in order; as many at a time as torch has threads."""

    def make(net: Network, own: Statistics, window: Window) -> Piece:
        signal = prepared.signal[None, :, window.start : window.stop]
        heads = {name: net.heads[name] for name in dense}
        with own.of_piece(centres, window.start, signal.shape[-1]):
            features, logits = _run(net, heads, signal, prepared)
        first, last = window.keep_start - window.start, window.keep_stop - window.start
        kept = {name: made[0, ..., first:last] for name, made in logits.items()}
        frame = features.samples_per_frame
        frames = features.frames[..., first // frame : -(-last // frame)]
        return Piece(window.keep_start, window.keep_stop, kept, frames)

    yield from _each(make, windows, network, dense, statistics)


def _each(
    work: Callable[[Network, Statistics, Item], Made],
    items: Sequence[Item],
    network: Network,
    dense: Sequence[str],
    statistics: Statistics,
) -> Iterator[Made]:
    """Yield what is made of each item, in order; as many at a time as torch has threads.

    Each thread has a twin of the net, so that no state is shared.
    """
    threads = min(torch.get_num_threads(), MOST_THREADS, len(items))
    if threads == 1:
        yield from (work(network, statistics, item) for item in items)
        return
    idle: SimpleQueue[tuple[Network, Statistics]] = SimpleQueue()
    for _ in range(threads):
        net = twin(network)
        idle.put((net, Statistics([net.backbone, *(net.heads[name] for name in dense)])))

    def with_any(item: Item) -> Made:
        net, own = idle.get()
        try:
            return work(net, own, item)
        finally:
            idle.put((net, own))

    yield from _in_order(with_any, items, threads)


def _in_order(work: Callable[[Item], Made], items: Iterable[Item], threads: int) -> Iterator[Made]:
    """Yield what threads of one core each make of the items; few wait to be taken.

    The thread that takes them keeps to one core too: torch's threads wait for each other by
    spinning, which would take the cores from those at work.
    """
    before = torch.get_num_threads()
    waiting: deque[Future[Made]] = deque()
    torch.set_num_threads(1)
    with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            torch.set_num_threads(before)


class Answers:
    """The answers of heads to each ten-second window, as its frames come; their mean at the end."""

    def __init__(
        self, network: Network, names: Iterable[str], prepared: Prepared, rate_hz: float
    ) -> None:
        self.heads = {name: network.heads[name] for name in names}
        self.frame, self.prepared = network.samples_per_frame, prepared
        self.left = deque(window_spans(prepared.signal.shape[1], rate_hz))
        self.parts: dict[str, list[Tensor]] = {name: [] for name in self.heads}
        self.frames: Tensor | None = None
        self.first = 0

    @torch.inference_mode()
    def add(self, frames: Tensor) -> None:
        """Take the frames (1, channel, frame) that follow, and answer what windows they fill."""
        if not self.heads:
            return
        held = frames if self.frames is None else torch.cat([self.frames, frames], dim=-1)
        while self.left:
            start, stop = self.left[0]
            first, last = start // self.frame - self.first, -(-stop // self.frame) - self.first
            if last > held.shape[-1]:
                break
            part = held[..., first:last]
            valid = stop - start // self.frame * self.frame
            for name, head in self.heads.items():
                self.parts[name].append(_answer(head, part, self.frame, valid, self.prepared))
            self.left.popleft()
        done = self.left[0][0] // self.frame - self.first if self.left else held.shape[-1]
        self.first += done
        self.frames = held[..., done:].clone()

    def mean(self) -> dict[str, Array]:
        """Return the mean logits (class,) of each head."""
        return {name: torch.stack(parts).mean(0).numpy() for name, parts in self.parts.items()}


def _answer(head: nn.Module, part: Tensor, frame: int, valid: int, prepared: Prepared) -> Tensor:
    """Return a head's logits (class,) of one window of frames with so many valid samples."""
    features = Features(part, frame, part, frame)
    present = torch.from_numpy(prepared.present)[None]
    covariates = torch.from_numpy(prepared.covariates)[None]
    logits: Tensor = head(features, part, present, torch.tensor([valid]), covariates)[0]
    return logits


@torch.inference_mode()
def answer_at_once(
    network: Network, name: str, frames: Tensor, prepared: Prepared, needed: Mapping[str, Tensor]
) -> Tensor:
    """Return a head's logits (class,) of a whole record, and of what other heads said of it."""
    signal = torch.from_numpy(prepared.signal)[None]
    present = torch.from_numpy(prepared.present)[None]
    covariates = torch.from_numpy(prepared.covariates)[None]
    valid = torch.tensor([signal.shape[-1]])
    frame = network.samples_per_frame
    features = Features(frames, frame, frames, frame)
    head = network.heads[name]
    logits: Tensor = head(features, signal, present, valid, covariates, needed)[0]
    return logits
