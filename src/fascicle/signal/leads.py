"""Leads: choose some, or bring a record into the order of the twelve standard leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fascicle.errors import BadRequest
from fascicle.record import LEADS, Record, Signal


def select_leads(record: Record, leads: Sequence[str]) -> Record:
    """Return the record with these leads only, in this order; waves of other leads are left out.

    Raises
    ------
    BadRequest
        The record lacks one of the leads, or one is named twice.
    """
    absent = [lead for lead in leads if lead not in record.leads]
    if absent:
        raise BadRequest(
            f"record {record.name} has no lead {', '.join(absent)}; "
            f"it has {', '.join(record.leads)}"
        )
    if len(set(leads)) != len(leads):
        raise BadRequest(f"lead names repeat: {', '.join(leads)}")
    return replace(
        record,
        signal=record.signal[[record.leads.index(lead) for lead in leads]],
        leads=tuple(leads),
        derived=record.derived & frozenset(leads),
        waves=tuple(wave for wave in record.waves if wave.lead is None or wave.lead in leads),
    )


def to_standard(record: Record) -> tuple[Signal, NDArray[np.bool_]]:
    """Return the signal in the order of `LEADS`, and which of these leads are present.

    Returns
    -------
    signal
        (12, sample) float32 mV: zeros for absent leads; gaps of present leads stay NaN.
    present
        (12,) bool. A lead without any valid sample counts as absent; leads with other names are
        ignored.
    """
    signal = np.zeros((len(LEADS), record.samples), dtype=np.float32)
    present = np.zeros(len(LEADS), dtype=np.bool_)
    for row, name in enumerate(LEADS):
        if name in record.leads:
            samples = record.lead(name)
            present[row] = bool(np.isfinite(samples).any())
            if present[row]:
                signal[row] = samples
    return signal, present
