"""Teach a finished bundle to tell the kind of a beat from its context: a second stage on its own.

The net is frozen: it only says where P waves are. The beats are the reference ones, with what
`decode.context` measures of them, beside the same beats set into other rhythms
(`data.rhythms`). The net's own beats head has seen these records, so its answers on them are too
good to learn from, and the second stage does without.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fascicle.bundle import CONTEXT, Bundle
from fascicle.data.rhythms import RHYTHMS, rearrange
from fascicle.data.sources import SOURCES, Item
from fascicle.decode.context import FEATURES, beat_features
from fascicle.errors import BadBundle, BadData, BadRequest
from fascicle.models.context import ContextHead
from fascicle.predict import Model, Prepared, predict
from fascicle.record import BEAT_KINDS, LEADS, Record
from fascicle.signal.quality import assess
from fascicle.train.loop import move_average
from fascicle.train.optimiser import take_step

Floats = NDArray[np.float32]
Progress = Callable[[Sequence[Item]], Iterable[Item]]

WITHOUT_BEATS = "VFL"
FIBRILLATION = frozenset({"AFIB", "AFL"})
"""Rhythms in which early beats cannot be told, so that none are put there."""
PART_S = 600.0
"""Longest part of a record that is set into another rhythm."""
LEAST = 100
"""Beats that a record or a part of it needs."""


@dataclass(frozen=True, slots=True)
class Example:
    """One record, or part of one in another rhythm: features (beat, feature), kinds (beat,)."""

    record: str
    rhythm: str
    features: Floats
    kinds: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Lesson:
    """How the second stage is taught.

    `others` of the sequences come from records in other rhythms, `rare` of them hold an S (twice
    as likely), V or F beat; `noise` and `shift` (per sequence) are in standard deviations of each
    feature; `weights` are those of the kinds in the loss.
    """

    steps: int = 400
    rows: int = 24
    beats: int = 40
    learning_rate: float = 4e-3
    weight_decay: float = 0.1
    others: float = 0.5
    rare: float = 0.35
    noise: float = 0.4
    shift: float = 0.5
    smoothing: float = 0.02
    average: float = 0.98
    weights: tuple[float, ...] = (1.0, 2.0, 1.5, 1.0, 0.5)


def gather(
    bundle: Bundle,
    items: Sequence[Item],
    *,
    seed: int = 0,
    keep: Path | None = None,
    progress: Progress = iter,
) -> list[Example]:
    """Return what these MIT-BIH records teach: each as it is, and parts of it in other rhythms.

    Parameters
    ----------
    bundle
        Whose net finds P waves.
    items
        Records with reference beats.
    seed
        Of the other rhythms.
    keep
        Folder in which finished records are kept, for a run that goes on.

    Raises
    ------
    BadBundle
        If the bundle is an ensemble, or finds no beats or no waves.
    """
    check_teachable(bundle)
    model = Model(bundle)
    examples = []
    for item in progress(items):
        path = None if keep is None else keep / _file(bundle, item, seed)
        if path is not None and path.exists():
            examples += _read(path)
            continue
        made = _of_record(model, item, seed)
        if path is not None:
            _write(path, made)
        examples += made
    return examples


def check_teachable(bundle: Bundle) -> None:
    """Refuse a bundle that cannot have a second stage (BadBundle)."""
    if bundle.members:
        raise BadBundle("an ensemble has no one second stage: teach its members, then join them")
    if not {"beats", "waves"} <= set(bundle.recipe.tasks):
        raise BadBundle(f"beats and waves are needed; the net has {', '.join(bundle.recipe.tasks)}")


def _of_record(model: Model, item: Item, seed: int) -> list[Example]:
    record = SOURCES[item.key.partition("/")[0]].load(item)
    prepared = model.prepare(record, assess(record))
    times, kinds = scored_beats(record)
    if len(times) < LEAST:
        raise BadData(f"{item.key}: {LEAST} beats or more expected, found {len(times)}")
    features = features_of(model, prepared, times)
    found = [Example(record.name, "own", features, kinds)]
    atrial = any(rhythm.kind in FIBRILLATION for rhythm in record.rhythms)
    for place, rhythm in enumerate(["breathing"] if atrial else RHYTHMS):
        rng = np.random.default_rng([seed, place, *record.name.encode()])
        found.append(_in_rhythm(model, prepared, record.name, times, kinds, rhythm, rng))
    return found


def scored_beats(record: Record) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return times and kinds of the beats outside ventricular flutter, where MIT-BIH has none."""
    spans = [(r.start_s, r.end_s) for r in record.rhythms if r.kind == WITHOUT_BEATS]
    beats = [b for b in record.beats if not any(a <= b.time_s < z for a, z in spans)]
    times = np.array([beat.time_s for beat in beats])
    return times, np.array([BEAT_KINDS.index(beat.kind) for beat in beats], dtype=np.intp)


