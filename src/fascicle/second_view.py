"""A second view of the diagnoses: what a record's typical beat says, beside the net's own answer.

The net reads ten seconds as they are. The second view reads the beats that the net found, laid on
each other (`decode.typical`). Longer records have an answer per ten-second window, and the mean of
these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fascicle.decode.beats import BeatPeaks, beat_peaks, pooled_qrs
from fascicle.decode.typical import rhythm_numbers, typical_beat
from fascicle.models.typical import HEADS, TypicalView
from fascicle.passing import Array, Prepared, spread, window_spans
from fascicle.tasks import TASKS


def peaks_of(logits: Mapping[str, Array], prepared: Prepared, rate_hz: float) -> BeatPeaks:
    """Return the beats that the logits of beats (6, sample), and of waves if there, make."""
    made = TASKS["beats"].activate(logits["beats"])
    qrs = None
    if "waves" in logits:
        qrs = pooled_qrs(TASKS["waves"].activate(logits["waves"][prepared.present]))
    return beat_peaks(made[0], made[1:], rate_hz, qrs=qrs)


class Sight(NamedTuple):
    """What the second view sees of a stretch of time: beat (lead, sample) and numbers (number,)."""

    beat: Array
    numbers: Array


def sights_of(prepared: Prepared, found: BeatPeaks, rate_hz: float) -> list[Sight]:
    """Return what is seen of each ten-second window that has a beat; of a day, one a minute."""
    spans = spread(window_spans(prepared.signal.shape[1], rate_hz))
    edges = np.searchsorted(found.time_s, np.array(spans) / rate_hz)
    kinds = found.kinds.argmax(axis=0)
    return [
        Sight(
            typical_beat(prepared.signal, found.time_s[a:z], kinds[a:z], rate_hz),
            rhythm_numbers(found.time_s[a:z], kinds[a:z]),
        )
        for a, z in edges.tolist()
        if z > a
    ]


@torch.inference_mode()
def second_answer(
    view: TypicalView, prepared: Prepared, found: BeatPeaks, rate_hz: float
) -> Array | None:
    """Return the logits (class,) of the second view; None where no beat was found."""
    sights = sights_of(prepared, found, rate_hz)
    if not sights:
        return None
    rows = len(sights)
    logits: Tensor = view(
        torch.from_numpy(np.stack([sight.beat for sight in sights])),
        torch.from_numpy(prepared.present).expand(rows, -1),
        torch.from_numpy(np.stack([sight.numbers for sight in sights])),
        torch.from_numpy(prepared.covariates).expand(rows, -1),
    )
    return np.asarray(logits.mean(0).numpy(), dtype=np.float32)


def joined(own: Array, second: Array | None) -> Array:
    """Return the net's logits (class,) with those of the second view, if there are.

    The net and each of the view's heads have one voice: the view is their mean already.
    """
    if second is None:
        return own
    return np.asarray((own + HEADS * second) / (1 + HEADS), dtype=np.float32)
