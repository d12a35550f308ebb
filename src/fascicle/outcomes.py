"""Logits become what was found: waves, beats, rhythms and answers, at once or block by block.

Block by block no array of a whole record is held, so that a day fits into memory. Blocks overlap by
more than what decides a wave, a beat or a frame of rhythm; what lies in their kept parts counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fascicle.bundle import VIEWED, Bundle
from fascicle.decode.beats import (
    BeatPeaks,
    beat_peaks,
    find_beats,
    leave_out_qrs,
    name_beats,
    pooled_qrs,
)
from fascicle.decode.calibration import apply_temperature
from fascicle.decode.context import beat_features, join_kinds, write_kinds
from fascicle.decode.delineation import delineate_leads
from fascicle.decode.rhythm import find_rhythms, leave_out_p, named_by_rhythm, with_runs
from fascicle.decode.stitch import Window, cut, recut
from fascicle.memory import give_back
from fascicle.models.context import ContextHead
from fascicle.models.network import Network
from fascicle.passing import (
    Answers,
    Array,
    Piece,
    Prepared,
    Progress,
    answer_at_once,
    dense_heads,
    is_dense,
    pieces,
)
from fascicle.record import LEADS, Beat, Rhythm, Wave
from fascicle.second_view import joined, second_answer
from fascicle.tasks import TASKS, Answer, Outcome, Task

BLOCK_S = 300.0
BLOCKS_BETWEEN = 4
"""After so many blocks memory that is free is given back."""
MARGIN_S = 30.0
"""To each side of what counts: the eight beats around a beat of a slow heart."""


def activated(
    found: Mapping[str, Array],
    tasks: Mapping[str, Task],
    bundle: Bundle,
    second: Array | None = None,
) -> dict[str, Array]:
    """Return the probabilities that the logits of one record make, and those of a second view."""
    made = {}
    for name, task in tasks.items():
        temperatures = bundle.temperatures.get(name)
        logits = joined(task.deciding(found[name]), second if name == VIEWED else None)
        if task.resolution == "record" and temperatures:
            widened = logits[None].astype(np.float64)
            made[name] = apply_temperature(widened, np.asarray(temperatures))[0]
        else:
            made[name] = task.activate(logits)
    return made


def tell_by_context(
    second: ContextHead, made: Mapping[str, Array], prepared: Prepared, rate_hz: float
) -> None:
    """Write the kinds that the beats around a beat tell into its probabilities, in place."""
    beats = made["beats"]
    qrs = pooled_qrs(made["waves"][prepared.present])
    found = find_beats(beats[0], beats[1:], rate_hz, qrs=qrs)
    times = np.array([beat.time_s for beat in found])
    if times.size:
        p_wave = [made["waves"][row, 1] for row in np.flatnonzero(prepared.present)]
        told = _told(second, prepared, p_wave, times, rate_hz)
        write_kinds(beats[1:], told, times, rate_hz)


@torch.inference_mode()
def _told(
    second: ContextHead,
    prepared: Prepared,
    p_wave: Sequence[Array],
    times: NDArray[np.float64],
    rate_hz: float,
) -> Array:
    """Return the second stage's kinds (kind, beat)."""
    signal = [prepared.signal[row] for row in np.flatnonzero(prepared.present)]  # no copies
    features = beat_features(signal, times, p_wave, rate_hz)
    told: Array = second(torch.from_numpy(features)[None])[0].softmax(-1).numpy().T
    return told


def outcome(
    prepared: Prepared, arrays: Mapping[str, Array], bundle: Bundle, tasks: Mapping[str, Task]
) -> Outcome:
    """Return waves per lead, beats, rhythms and answers that one record's probabilities make."""
    rate_hz = bundle.recipe.preprocessing.rate_hz
    waves: Mapping[str, Sequence[Wave]] = {}
    if "waves" in arrays:
        there = {LEADS[row]: row for row in np.flatnonzero(prepared.present).tolist()}
        waves = delineate_leads(
            {lead: arrays["waves"][row] for lead, row in there.items()},
            rate_hz,
            signals={lead: prepared.signal[row] for lead, row in there.items()},
        )
    beats = None
    if "beats" in arrays:
        qrs = pooled_qrs(arrays["waves"][prepared.present]) if "waves" in arrays else None
        beats = find_beats(arrays["beats"][0], arrays["beats"][1:], rate_hz, qrs=qrs)
    duration_s = prepared.signal.shape[1] / rate_hz
    rhythms, answers = _said(arrays, bundle, tasks, duration_s)
    return _agreed(chain(*waves.values()), beats, rhythms, answers)


