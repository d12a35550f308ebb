"""What a machine records when limb electrodes are swapped, and median beats of all placements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fascicle.record import LEADS, Record, Signal
from fascicle.signal.electrodes import SWAPS, electrode_beat
from fascicle.signal.leads import select_leads
from fascicle.signal.median_beat import MedianBeat

IN_PLACE = "in place"
PLACEMENTS = (IN_PLACE, *SWAPS)
LEG_SHARE, ELECTRODE_MV = 0.05, 0.005
"""The right leg's potential: off the left leg's by up to this share of lead II, and white noise."""


@dataclass(frozen=True)
class Case:
    """One record: placement -> its median beat, None where there is none."""

    source: str
    name: str
    patient: str
    fold: int
    beats: Mapping[str, MedianBeat | None]


def misplaced(record: Record, swap: str, rng: np.random.Generator) -> Record:
    """Return the twelve leads as recorded with two electrodes swapped.

    Leads are differences of potentials; the right arm's may be called 0. The right leg's is taken
    as the left leg's (Batchvarov, Malik & Camm, Europace 9:1081, 2007), with `LEG_SHARE` of a
    difference and noise. V1 to V6 move by what the mean of RA, LA and LL moves.
    """
    one, two = record.lead("I"), record.lead("II")
    off = rng.uniform(-LEG_SHARE, LEG_SHARE) * two + ELECTRODE_MV * rng.normal(size=two.size)
    body = {"RA": np.zeros_like(one), "LA": one, "LL": two, "RL": two + off}
    first, second = swap.split("/")
    wired = body | {first: body[second], second: body[first]}
    chest = np.stack([record.lead(lead) for lead in LEADS[6:]]) + _centre(body) - _centre(wired)
    one, two = wired["LA"] - wired["RA"], wired["LL"] - wired["RA"]
    limbs = np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2])
    signal = np.concatenate([limbs, chest]).astype(np.float32)
    return replace(record, signal=signal, leads=LEADS)


def _centre(potentials: Mapping[str, Signal]) -> Signal:
    return (potentials["RA"] + potentials["LA"] + potentials["LL"]) / 3


def all_beats(record: Record, rng: np.random.Generator) -> dict[str, MedianBeat | None]:
    """Return placement -> median beat of a record with twelve leads."""
    standard = select_leads(record, LEADS)
    moved = {swap: misplaced(standard, swap, rng) for swap in SWAPS}
    return {IN_PLACE: electrode_beat(standard)} | {s: electrode_beat(r) for s, r in moved.items()}


def limbs_only(cases: Sequence[Case]) -> list[Case]:
    """Return the cases as if V1 to V6 had not been recorded."""
    return [
        replace(
            case,
            beats={
                placement: beat and beat._replace(waves=beat.waves[:2])
                for placement, beat in case.beats.items()
            },
        )
        for case in cases
    ]
