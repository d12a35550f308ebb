"""P waves invented in atrial fibrillation, and those found in sinus rhythm with ectopic beats.

    python benchmarks/delineation/invented_p.py --data DIR [--bundle FILE]

A beat has a P if one begins in the 400 ms before its R peak and after the R peak before it, in the
consensus over the leads that `analyze` gives. LUDB: the nets of the folds, each on its own fold.
MIT-BIH and synthetic ECGs: one bundle, which has not learnt P waves from either.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import parts
from folds import FOLDS, WAVES_RECIPE, fold_net, records_of
from measuring import ROOT, progress, rows
from numpy.typing import NDArray

from fascicle.decode.consensus import consensus
from fascicle.metrics.bootstrap import sums_interval
from fascicle.metrics.waves import match_times
from fascicle.predict import Model, load
from fascicle.record import Record, Rhythm, Wave
from fascicle.synth import Noise, synthesize

BUNDLE = ROOT / "benchmarks" / "development" / "bundle.safetensors"
BEFORE_S = 0.4
TOLERANCE_S = 0.150
ECTOPIC = ("S", "V")
SEEDS = range(10_000, 10_040)
"""Far from the seeds that teach."""
TARGETS = {"invented": "under 5 %", "found": "at least 95 %"}


@dataclass(frozen=True, slots=True)
class Count:
    """Of `beats` (or marked P waves) of a record, `having` have a P."""

    name: str
    patient: str
    having: int
    beats: int


def main() -> None:
    options = parts.options(__doc__ or "")
    options.add_argument("--bundle", type=Path, default=BUNDLE)
    asked = options.parse_args()
    about = parts.start(asked)
    result = about | measure(asked)
    parts.write(asked, "invented_p", result, table(result))


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Return by question and set the share of beats with a P, and each record's own."""
    model = load(None if asked.quick else asked.bundle, threads=1)
    seeds = SEEDS[:2] if asked.quick else SEEDS
    invented = {"synthetic, AF": synthetic(model, ("af",), seeds)}
    found = {
        "synthetic, PVC, PAC and bigeminy, marked P": synthetic(
            model, ("pvc", "pac", "bigeminy"), seeds
        )
    }
    if not asked.quick:
        more, marked = ludb(asked)
        af, flutter, sinus = mitdb(model, asked.data)
        invented |= {"MIT-BIH, AF": af, "LUDB, AF": more}
        found |= {
            "LUDB, sinus rhythm with ectopic beats, marked P": marked,
            "MIT-BIH, normal beats in sinus rhythm of records with ectopic beats": sinus,
        }
        invented["MIT-BIH, atrial flutter, for the record"] = flutter
    return {
        "bundle": model.bundle.info.name,
        "invented": {name: summary(counts) for name, counts in invented.items()},
        "found": {name: summary(counts) for name, counts in found.items()},
    }


def synthetic(model: Model, conditions: Sequence[str], seeds: Sequence[int]) -> list[Count]:
    """Return the beats with a P where none is marked at all, else the marked P that are found."""
    counts = []
    for condition in conditions:
        for seed in progress(seeds, f"synthetic {condition}"):
            record = synthesize(condition, seed=seed, noise=Noise())
            waves = model.analyze(record).waves
            if any(wave.kind == "P" for wave in record.waves):
                counts.append(marked_p(record, waves))
            else:
                times = [beat.time_s for beat in record.beats]
                counts.append(with_p(record, waves, times, [True] * len(times)))
    return counts


def ludb(asked: argparse.Namespace) -> tuple[list[Count], list[Count]]:
    """Return the beats of AF records, and the marked P of sinus records with ectopic beats."""
    invented, found = [], []
    for fold in FOLDS:
        model = load(fold_net(WAVES_RECIPE, fold, asked), threads=1)
        for record in records_of("ludb", asked.data, [fold]):
            said = record.report.lower()
            if "atrial fibrillation" in said:
                times = reference_beats(record)
                inside = [True] * len(times)
                invented.append(with_p(record, model.analyze(record).waves, times, inside))
            elif "sinus" in said and "extrasystol" in said:
                found.append(marked_p(record, model.analyze(record).waves))
    return invented, found