def _agreed(
    waves: Iterable[Wave],
    beats: Sequence[Beat] | None,
    rhythms: tuple[Rhythm, ...] | None,
    answers: dict[str, Answer],
) -> Outcome:
    """Return all that was found: waves as beats and rhythms have them, each of these as the other.

    `beats` and `rhythms` are None where nobody asked for them.
    """
    lasting = rhythms or ()
    waves = leave_out_p(waves, lasting)
    if beats is not None:
        waves = leave_out_qrs(waves, beats)
    named = named_by_rhythm(beats or (), lasting)
    told = () if rhythms is None else with_runs(rhythms, named)
    return Outcome(waves, named, told, answers)


def _said(
    arrays: Mapping[str, Array], bundle: Bundle, tasks: Mapping[str, Task], duration_s: float
) -> tuple[tuple[Rhythm, ...] | None, dict[str, Answer]]:
    """Return the rhythms, if asked for, and the answer of each task of whole records."""
    rhythms = None
    answers = {}
    for name, task in tasks.items():
        if task.kind == "rhythm":
            kinds = [term.code for term in task.vocabulary.terms]
            rhythms = find_rhythms(arrays[name], duration_s, kinds)
        if task.resolution == "record":
            thresholds = np.asarray(bundle.thresholds_of(name))
            answers[name] = Answer(arrays[name], arrays[name] >= thresholds)
    return rhythms, answers


def goes_by_blocks(network: Network, tasks: Mapping[str, Task]) -> bool:
    """Return whether no task needs a whole record at once, as a Perceiver's does."""
    at_once = any(task.whole and task.resolution == "record" for task in tasks.values())
    return not (network.windowed or at_once)


def outcome_by_blocks(
    network: Network,
    tasks: Mapping[str, Task],
    prepared: Prepared,
    bundle: Bundle,
    progress: Progress | None = None,
    block_s: float = BLOCK_S,
    chunk_s: float | None = None,
) -> Outcome:
    """Return what `outcome` does of the probabilities of `predict`, in little memory.

    Parameters
    ----------
    progress
        Told of each chunk that has passed the net.
    block_s, chunk_s
        Length of what is decoded, and of what passes the net, at once.
    """
    rate_hz, frame = bundle.recipe.preprocessing.rate_hz, network.samples_per_frame
    samples = prepared.signal.shape[1]
    by_window = [name for name, task in tasks.items() if not (task.whole or is_dense(task))]
    answers = Answers(network, by_window, prepared, rate_hz)
    dense = dense_heads(network, tasks)

    def columns() -> Iterator[Sequence[Array]]:
        piece: Piece
        for piece in pieces(network, dense, prepared, rate_hz, chunk_s, progress):
            answers.add(piece.frames)
            yield [*(piece.logits[name].numpy() for name in dense), piece.frames.numpy()]

    decoder = Decoder(network, tasks, prepared, bundle)
    margin = frame * round(MARGIN_S * rate_hz / frame)
    size = frame * round(block_s * rate_hz / frame) + 2 * margin
    steps = [*(1 for _ in dense), frame]
    blocks = recut(cut(samples, size, 2 * margin), columns(), steps)
    for number, (window, arrays) in enumerate(blocks):
        decoder.take(window, dict(zip(dense, arrays[:-1], strict=True)), arrays[-1])
        if number % BLOCKS_BETWEEN == 0:  # waves, which stay, lie between what the net has freed
            give_back()
    give_back()
    found = decoder.outcome(answers.mean())
    give_back()
    return found


