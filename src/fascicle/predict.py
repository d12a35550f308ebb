"""A net and a record become arrays, and arrays become findings.

This is the only place where logits become numpy. Long records pass the trunk in chunks that
overlap by all that one output can see, so that the result is that of one pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from fascicle.bundle import VIEWED, Bundle, default_bundle, read_bundle
from fascicle.data.batch import encode_covariates
from fascicle.decode.consensus import consensus
from fascicle.decode.ensembles import combine
from fascicle.decode.intervals import intervals
from fascicle.decode.rhythm import rhythm_doubts
from fascicle.errors import BadRequest
from fascicle.io.leads import derive
from fascicle.models.network import Network
from fascicle.outcomes import (
    activated,
    goes_by_blocks,
    outcome,
    outcome_by_blocks,
    tell_by_context,
)
from fascicle.passing import (
    MOST_THREADS,
    Array,
    Prepared,
    Progress,
    is_long,
    record_logits,
    window_spans,
)
from fascicle.recipe import Recipe
from fascicle.record import (
    LEAD_SETS,
    LEADS,
    Diagnosis,
    Findings,
    LeadQuality,
    Record,
    Signal,
)
from fascicle.second_view import peaks_of, second_answer
from fascicle.signal.chain import prepare
from fascicle.signal.electrodes import swapped_electrodes
from fascicle.signal.leads import select_leads
from fascicle.signal.limbs import limb_lead_mismatch
from fascicle.signal.quality import assess
from fascicle.tasks import Outcome, Task
from fascicle.windowed import window_logits

__all__ = [
    "Model",
    "Prepared",
    "assemble",
    "choose_leads",
    "load",
    "outcome",
    "predict",
    "predict_many",
]

SHORT_S = 5.0
"""Findings of a shorter record carry a warning."""


class Model:
    """A bundle that is ready to read ECGs."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.bundle = bundle
        self.tasks = bundle.tasks()
        self.nets = tuple((net.network(), net.tasks(), net) for net in bundle.nets())
        if threads is not None:
            torch.set_num_threads(threads)

    @property
    def network(self) -> Network:
        """The only net. Raises BadRequest if the bundle is an ensemble."""
        if self.bundle.members:
            raise BadRequest(f"{self.bundle.recipe.name} is an ensemble of {len(self.nets)} nets")
        return self.nets[0][0]

    def analyze(
        self, record: Record, lead_set: str | None = None, progress: Progress | None = None
    ) -> Findings:
        """Return the findings of one record.

        Parameters
        ----------
        lead_set
            Key of `record.LEAD_SETS`: use these leads only, chosen before any is derived.
        progress
            Called with the seconds that are done, and all of them, while a record of over a
            quarter of an hour passes the net.

        Raises
        ------
        BadRequest
            If the lead set is unknown, or the record has none of the leads.
        """
        record = choose_leads(record, lead_set)
        quality = assess(record, _threads())
        prepared = self.prepare(record, quality)
        rate_hz = self.bundle.recipe.preprocessing.rate_hz
        one = self.nets[0][0] if len(self.nets) == 1 else None
        if one and is_long(prepared, rate_hz) and goes_by_blocks(one, self.tasks):
            found = outcome_by_blocks(one, self.tasks, prepared, self.bundle, progress)
        else:
            arrays = self.probabilities(prepared)
            found = outcome(prepared, arrays, self.bundle, self.tasks)
        return _findings(record, quality, prepared, found, self.bundle, self.tasks)

    def probabilities(self, prepared: Prepared) -> dict[str, Array]:
        """Return the probabilities of each task as `predict` does; an ensemble's mean or vote."""
        if not self.bundle.members:
            return predict(self.network, self.tasks, prepared, self.bundle)
        total: dict[str, Array] = {}
        answers: dict[str, list[Array]] = {}
        for network, tasks, net in self.nets:
            for name, array in predict(network, tasks, prepared, net).items():
                if tasks[name].resolution == "record":
                    answers.setdefault(name, []).append(array)
                elif name in total:  # a sum, because those of long records are large
                    total[name] += array
                else:
                    total[name] = array
        for array in total.values():
            array /= len(self.nets)
        for name, rows in answers.items():
            thresholds = np.array([net.thresholds_of(name) for _, _, net in self.nets])
            total[name] = combine(np.stack(rows), thresholds, self.bundle.vote)
        return total

    def prepare(self, record: Record, quality: Mapping[str, LeadQuality] | None = None) -> Prepared:
        """Return the record as the net sees it; leads that quality calls missing are left out."""
        missing = {k for k, v in (quality or {}).items() if v.status == "missing"}
        recipe = self.bundle.recipe
        wanted = set(record.leads) & set(recipe.leads) - missing
        found = {lead for lead in wanted if np.isfinite(record.lead(lead)).any()}
        present = np.array([lead in found for lead in LEADS])
        if not present.any():
            reasons = sorted({why for found in (quality or {}).values() for why in found.reasons})
            said = f" ({'; '.join(reasons)})" if reasons else ""
            leads = ", ".join(record.leads)
            raise BadRequest(f"{record.name}: no usable standard lead among {leads}{said}")
        signal = _in_order(record, [lead for lead in LEADS if lead in found])
        used = prepare(signal, record.rate_hz, recipe.preprocessing, _threads())
        ready = np.zeros((len(LEADS), used.shape[1]), dtype=np.float32)
        ready[present] = used
        covariates = encode_covariates(record.age, record.sex, record.rate_hz)
        return Prepared(ready, present, covariates)


