"""Teach a finished bundle a second view of its diagnoses: the typical beat of each record.

The net is frozen: it only says where the beats are. The records are those that taught its own
diagnoses; temperatures and thresholds are fitted anew on those that it held out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fascicle.bundle import TYPICAL, VIEWED, Bundle
from fascicle.data.augment import Augmentation, draw_leads
from fascicle.data.batch import Group
from fascicle.data.pack import Entry
from fascicle.data.packing import Progress, no_progress
from fascicle.decode.typical import BEFORE_S, STEP_S
from fascicle.errors import BadBundle, BadData
from fascicle.labels import Vocabulary
from fascicle.models.typical import BEAT_SAMPLES, TypicalHead, TypicalView
from fascicle.passing import record_logits
from fascicle.second_view import peaks_of, sights_of
from fascicle.train.groups import open_groups
from fascicle.train.held_out import Held, calibrate, follow, read_entry
from fascicle.train.loop import move_average
from fascicle.train.optimiser import take_step

Floats = NDArray[np.float32]
Reading = Callable[[Sequence[Entry]], Iterable[Entry]]
Teaching = Callable[[range], Iterable[int]]
PEAK = round(BEFORE_S / STEP_S)
"""The sample of a typical beat at which its R peak is."""


@dataclass(frozen=True, slots=True)
class Sights:
    """What the second view is taught: a row for each stretch of ten seconds of each record.

    `beats` (row, lead, sample) mV, `present` (row, lead), `numbers` (row, number), `covariates`
    (row, covariate), `labels` and `known` (row, class); `record` (row,) counts the records.
    """

    beats: Floats
    present: NDArray[np.bool_]
    numbers: Floats
    covariates: Floats
    labels: Floats
    known: Floats
    record: NDArray[np.intp]

    @property
    def records(self) -> int:
        """Return how many records there are."""
        return int(self.record[-1]) + 1

    @property
    def chances(self) -> NDArray[np.float64]:
        """Return how often each row is drawn, (row,): every record alike, however long."""
        share = 1 / np.bincount(self.record)[self.record]
        return np.asarray(share / share.sum())


@dataclass(frozen=True, slots=True)
class Lesson:
    """How the second view is taught.

    `gain` varies all leads, `lead_gain` each by itself, `stretch` the time around the R peak
    (standard deviations of logarithms), `noise` is in mV, `shift` in samples to each side; `leads`
    says how often leads are gone, and `covariate_drop` how often age and sex are not known.
    Voltages decide on hypertrophy: a larger gain costs more than it teaches.
    """

    steps: int = 6400
    rows: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.3
    average: float = 0.99
    gain: float = 0.05
    lead_gain: float = 0.03
    stretch: float = 0.05
    noise: float = 0.03
    shift: int = 3
    leads: Augmentation = field(default_factory=partial(Augmentation, lead_set=0.2, lead_drop=0.1))
    covariate_drop: float = 0.2


def gather(bundle: Bundle, groups: Sequence[Group], reading: Reading = iter) -> Sights:
    """Return what the records of these groups show, as the bundle's net finds their beats.

    Raises
    ------
    BadBundle
        If it can have no second view (`check_viewable`).
    BadData
        If the net finds no beat in any of them.
    """
    check_viewable(bundle)
    network, vocabulary = bundle.network(), bundle.vocabularies[VIEWED]
    rate_hz = bundle.recipe.preprocessing.rate_hz
    asked = {name: task for name, task in bundle.tasks().items() if name in ("waves", "beats")}
    every = {entry.key: (group, entry) for group in groups for entry in group.entries}
    rows: list[tuple[NDArray[Any], ...]] = []
    counts: list[int] = []
    for entry in reading([entry for _, entry in every.values()]):
        group, _ = every[entry.key]
        prepared = read_entry(group.pack, entry, group.leads)
        logits = record_logits(network, asked, prepared, rate_hz)
        seen = sights_of(prepared, peaks_of(logits, prepared, rate_hz), rate_hz)
        told = prepared.present, prepared.covariates, *_labels_of(entry, vocabulary)
        rows += [(*sight, *told) for sight in seen]
        counts += [len(seen)] if seen else []
    if not rows:
        raise BadData(f"{bundle.recipe.name}: no beat found in {len(every)} records")
    beats, numbers, present, covariates, labels, known = (
        np.stack(column) for column in zip(*rows, strict=True)
    )
    record = np.repeat(np.arange(len(counts)), counts)
    return Sights(beats, present, numbers, covariates, labels, known, record)


def _labels_of(entry: Entry, vocabulary: Vocabulary) -> tuple[Floats, Floats]:
    labels, known = vocabulary.encode(entry.labels)
    return labels.astype(np.float32), known.astype(np.float32)


def check_viewable(bundle: Bundle) -> None:
    """Refuse a bundle that cannot have a second view (BadBundle)."""
    if bundle.members:
        raise BadBundle("an ensemble has no one second view: teach its members, then join them")
    if not {"beats", VIEWED} <= set(bundle.recipe.tasks):
        has = ", ".join(bundle.recipe.tasks)
        raise BadBundle(f"beats and {VIEWED} are needed; the net has {has}")
    if bundle.network().windowed:
        raise BadBundle("a net of windows of one length finds no beats of whole records")


def teach(
    sights: Sights, seed: int, lesson: Lesson | None = None, teaching: Teaching = iter
) -> TypicalView:
    """Return the second view that these sights teach: of each head the running average."""
    lesson = lesson or Lesson()
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        view = TypicalView(sights.labels.shape[1])
        steps = iter(teaching(range(lesson.steps * len(view.heads))))
        for place, head in enumerate(view.heads):
            assert isinstance(head, TypicalHead)
            head.mean = torch.from_numpy(sights.numbers.mean(axis=0))
            head.scale = torch.from_numpy(sights.numbers.std(axis=0) + np.float32(0.05))
            view.heads[place] = _fit(head, sights, lesson, rng, islice(steps, lesson.steps))
    return view.eval()


def _fit(
    head: TypicalHead,
    sights: Sights,
    lesson: Lesson,
    rng: np.random.Generator,
    steps: Iterable[int],
) -> TypicalHead:
    rate = lesson.learning_rate
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=lesson.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=max(lesson.steps, 2), pct_start=0.1
    )
    labels, known = torch.from_numpy(sights.labels), torch.from_numpy(sights.known)
    chances, kept = sights.chances, copy.deepcopy(head)
    for step, _ in enumerate(steps):
        rows = rng.choice(len(labels), size=lesson.rows, p=chances)
        logits = head(*varied(sights, rows, lesson, rng))
        loss = functional.binary_cross_entropy_with_logits(logits, labels[rows], reduction="none")
        mean = (loss * known[rows]).sum() / known[rows].sum().clamp(min=1)
        take_step(mean, head, optimiser, schedule)
        move_average(kept, head, min(lesson.average, (1 + step) / (10 + step)))
    return kept


def varied(
    sights: Sights, rows: NDArray[np.intp], lesson: Lesson, rng: np.random.Generator
) -> tuple[Tensor, ...]:
    """Return beats, leads, numbers and covariates of these rows, each varied by itself."""
    count, leads, _ = sights.beats[rows].shape
    shifts = rng.integers(-lesson.shift, lesson.shift + 1, size=(count, 1))
    speed = np.exp(lesson.stretch * rng.standard_normal((count, 1)))
    clock = np.arange(BEAT_SAMPLES, dtype=np.float64) - shifts - PEAK
    moved = _at(sights.beats[rows], clock * speed + PEAK)
    gain = lesson.gain * rng.standard_normal((count, 1))
    gain = gain + lesson.lead_gain * rng.standard_normal((count, leads))
    beats = moved * np.exp(gain)[..., None].astype(np.float32)
    beats += lesson.noise * rng.standard_normal(beats.shape, dtype=np.float32)
    present = np.stack([draw_leads(own, lesson.leads, rng) for own in sights.present[rows]])
    covariates = sights.covariates[rows].copy()
    covariates[rng.random(count) < lesson.covariate_drop] = 0
    made = beats, present, sights.numbers[rows], covariates
    return tuple(torch.from_numpy(array) for array in made)


def _at(beats: Floats, places: NDArray[np.float64]) -> Floats:
    """Return beats (row, lead, sample) at other places (row, sample), their ends repeated."""
    places = np.clip(places, 0, beats.shape[2] - 1)
    before = np.floor(places).astype(np.intp)
    after = np.minimum(before + 1, beats.shape[2] - 1)
    low, high = (np.take_along_axis(beats, at[:, None], axis=2) for at in (before, after))
    part = (places - before).astype(np.float32)[:, None]
    return np.asarray(low + part * (high - low))


def add_view(bundle: Bundle, view: TypicalView, entry: dict[str, Any], held: Held) -> Bundle:
    """Return the bundle with this second view in place of any other, and `entry` in its card.

    Temperatures and thresholds are those of both views on the records held out; without any they
    stay as they are. Scores of the net alone leave the card.
    """
    check_viewable(bundle)
    own = {name: w for name, w in bundle.weights.items() if not name.startswith(TYPICAL)}
    state = {f"{TYPICAL}{name}": tensor for name, tensor in view.state_dict().items()}
    card = {**bundle.card, "typical": entry, "scores": []}
    grown = replace(bundle, weights={**own, **state}, card=card, sha256="")
    return calibrate(grown, grown.network(), held)


def view_bundle(
    bundle: Bundle,
    data_dir: Path,
    packs_dir: Path,
    *,
    seed: int = 0,
    like: Bundle | None = None,
    version: str | None = None,
    lesson: Lesson | None = None,
    packing: Progress = no_progress,
    reading: Reading = iter,
    teaching: Teaching = iter,
) -> Bundle:
    """Return the bundle with a second view, taught on the records that taught its diagnoses.

    Parameters
    ----------
    like
        A development bundle whose temperatures, thresholds and scores are taken, as
        `train.run.train_recipe` does.
    version
        Of the new bundle; None leaves it as it was.
    packing, reading, teaching
        Progress bars: of packs, of records whose beats are found, of steps.
    """
    check_viewable(bundle)
    groups, held = open_groups(bundle.recipe, data_dir, packs_dir, packing)
    teachers = [group for group in groups if VIEWED in group.tasks]
    sights = gather(bundle, teachers, reading)
    sets = sorted({entry.key.partition("/")[0] for group in teachers for entry in group.entries})
    entry = {"sets": sets, "records": sights.records, "rows": len(sights.labels), "seed": seed}
    grown = add_view(bundle, teach(sights, seed, lesson, teaching), entry, held)
    if version is not None:
        recipe = bundle.recipe.model_copy(update={"version": version})
        grown = replace(grown, recipe=recipe)
    return grown if like is None else follow(grown, like)
