"""Delineation of synthetic ECGs, whose truth is known: by rhythm, heart rate and noise.

    python benchmarks/delineation/rhythms.py [--bundle FILE]

One bundle, which has learnt no wave from synthetic ECGs (the development bundle learnt beats from
some, of other seeds).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import parts
from folds import Held, on_clock, seen
from invented_p import BUNDLE, SEEDS
from measuring import progress, rows

from fascicle.metrics.beats import match_beats
from fascicle.metrics.bootstrap import sums_interval
from fascicle.metrics.waves import boundary_counts, tally, tally_scores
from fascicle.predict import load
from fascicle.record import WAVE_KINDS, Record
from fascicle.synth import CONDITIONS, Noise, add_noise, synthesize

RATES_BPM = (30, 40, 50, 60, 80, 100, 120, 140, 160, 180, 200)
SNR_DB = (24, 12, 6, 0)
NOISES = ("muscle", "baseline", "mains")
MIXED = ("sinus", "af", "pvc", "lbbb")
TOLERANCES_S = (0.150, 0.040)


def main() -> None:
    options = parts.options(__doc__ or "")
    options.add_argument("--bundle", type=Path, default=BUNDLE)
    asked = options.parse_args()
    about = parts.start(asked)
    result = about | measure(asked)
    parts.write(asked, "rhythms", result, table(result))


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of every group of records."""
    model = load(None if asked.quick else asked.bundle, threads=1)
    seeds = SEEDS[:1] if asked.quick else SEEDS[:10]
    groups = dict(groups_of(seeds))
    chosen = list(groups)[:3] if asked.quick else list(groups)
    found = {}
    for name in progress(chosen, "groups"):
        found[name] = scores([seen(model, record) for record in groups[name]])
    return {"bundle": model.bundle.info.name, "records_of_each": len(seeds), "groups": found}


def groups_of(seeds: Sequence[int]) -> Iterator[tuple[str, Iterator[Record]]]:
    """Yield the name of each group and its records, made when they are asked for."""
    for condition in CONDITIONS:
        yield condition, usual(condition, None, seeds)
    for bpm in RATES_BPM:
        yield f"sinus, {bpm} bpm", usual("sinus", bpm, seeds)
    for kind in NOISES:
        for snr_db in SNR_DB:
            yield f"{kind}, {snr_db} dB", noisy(kind, snr_db, seeds)


def usual(condition: str, bpm: float | None, seeds: Sequence[int]) -> Iterator[Record]:
    for seed in seeds:
        yield synthesize(condition, seed=seed, heart_rate_bpm=bpm, noise=Noise())


def noisy(kind: str, snr_db: float, seeds: Sequence[int]) -> Iterator[Record]:
    for condition in MIXED:
        for seed in seeds:
            yield add_noise(synthesize(condition, seed=seed, noise=None), snr_db, kind, seed)


def scores(held: Sequence[Held]) -> dict[str, Any]:
    """Return F1 by kind and tolerance with limits over records, R peaks, and false P by lead."""
    sums = np.stack([wave_sums(one) for one in held])
    names = [one.reference.name + str(place) for place, one in enumerate(held)]

    def f1(counts: np.ndarray) -> np.ndarray:
        made = tally_scores(counts)
        return np.stack([made[f"{kind}.f1"] for kind in WAVE_KINDS], axis=-1)

    value = f1(sums.sum(axis=0))
    low, high = sums_interval(f1, sums, names, rng=np.random.default_rng(0))
    marked = sums.sum(axis=0)[0, ::2, [0, 2]].sum(axis=0)
    peaks = np.sum([beat_counts(one) for one in held], axis=0)
    limited = np.moveaxis([value, low, high], 0, -1).reshape(-1, 3)
    return {
        "f1": [[none(number) for number in row] for row in limited],
        "marked": dict(zip(WAVE_KINDS, marked.astype(int).tolist(), strict=True)),
        "false_p": int(sums.sum(axis=0)[0, 0, 1]),
        "beats": int(peaks[0] + peaks[1]),
        "peaks": {"hit": int(peaks[0]), "missed": int(peaks[1]), "extra": int(peaks[2])},
        "records": len(held),
    }


def wave_sums(one: Held) -> np.ndarray:
    """Return a record's counts, (tolerance, boundary, 5); all of it is annotated."""
    total = np.zeros((len(TOLERANCES_S), 6, 5))
    rate_hz = one.reference.rate_hz
    span = (0.0, one.prepared.signal.shape[1] / one.rate_hz)
    theirs = on_clock(one.reference.waves, rate_hz)
    for lead in one.reference.leads:
        wanted = [wave for wave in theirs if wave.lead == lead]
        found = [wave for wave in one.found.waves if wave.lead == lead]
        for level, tolerance_s in enumerate(TOLERANCES_S):
            total[level] += tally(
                boundary_counts(wanted, found, tolerance_s=tolerance_s, span=span)
            )
    return total


def beat_counts(one: Held) -> np.ndarray:
    wanted = [beat.time_s for beat in one.reference.beats]
    found = [beat.time_s for beat in one.found.beats]
    match = match_beats(wanted, found)
    return np.array([match.reference.size, match.missed.size, match.extra.size])


def none(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def table(result: Mapping[str, Any]) -> str:
    head = ["", *(f"{k} {1000 * t:.0f} ms" for t in TOLERANCES_S for k in WAVE_KINDS)]
    body = [[name, *cells(found)] for name, found in result["groups"].items()]
    return rows([*head, "R Se", "R PPV"], body)


def cells(found: Mapping[str, Any]) -> list[str]:
    """Return F1 by tolerance and kind; where no P is marked, how many a beat and lead."""
    made = []
    for place, values in enumerate(found["f1"]):
        kind = WAVE_KINDS[place % len(WAVE_KINDS)]
        if kind == "P" and not found["marked"]["P"]:
            text = f"no P; {found['false_p'] / (12 * found['beats']):.3f} a beat"
            made.append(text if place == 0 else "")
        else:
            made.append("none" if values[0] is None else f"{values[0]:.3f}")
    hit, missed, extra = (found["peaks"][key] for key in ("hit", "missed", "extra"))
    return [*made, f"{hit / max(hit + missed, 1):.4f}", f"{hit / max(hit + extra, 1):.4f}"]


if __name__ == "__main__":
    main()