class Decoder:
    """What was found so far in the blocks of one record, which come in order of time."""

    def __init__(
        self, network: Network, tasks: Mapping[str, Task], prepared: Prepared, bundle: Bundle
    ) -> None:
        self.network, self.tasks, self.prepared, self.bundle = network, tasks, prepared, bundle
        self.rate_hz = bundle.recipe.preprocessing.rate_hz
        self.waves: dict[int, list[Wave]] = {
            row: [] for row in np.flatnonzero(prepared.present).tolist()
        }
        self.beats: list[BeatPeaks] = []
        self.framed: dict[str, list[Array]] = {
            name: [] for name, task in tasks.items() if task.whole
        }
        self.second = bundle.context() if {"beats", "waves"} <= tasks.keys() else None
        self.view = bundle.typical() if VIEWED in tasks else None
        # the largest over the leads: all that the second stage asks of P waves
        samples = prepared.signal.shape[1] if self.second is not None else 0
        self.p_wave = np.zeros(samples, dtype=np.float32)

    def take(self, window: Window, logits: Mapping[str, Array], frames: Array) -> None:
        """Decode a block from its dense logits (..., sample) and its deepest frames."""
        qrs = None
        if "waves" in self.tasks:
            qrs = self._take_waves(window, logits["waves"])
        elif "waves" in logits:
            qrs = pooled_qrs(TASKS["waves"].activate(logits["waves"][self.prepared.present]))
        if "beats" in self.tasks or self.view is not None:
            made = TASKS["beats"].activate(logits["beats"])
            found = beat_peaks(made[0], made[1:], self.rate_hz, qrs=qrs)
            if self.second is not None:  # it goes by what the net says at the R peak
                place = np.rint(found.time_s * self.rate_hz).astype(np.intp)
                kinds = made[1:, np.clip(place, 0, made.shape[1] - 1)]
                found = found._replace(kinds=kinds)
            time_s = found.time_s + window.start / self.rate_hz
            kept = self._counts(window, time_s)
            self.beats.append(BeatPeaks(time_s[kept], found.height[kept], found.kinds[:, kept]))
        for name, parts in self.framed.items():
            parts.append(self._framed(name, window, logits, frames))

    def outcome(self, found: Mapping[str, Array]) -> Outcome:
        """Return all that was found, and what the logits of whole records say."""
        logits = dict(found)
        for name, parts in self.framed.items():
            logits[name] = np.concatenate(parts, axis=-1)
        said = {name: task for name, task in self.tasks.items() if name in logits}
        beats = self._beats() if self.beats else None
        second = None
        if self.view is not None and beats is not None:
            second = second_answer(self.view, self.prepared, beats, self.rate_hz)
        arrays = activated(logits, said, self.bundle, second)
        duration_s = self.prepared.signal.shape[1] / self.rate_hz
        rhythms, answers = _said(arrays, self.bundle, said, duration_s)
        named = self._named_beats(beats) if beats and "beats" in self.tasks else None
        return _agreed(chain(*self.waves.values()), named, rhythms, answers)

    def _take_waves(self, window: Window, logits: Array) -> Array:
        """Keep the waves of a block; return the probability of a QRS (sample,) in it."""
        task, start_s = self.tasks["waves"], window.start / self.rate_hz
        first, last = window.keep_start - window.start, window.keep_stop - window.start
        made = {LEADS[row]: task.activate(logits[row]) for row in self.waves}
        signal = self.prepared.signal[:, window.start : window.stop]
        found = delineate_leads(
            made, self.rate_hz, None, {LEADS[row]: signal[row] for row in self.waves}, start_s
        )
        for row, own in self.waves.items():
            columns, mine = made[LEADS[row]], found[LEADS[row]]
            if self.p_wave.size:
                p_wave = self.p_wave[window.keep_start : window.keep_stop]
                np.maximum(p_wave, columns[1, first:last], out=p_wave)
            onsets = np.array([wave.onset_s for wave in mine], dtype=np.float64)
            own.extend(compress(mine, self._counts(window, onsets)))
        return pooled_qrs(made.values())

    def _counts(self, window: Window, time_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which times lie in the part of a block that counts."""
        # a quarter of a sample off the grid, on which many boundaries lie exactly
        first, last = (
            (edge - 0.25) / self.rate_hz for edge in (window.keep_start, window.keep_stop)
        )
        ends = window.keep_stop == self.prepared.signal.shape[1]
        begins = window.keep_start == 0
        return np.asarray(((time_s >= first) | begins) & ((time_s < last) | ends))

    def _framed(
        self, name: str, window: Window, logits: Mapping[str, Array], frames: Array
    ) -> Array:
        """Return the logits (class, frame) of a task of frames where the block counts."""
        step = self.network.samples_per_frame
        signal = self.prepared.signal[:, window.start : window.stop]
        block = Prepared(signal, self.prepared.present, self.prepared.covariates)
        needed = {need: _batch(logits[need]) for need in self.tasks[name].needs}
        made = answer_at_once(self.network, name, torch.from_numpy(frames), block, needed).numpy()
        first, last = window.keep_start - window.start, window.keep_stop - window.start
        return np.array(made[:, first // step : -(-last // step)])

    def _beats(self) -> BeatPeaks:
        """Return the beats of all blocks, of the net's own kinds."""
        columns = zip(*self.beats, strict=True)
        return BeatPeaks(*(np.concatenate(column, axis=-1) for column in columns))

    def _named_beats(self, found: BeatPeaks) -> tuple[Beat, ...]:
        if self.second is not None and found.time_s.size:
            p_wave = [self.p_wave] * len(self.waves)
            told = _told(self.second, self.prepared, p_wave, found.time_s, self.rate_hz)
            found = found._replace(kinds=join_kinds(found.kinds.astype(np.float32), told))
        return name_beats(found)


def _batch(array: Array) -> Tensor:
    return torch.from_numpy(array)[None]