def mitdb(model: Model, data: Path) -> tuple[list[Count], list[Count], list[Count]]:
    """Return the beats in AF, those in flutter, and N beats in sinus rhythm beside ectopic ones."""
    af, flutter, sinus = [], [], []
    for record in records_of("mitdb", data, None):
        waves = model.analyze(record).waves
        beats = record.beats
        times = [beat.time_s for beat in beats]
        for kind, counts in (("AFIB", af), ("AFL", flutter)):
            inside = within(times, record.rhythms, kind)
            if inside.any():
                counts.append(with_p(record, waves, times, inside.tolist()))
        normal = within(times, record.rhythms, "N")
        normal &= np.array([beat.symbol == "N" for beat in beats])
        ectopic = sum(beat.kind in ECTOPIC for beat in beats)
        if normal.sum() >= 100 and ectopic >= len(beats) / 100:
            sinus.append(with_p(record, waves, times, normal.tolist()))
    return af, flutter, sinus


def within(times: Sequence[float], rhythms: Iterable[Rhythm], kind: str) -> NDArray[np.bool_]:
    every = np.asarray(times)
    inside = np.zeros(every.size, dtype=np.bool_)
    for span in rhythms:
        if span.kind == kind:
            inside |= (every >= span.start_s) & (every < span.end_s)
    return inside


def reference_beats(record: Record) -> list[float]:
    """Return the times of the QRS that the cardiologists' marks agree on."""
    whole = [w for w in record.waves if None not in (w.onset_s, w.peak_s, w.offset_s)]
    agreed = consensus({lead: [w for w in whole if w.lead == lead] for lead in record.leads})
    return [wave.peak_s for wave in agreed if wave.kind == "QRS" and wave.peak_s is not None]


def with_p(
    record: Record, waves: Iterable[Wave], times: Sequence[float], asked: Sequence[bool]
) -> Count:
    """Return how many of the asked beats have a P before them."""
    onsets = np.sort([w.onset_s for w in waves if w.lead is None and w.kind == "P"])
    ends = np.asarray(times)
    begins = np.maximum(ends - BEFORE_S, np.concatenate([[0.0], ends[:-1]]))
    has = np.searchsorted(onsets, ends) > np.searchsorted(onsets, begins)
    chosen = np.asarray(asked, dtype=np.bool_)
    return Count(record.name, patient(record), int(has[chosen].sum()), int(chosen.sum()))


def marked_p(record: Record, waves: Sequence[Wave]) -> Count:
    """Return how many of the marked onsets of P are found in their lead."""
    hits = total = 0
    for lead in record.leads:
        wanted = p_onsets(record.waves, lead)
        hits += match_times(wanted, p_onsets(waves, lead), TOLERANCE_S)[0].size
        total += wanted.size
    return Count(record.name, patient(record), hits, total)


def p_onsets(waves: Iterable[Wave], lead: str) -> NDArray[np.float64]:
    times = [w.onset_s for w in waves if w.lead == lead and w.kind == "P" and w.onset_s is not None]
    return np.sort(np.array(times, dtype=np.float64))


def patient(record: Record) -> str:
    return "mitdb/201" if record.name == "mitdb/202" else record.name


def summary(counts: Sequence[Count]) -> dict[str, Any]:
    """Return the share over all beats, its limits over patients, and the records' own."""
    table = np.array([[count.having, count.beats] for count in counts], dtype=np.float64)
    low, high = sums_interval(
        lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1),
        table,
        [count.patient for count in counts],
        rng=np.random.default_rng(0),
    )
    having, beats = table.sum(axis=0)
    return {
        "share": float(having / beats),
        "low": float(low),
        "high": float(high),
        "beats": int(beats),
        "records": {count.name: [count.having, count.beats] for count in counts},
    }


def table(result: Mapping[str, Any]) -> str:
    body = []
    for question, title in (("invented", "P before the beat"), ("found", "P found")):
        for name, told in result[question].items():
            share, low, high = (f"{100 * told[key]:.1f}" for key in ("share", "low", "high"))
            target = "" if "for the record" in name else TARGETS[question]
            body.append(
                [
                    name.removesuffix(", for the record"),
                    str(len(told["records"])),
                    str(told["beats"]),
                    title,
                    f"{share} % ({low} to {high})",
                    target,
                ]
            )
    return rows(["set", "records", "beats or P", "counted", "share", "to reach"], body)


if __name__ == "__main__":
    main()