def features_of(model: Model, prepared: Prepared, times: NDArray[np.float64]) -> Floats:
    """Return the features (beat, feature) of beats at known times."""
    waves = {"waves": model.tasks["waves"]}
    found = predict(model.network, waves, prepared, model.bundle)["waves"]
    rate_hz = model.bundle.recipe.preprocessing.rate_hz
    present = prepared.present
    return beat_features(prepared.signal[present], times, found[present, 1], rate_hz)


def _in_rhythm(
    model: Model,
    prepared: Prepared,
    name: str,
    times: NDArray[np.float64],
    kinds: NDArray[np.intp],
    rhythm: str,
    rng: np.random.Generator,
) -> Example:
    rate_hz = model.bundle.recipe.preprocessing.rate_hz
    begin = rng.uniform(times[0], max(times[-1] - PART_S, times[0]))
    part = (times >= begin) & (times <= begin + PART_S)
    if part.sum() < LEAST:
        part[:] = True
    signal, new, made = rearrange(
        prepared.signal[prepared.present], times[part], kinds[part], rhythm, rate_hz, rng
    )
    whole = np.zeros((len(LEADS), signal.shape[1]), dtype=np.float32)
    whole[prepared.present] = signal
    other = replace(prepared, signal=whole)
    return Example(name, rhythm, features_of(model, other, new), made)


def _file(bundle: Bundle, item: Item, seed: int) -> str:
    return f"{item.key.replace('/', '-')}-{seed}-{bundle.weights_sha256[:12]}.npz"


