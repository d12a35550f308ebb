"""The values that cross rooms: a Record goes in, Findings come out.

Signals are float32 in millivolts with shape (lead, sample); missing samples are NaN.
Times are seconds from the first sample; rates are in Hz. Leads carry their standard names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]
Sex = Literal["F", "M"]
WaveKind = Literal["P", "QRS", "T"]
BeatKind = Literal["N", "S", "V", "F", "Q"]
LeadStatus = Literal["good", "poor", "missing"]

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The twelve standard leads, in the order of every net and page."""

LEAD_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "12": LEADS,
        "6": LEADS[:6],
        "4": ("I", "II", "III", "V2"),
        "3": ("I", "II", "V2"),
        "2": ("I", "II"),
        "1": ("I",),
    }
)
"""The lead sets of the PhysioNet/CinC Challenge 2021, and lead I alone."""

WAVE_KINDS: tuple[WaveKind, ...] = ("P", "QRS", "T")
BEAT_KINDS: tuple[BeatKind, ...] = ("N", "S", "V", "F", "Q")
INTERVALS = (
    "heart_rate_bpm",
    "rr_ms",
    "p_ms",
    "pr_ms",
    "qrs_ms",
    "qt_ms",
    "qtc_fridericia_ms",
    "qtc_bazett_ms",
    "qtc_framingham_ms",
    "axis_deg",
)


@dataclass(frozen=True, slots=True)
class Wave:
    """One P, QRS or T in one lead; `lead` None is the consensus over the leads.

    A boundary or peak that a reference annotator left out is None; estimates have all three.
    """

    lead: str | None
    kind: WaveKind
    onset_s: float | None
    peak_s: float | None
    offset_s: float | None
    probability: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "lead": self.lead,
            "kind": self.kind,
            "onset_s": self.onset_s,
            "peak_s": self.peak_s,
            "offset_s": self.offset_s,
            "probability": self.probability,
        }


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat at its R peak, with its AAMI class; `symbol` is the annotator's own mark."""

    time_s: float
    kind: BeatKind
    probability: float = 1.0
    symbol: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"time_s": self.time_s, "kind": self.kind, "probability": self.probability}


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A span of one rhythm, named as the source names it, such as "AFIB" or "N"."""

    start_s: float
    end_s: float
    kind: str


@dataclass(frozen=True, slots=True)
class Record:
    """One ECG with what is known of it.

    Parameters
    ----------
    name
        Identifier without folder or suffix.
    signal
        (lead, sample) float32, mV; NaN where the file has no valid sample. Never infinite.
    rate_hz
        Samples per second, positive and finite.
    leads
        A name per row of `signal`: standard where known (`LEADS`), else as the file has it.
    derived
        Leads computed from others (III, aVR, aVL, aVF), not recorded.
    age, sex
        Years and "F" or "M"; None when unknown.
    labels
        System of codes -> codes that hold, such as {"SNOMED-CT": {"426783006"}}. A system that is
        absent is unknown; a system with an empty set says that nothing of it holds.
    annotated
        Task-like parts that were annotated ("waves", "beats", "rhythms"), even when empty.
    warnings
        What the reader noticed and a user should know.
    """

    name: str
    signal: Signal
    rate_hz: float
    leads: tuple[str, ...]
    derived: frozenset[str] = frozenset()
    age: float | None = None
    sex: Sex | None = None
    source: str = ""
    waves: tuple[Wave, ...] = ()
    beats: tuple[Beat, ...] = ()
    rhythms: tuple[Rhythm, ...] = ()
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    annotated: frozenset[str] = frozenset()
    report: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.signal.ndim != 2 or self.signal.shape[0] != len(self.leads):
            raise ValueError(
                f"signal of shape {self.signal.shape} does not match {len(self.leads)} leads"
            )
        if self.signal.dtype != np.float32:
            raise ValueError(f"signal must be float32, not {self.signal.dtype}")
        if not (math.isfinite(self.rate_hz) and self.rate_hz > 0):
            raise ValueError(f"rate_hz must be positive, not {self.rate_hz}")
        if len(set(self.leads)) != len(self.leads):
            raise ValueError(f"lead names repeat: {self.leads}")

    @property
    def samples(self) -> int:
        """Number of samples per lead."""
        return int(self.signal.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples / self.rate_hz

    def lead(self, name: str) -> Signal:
        """Return the samples of one lead, shape (sample,). Raises KeyError if it is not there."""
        if name not in self.leads:
            raise KeyError(name)
        samples: Signal = self.signal[self.leads.index(name)]
        return samples


@dataclass(frozen=True, slots=True)
class LeadQuality:
    """Whether a lead can be trusted, and the reasons if not (flat, clipped, noisy ...)."""

    status: LeadStatus
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """An interval: median over beats, standard deviation over beats, number of beats."""

    value: float
    sd: float
    beats: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One statement of one code system, its calibrated probability and its decision threshold."""

    code: str
    system: str
    name: str
    probability: float
    threshold: float

    @property
    def present(self) -> bool:
        """Whether the probability reaches the threshold."""
        return self.probability >= self.threshold


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """Which bundle made the findings."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What the network found in one record. `to_dict` gives the published JSON form.

    `quality` and `leads` use the names of `Record`; `intervals` has every key of `INTERVALS`.
    """

    name: str
    leads: tuple[str, ...]
    rate_hz: float
    duration_s: float
    age: float | None
    sex: Sex | None
    bundle: BundleInfo
    quality: Mapping[str, LeadQuality] = field(default_factory=dict)
    waves: tuple[Wave, ...] = ()
    beats: tuple[Beat, ...] = ()
    rhythm: tuple[Rhythm, ...] = ()
    intervals: Mapping[str, Measure | None] = field(default_factory=dict)
    diagnoses: tuple[Diagnosis, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, schema "fascicle/findings/1"."""
        return {
            "schema": "fascicle/findings/1",
            "record": {
                "name": self.name,
                "leads": list(self.leads),
                "rate_hz": self.rate_hz,
                "duration_s": self.duration_s,
                "age": self.age,
                "sex": self.sex,
            },
            "bundle": {
                "name": self.bundle.name,
                "version": self.bundle.version,
                "sha256": self.bundle.sha256,
            },
            "quality": {
                "leads": {
                    lead: {"status": quality.status, "reasons": list(quality.reasons)}
                    for lead, quality in self.quality.items()
                }
            },
            "waves": [wave.to_dict() for wave in self.waves],
            "beats": [beat.to_dict() for beat in self.beats],
            "rhythm": [
                {"start_s": span.start_s, "end_s": span.end_s, "kind": span.kind}
                for span in self.rhythm
            ],
            "intervals": {
                key: None
                if measure is None
                else {"value": measure.value, "sd": measure.sd, "beats": measure.beats}
                for key, measure in self.intervals.items()
            },
            "diagnoses": [
                {
                    "code": diagnosis.code,
                    "system": diagnosis.system,
                    "name": diagnosis.name,
                    "probability": diagnosis.probability,
                    "threshold": diagnosis.threshold,
                    "present": diagnosis.present,
                }
                for diagnosis in self.diagnoses
            ],
            "warnings": list(self.warnings),
        }