def load(path: str | Path | None = None, threads: int | None = None) -> Model:
    """Return the model in a bundle file; without a path the one that ships with the package.

    Parameters
    ----------
    threads
        Threads that the net may use; None leaves it to torch.
    """
    return Model(read_bundle(default_bundle() if path is None else Path(path)), threads)


def choose_leads(record: Record, lead_set: str | None) -> Record:
    """Return the record with these leads only, and the limb leads that follow from I and II."""
    if lead_set is not None:
        if lead_set not in LEAD_SETS:
            raise BadRequest(f"no lead set {lead_set!r}; known: {', '.join(LEAD_SETS)}")
        wanted = [lead for lead in LEAD_SETS[lead_set] if lead in record.leads]
        if not wanted:
            raise BadRequest(
                f"{record.name}: lead set {lead_set} needs one of "
                f"{', '.join(LEAD_SETS[lead_set])}; the record has {', '.join(record.leads)}"
            )
        record = select_leads(record, wanted)
    return derive(record)


def _threads() -> int:
    """Return how many leads or pieces of a record are worked on at a time."""
    return min(torch.get_num_threads(), MOST_THREADS)


def _in_order(record: Record, leads: Sequence[str]) -> Signal:
    """Return these leads; those that stand together in the record are not copied."""
    rows = [record.leads.index(lead) for lead in leads]
    if rows == list(range(rows[0], rows[-1] + 1)):
        return record.signal[rows[0] : rows[-1] + 1]
    return record.signal[rows]


def predict(
    network: Network,
    tasks: Mapping[str, Task],
    prepared: Prepared,
    bundle: Bundle,
    chunk_s: float | None = None,
) -> dict[str, Array]:
    """Return the probabilities of each task.

    Waves are (lead, 4, sample), beats (6, sample), rhythms (7, frame), a task of whole records
    (class,).

    Answers for whole records longer than 15 s are the mean of the logits over ten-second windows;
    a net that must be fed windows of its own length sees as many as cover the record evenly; a
    Perceiver answers once, from the frames and intervals of the whole record.
    Where the bundle has a second stage for beats, and waves are asked for too, the kinds of the
    beats are those that it and the net agree on. Where it has a second view of the diagnoses, the
    logits of these are the mean of the net's and of those of that view's heads.

    Raises
    ------
    BadRequest
        If a task is asked of windows around known beats: nobody knows them here.
    """
    _check_resolution(tasks)
    found = _logits(network, tasks, prepared, bundle.recipe, chunk_s)
    made = activated(found, tasks, bundle, _second_answer(found, tasks, prepared, bundle))
    second = bundle.context()
    if second is not None and {"beats", "waves"} <= made.keys():
        tell_by_context(second, made, prepared, bundle.recipe.preprocessing.rate_hz)
    return made


def _second_answer(
    found: Mapping[str, Array], tasks: Mapping[str, Task], prepared: Prepared, bundle: Bundle
) -> Array | None:
    """Return what the second view says, from the beats that the net finds; None without one."""
    view = bundle.typical() if VIEWED in tasks else None
    if view is None:
        return None
    rate_hz = bundle.recipe.preprocessing.rate_hz
    return second_answer(view, prepared, peaks_of(found, prepared, rate_hz), rate_hz)