def _write(path: Path, examples: Sequence[Example]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    arrays: dict[str, NDArray[Any]] = {}
    for example in examples:
        name = f"{example.record}/{example.rhythm}"
        arrays[f"{name}/features"] = example.features
        arrays[f"{name}/kinds"] = example.kinds
    np.savez(part, allow_pickle=False, **arrays)
    part.replace(path)


def _read(path: Path) -> list[Example]:
    with np.load(path, allow_pickle=False) as kept:
        names = [name.removesuffix("/kinds") for name in kept.files if name.endswith("/kinds")]
        pairs = [(name, name.partition("/")) for name in names]
        return [
            Example(record, rhythm, kept[f"{name}/features"], kept[f"{name}/kinds"])
            for name, (record, _, rhythm) in pairs
        ]


def teach(examples: Sequence[Example], seed: int, lesson: Lesson | None = None) -> ContextHead:
    """Return the second stage that these examples teach, the running average of its weights.

    Raises
    ------
    BadRequest
        If there is no example, or one is shorter than a training sequence.
    """
    lesson = lesson or Lesson()
    if not examples or min(len(e.kinds) for e in examples) <= lesson.beats:
        raise BadRequest(f"examples of more than {lesson.beats} beats are needed")
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = ContextHead(len(BEAT_KINDS), len(FEATURES))
        every = np.concatenate([example.features for example in examples])
        head.mean = torch.from_numpy(every.mean(axis=0))
        head.scale = torch.from_numpy(every.std(axis=0) + np.float32(0.05))
        return _fit(head, examples, lesson, rng).eval()


def _fit(
    head: ContextHead, examples: Sequence[Example], lesson: Lesson, rng: np.random.Generator
) -> ContextHead:
    rate, steps = lesson.learning_rate, lesson.steps
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=lesson.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=max(steps, 2), pct_start=0.1
    )
    own = [example for example in examples if example.rhythm == "own"]
    others = [example for example in examples if example.rhythm != "own"]
    weight = torch.tensor(lesson.weights)
    kept = copy.deepcopy(head)
    for step in range(steps):
        beats, kinds = _draw(own or others, others or own, lesson, rng)
        spread = head.scale * (
            lesson.shift * torch.randn(len(beats), 1, beats.shape[-1])
            + lesson.noise * torch.randn(beats.shape)
        )
        loss = functional.cross_entropy(
            head(beats + spread).flatten(0, 1),
            kinds.flatten(),
            weight=weight,
            label_smoothing=lesson.smoothing,
        )
        take_step(loss, head, optimiser, schedule)
        move_average(kept, head, lesson.average if step > steps // 2 else 0.0)
    return kept


def _draw(
    own: Sequence[Example], others: Sequence[Example], lesson: Lesson, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return sequences (row, beat, feature) and their kinds (row, beat)."""
    rows = []
    for _ in range(lesson.rows):
        pool = others if rng.random() < lesson.others else own
        example = pool[int(rng.integers(len(pool)))]
        start = int(rng.integers(len(example.kinds) - lesson.beats))
        if rng.random() < lesson.rare:
            wanted = BEAT_KINDS.index(str(rng.choice(["S", "S", "V", "F"])))
            having = [e for e in pool if (e.kinds == wanted).any()]
            if having:
                example = having[int(rng.integers(len(having)))]
                place = int(rng.choice(np.flatnonzero(example.kinds == wanted)))
                start = place - int(rng.integers(lesson.beats))
                start = min(max(start, 0), len(example.kinds) - lesson.beats)
        rows.append((example, slice(start, start + lesson.beats)))
    beats = np.stack([example.features[span] for example, span in rows])
    kinds = np.stack([example.kinds[span] for example, span in rows])
    return torch.from_numpy(beats), torch.from_numpy(kinds.astype(np.int64))


def add_context(bundle: Bundle, head: ContextHead, entry: Mapping[str, Any]) -> Bundle:
    """Return the bundle with this second stage in place of any other, and `entry` in its card.

    What taught it stands among what taught the net, so that no test of those records is called one.
    Scores of the net alone leave the card.
    """
    check_teachable(bundle)
    own = {name: w for name, w in bundle.weights.items() if not name.startswith(CONTEXT)}
    state = {f"{CONTEXT}{name}": tensor for name, tensor in head.state_dict().items()}
    sets = {"source": entry["source"], "folds": entry["folds"], "records": entry["records"]}
    taught = {**sets, "sets": [entry["source"]], "tasks": ["beats"]}
    parts = [part for part in bundle.card.get("trained_on", []) if part != taught]
    card = {**bundle.card, "trained_on": [*parts, taught], "context": dict(entry), "scores": []}
    return replace(bundle, weights={**own, **state}, card=card, sha256="")


def card_entry(
    source: str, folds: Sequence[int], examples: Sequence[Example], seed: int
) -> dict[str, Any]:
    """Return what a card says of a second stage: what taught it, and from which seed."""
    return {
        "source": source,
        "folds": list(folds),
        "records": len({example.record for example in examples}),
        "beats": sum(len(e.kinds) for e in examples if e.rhythm == "own"),
        "beats_in_other_rhythms": sum(len(e.kinds) for e in examples if e.rhythm != "own"),
        "seed": seed,
    }