def predict_many(
    network: Network, tasks: Mapping[str, Task], records: Sequence[Prepared], bundle: Bundle
) -> list[dict[str, Array]]:
    """Return what `predict` gives for each record; a net of fixed windows sees many at once."""
    _check_resolution(tasks)
    if not network.windowed or not records:
        return [predict(network, tasks, prepared, bundle) for prepared in records]
    found = window_logits(network, tasks, records, bundle.recipe.window)
    return [activated(logits, tasks, bundle) for logits in found]


def _check_resolution(tasks: Mapping[str, Task]) -> None:
    asked = [name for name, task in tasks.items() if task.resolution == "window"]
    if asked:
        raise BadRequest(
            f"{', '.join(asked)}: asked of windows around known beats, not of whole records"
        )


def _logits(
    network: Network,
    tasks: Mapping[str, Task],
    prepared: Prepared,
    recipe: Recipe,
    chunk_s: float | None,
) -> dict[str, Array]:
    if network.windowed:
        return window_logits(network, tasks, [prepared], recipe.window)[0]
    return record_logits(network, tasks, prepared, recipe.preprocessing.rate_hz, chunk_s)


def assemble(
    record: Record,
    quality: Mapping[str, LeadQuality],
    prepared: Prepared,
    arrays: Mapping[str, Array],
    bundle: Bundle,
    tasks: Mapping[str, Task],
) -> Findings:
    """Return the findings that these probabilities make."""
    found = outcome(prepared, arrays, bundle, tasks)
    return _findings(record, quality, prepared, found, bundle, tasks)


def _findings(
    record: Record,
    quality: Mapping[str, LeadQuality],
    prepared: Prepared,
    found: Outcome,
    bundle: Bundle,
    tasks: Mapping[str, Task],
) -> Findings:
    """Return the findings of a record in which this was found."""
    by_lead = {lead: [w for w in found.waves if w.lead == lead] for lead in record.leads}
    good = [lead for lead in record.leads if quality[lead].status == "good" and lead in LEADS]
    usable = good or [lead for lead, there in zip(LEADS, prepared.present, strict=True) if there]
    agreed = consensus({lead: by_lead.get(lead, []) for lead in usable}) if found.waves else ()
    cleaned = {lead: prepared.signal[row] for row, lead in enumerate(LEADS) if lead in usable}
    rate_hz = bundle.recipe.preprocessing.rate_hz
    measures, doubts = intervals(agreed, found.beats, cleaned, rate_hz)
    warnings = [*record.warnings, *_electrode_warnings(record), *doubts]
    if not good:
        warnings.append("no lead is of good quality: every finding is doubtful")
    if record.duration_s < SHORT_S:
        warnings.append(f"only {record.duration_s:.3g} s long: the net was taught ten seconds")
    windows = len(window_spans(prepared.signal.shape[1], rate_hz))
    if windows > 1 and any(not tasks[name].whole for name in found.answers):
        warnings.append(f"diagnoses are the mean over {windows} windows of about ten seconds")
    diagnoses = _diagnoses(found, bundle, tasks)
    rhythms = found.rhythms if good else ()
    warnings += rhythm_doubts(rhythms, diagnoses)
    return Findings(
        name=record.name,
        leads=record.leads,
        rate_hz=record.rate_hz,
        duration_s=record.duration_s,
        age=record.age,
        sex=record.sex,
        bundle=bundle.info,
        quality=dict(quality),
        waves=(*agreed, *found.waves),
        beats=found.beats,
        rhythm=rhythms,
        intervals=measures,
        diagnoses=diagnoses,
        warnings=tuple(warnings),
    )


def _electrode_warnings(record: Record) -> list[str]:
    """Return what the limb leads tell of swapped electrodes and of leads that are not theirs."""
    return [text for text in (swapped_electrodes(record), limb_lead_mismatch(record)) if text]


def _diagnoses(found: Outcome, bundle: Bundle, tasks: Mapping[str, Task]) -> tuple[Diagnosis, ...]:
    diagnoses: list[Diagnosis] = []
    for name, answer in found.answers.items():
        terms = tasks[name].vocabulary.terms
        thresholds = bundle.thresholds_of(name)
        diagnoses += [
            Diagnosis(term.code, term.system, term.name, float(probability), float(threshold))
            for term, probability, threshold in zip(
                terms, answer.probabilities, thresholds, strict=True
            )
        ]
    return tuple(diagnoses)
