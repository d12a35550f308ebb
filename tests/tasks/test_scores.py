"""Scores of tasks: the metrics of the metrics room, summed over records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from fascicle.labels import Term, Vocabulary, aami_classes
from fascicle.metrics.beats import aami_scores, confusion, detection_scores, match_beats
from fascicle.metrics.classification import auprc, auroc
from fascicle.metrics.waves import annotated_span, boundary_counts, wave_scores
from fascicle.record import BEAT_KINDS, Beat, Rhythm, Wave, WaveKind
from fascicle.tasks import TASKS
from fascicle.tasks.scores import (
    Answer,
    Outcome,
    Resampling,
    score_beats,
    score_diagnoses,
    score_rhythms,
    score_waves,
)

NOTHING = Vocabulary(())


@dataclass(frozen=True)
class Known:
    """What is annotated of a record."""

    waves: tuple[Wave, ...] = ()
    beats: tuple[Beat, ...] = ()
    labels: dict[str, frozenset[str]] = field(default_factory=dict)
    rhythms: tuple[Rhythm, ...] = ()
    annotated: frozenset[str] = frozenset()


SPANS: tuple[tuple[WaveKind, float, float], ...] = (
    ("P", -0.2, -0.1),
    ("QRS", 0.0, 0.1),
    ("T", 0.25, 0.4),
)


def _waves(lead: str, later_s: float = 0.0, beats: int = 4) -> tuple[Wave, ...]:
    return tuple(
        Wave(lead, kind, at + onset + later_s, at + onset + 0.04 + later_s, at + offset + later_s)
        for at in range(1, 1 + beats)
        for kind, onset, offset in SPANS
    )


def test_the_same_waves_are_perfect() -> None:
    reference = [Known(waves=(*_waves("I"), *_waves("V1", 0.02)))] * 2
    outcomes = [Outcome(waves=known.waves) for known in reference]
    scores = score_waves(reference, outcomes, NOTHING)
    for tolerance in ("150", "40"):
        assert scores[f"waves.f1_{tolerance}"] == 1
        for kind in ("P", "QRS", "T"):
            for side in ("", ".onset", ".offset"):
                assert scores[f"waves.{kind}{side}.f1_{tolerance}"] == 1
                assert scores[f"waves.{kind}{side}.error_mean_ms_{tolerance}"] == pytest.approx(0)
    assert all(scores[f"waves.{kind}.dice"] == 1 for kind in ("P", "QRS", "T"))
    assert TASKS["waves"].monitor in scores


def test_wave_scores_are_those_of_the_metrics_room() -> None:
    reference = [Known(waves=(*_waves("I"), *_waves("II"))), Known(waves=_waves("V3"))]
    outcomes = [
        Outcome(waves=(*_waves("I", 0.03), *_waves("II", -0.06)[1:])),
        Outcome(waves=(*_waves("V3", 0.1), *_waves("V4"))),  # V4 is not annotated
    ]
    scores = score_waves(reference, outcomes, NOTHING)
    for tolerance_s, suffix in ((0.150, "150"), (0.040, "40")):
        counts = []
        for known, outcome in zip(reference, outcomes, strict=True):
            for lead in sorted({str(wave.lead) for wave in known.waves}):
                theirs = [wave for wave in known.waves if wave.lead == lead]
                ours = [wave for wave in outcome.waves if wave.lead == lead]
                span = annotated_span(theirs)
                counts.append(boundary_counts(theirs, ours, tolerance_s=tolerance_s, span=span))
        for key, value in wave_scores(counts).items():
            assert scores[f"waves.{key}_{suffix}"] == pytest.approx(value, nan_ok=True), key
        kinds = [scores[f"waves.{kind}.f1_{suffix}"] for kind in ("P", "QRS", "T")]
        assert scores[f"waves.f1_{suffix}"] == pytest.approx(np.mean(kinds))
    assert scores["waves.f1_150"] > scores["waves.f1_40"] > 0


def test_dice_of_waves_that_come_late() -> None:
    reference, late = [Known(waves=_waves("I"))], [Outcome(waves=_waves("I", 0.05))]
    scores = score_waves(reference, late, NOTHING)
    samples, common = 51, 26  # 100 ms at 500 Hz, both ends included; 50 ms late
    assert scores["waves.QRS.dice"] == pytest.approx(common / samples)


def test_finding_no_wave_scores_zero_and_counts_each_lead() -> None:
    scores = score_waves([Known(waves=_waves("I"))], [Outcome()], NOTHING)
    assert scores["waves.f1_150"] == 0
    assert scores["waves.QRS.onset.sensitivity_150"] == 0
    assert scores["waves.QRS.dice"] == 0


def test_consensus_waves_do_not_count() -> None:
    extra = tuple(replace(wave, lead=None) for wave in _waves("I", 0.3))
    reference = [Known(waves=_waves("I"))]
    plain = score_waves(reference, [Outcome(waves=_waves("I", 0.01))], NOTHING)
    more = score_waves(reference, [Outcome(waves=(*_waves("I", 0.01), *extra))], NOTHING)
    assert plain == more


def _beats(kinds: str, later_s: float = 0.0) -> tuple[Beat, ...]:
    return tuple(Beat(1.0 + i + later_s, kind) for i, kind in enumerate(kinds))  # type: ignore[arg-type]


def test_the_same_beats_are_perfect() -> None:
    reference = [Known(beats=_beats("NNVSFQ")), Known(beats=_beats("NV"))]
    outcomes = [Outcome(beats=known.beats) for known in reference]
    scores = score_beats(reference, outcomes, aami_classes())
    for key in ("sensitivity", "ppv", "f1", "accuracy", "kappa", "V.f1", "S.f1", "j_kappa"):
        assert scores[f"beats.{key}"] == 1, key
    assert TASKS["beats"].monitor in scores


def test_beat_scores_are_those_of_the_metrics_room() -> None:
    """A table such as a record of MIT-BIH gives: mostly N, some V, few S, a miss, an extra."""
    reference = [Known(beats=_beats("N" * 60 + "V" * 8 + "SSS")), Known(beats=_beats("NFVQ" * 5))]
    found = [
        (*_beats("N" * 57 + "VVS" + "V" * 6 + "NN" + "SN", 0.03), Beat(200.0, "V")),
        _beats("NVVN" * 5, -0.14)[:-1],
    ]
    outcomes = [Outcome(beats=beats) for beats in found]
    scores = score_beats(reference, outcomes, aami_classes())
    table = np.zeros((6, 6), dtype=np.int64)
    for known, beats in zip(reference, found, strict=True):
        match = match_beats([b.time_s for b in known.beats], [b.time_s for b in beats])
        table += confusion([b.kind for b in known.beats], [b.kind for b in beats], match)
    assert table.sum() == 71 + 20 + 1
    for key, value in (detection_scores(table) | aami_scores(table)).items():
        assert scores[f"beats.{key}"] == pytest.approx(float(value), nan_ok=True), key
    assert 0 < scores["beats.V.f1"] < 1
    assert set(BEAT_KINDS) == {key.split(".")[1] for key in scores if key.count(".") == 2}


def test_ventricular_flutter_is_not_scored() -> None:
    spans = (Rhythm(0.0, 2.5, "N"), Rhythm(2.5, 4.5, "VFL"), Rhythm(4.5, 9.0, "VT"))
    reference = [Known(beats=(*_beats("NN"), Beat(5.0, "V")), rhythms=spans)]
    outcomes = [Outcome(beats=_beats("NNVVVV"))]  # 1, 2, then 3 and 4 in the flutter, 5, 6
    scores = score_beats(reference, outcomes, aami_classes())
    assert scores["beats.sensitivity"] == 1
    assert scores["beats.ppv"] == pytest.approx(3 / 4)
    without = score_beats([replace(reference[0], rhythms=())], outcomes, aami_classes())
    assert without["beats.ppv"] == pytest.approx(3 / 6)


def test_a_record_without_beats_adds_false_ones() -> None:
    reference = [Known(beats=_beats("NNNN")), Known()]
    outcomes = [Outcome(beats=_beats("NNNN")), Outcome(beats=_beats("NN"))]
    scores = score_beats(reference, outcomes, aami_classes())
    assert scores["beats.sensitivity"] == 1
    assert scores["beats.ppv"] == pytest.approx(4 / 6)


CLASSES = Vocabulary(
    (
        *(Term("SCP-ECG", code, code) for code in ("NORM", "AFIB", "PVC")),
        Term("SNOMED-CT", "164889003", "AF"),
    )
)


def _diagnoses(records: int, seed: int = 0) -> tuple[list[Known], list[Outcome]]:
    rng = np.random.default_rng(seed)
    reference, outcomes = [], []
    for place in range(records):
        labels = {"SCP-ECG": frozenset(c for c in ("NORM", "AFIB") if rng.random() < 0.4)}
        if place % 3 == 0:
            labels["SNOMED-CT"] = frozenset({"164889003"} if rng.random() < 0.5 else ())
        if place % 7 == 6:
            del labels["SCP-ECG"]
        chance = rng.random(4).astype(np.float32)
        reference.append(Known(labels=labels))
        outcomes.append(Outcome(answers={"diagnosis": Answer(chance, chance > 0.5)}))
    return reference, outcomes


def test_diagnosis_scores_are_those_of_the_metrics_room() -> None:
    reference, outcomes = _diagnoses(60)
    scores = score_diagnoses(reference, outcomes, CLASSES)
    encoded = [CLASSES.encode(known.labels) for known in reference]
    labels = np.stack([target > 0 for target, _ in encoded])
    known = np.stack([mask for _, mask in encoded])
    chances = np.stack([outcome.answers["diagnosis"].probabilities for outcome in outcomes])
    areas, precisions = auroc(labels, chances, known), auprc(labels, chances, known)
    for place, term in enumerate(CLASSES.terms):
        name = f"diagnosis.{term.system}.{term.code}"
        assert scores[f"{name}.auroc"] == pytest.approx(areas[place], nan_ok=True)
        assert scores[f"{name}.auprc"] == pytest.approx(precisions[place], nan_ok=True)
        assert scores[f"{name}.positives"] == (labels & known)[:, place].sum()
    assert np.isnan(scores["diagnosis.SCP-ECG.PVC.auroc"])  # no positive
    assert scores["diagnosis.SCP-ECG.macro.classes"] == 2
    assert scores["diagnosis.SCP-ECG.macro.auroc"] == pytest.approx(areas[:2].mean())
    assert scores["diagnosis.macro.auroc"] == pytest.approx((areas[:2].mean() + areas[3]) / 2)
    assert TASKS["diagnosis"].monitor in scores


def test_f1_of_decisions_by_hand() -> None:
    truth, decided = [1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 0, 0]
    vocabulary = Vocabulary((Term("SCP-ECG", "AFIB", "AFIB"),))
    reference = [Known(labels={"SCP-ECG": frozenset({"AFIB"} if t else ())}) for t in truth]
    outcomes = [
        Outcome(answers={"diagnosis": Answer(np.array([0.3], np.float32), np.array([d > 0]))})
        for d in decided
    ]
    scores = score_diagnoses(reference, outcomes, vocabulary)
    assert scores["diagnosis.SCP-ECG.AFIB.f1"] == pytest.approx(2 / 3)
    assert scores["diagnosis.SCP-ECG.AFIB.auroc"] == 0.5


def test_perfect_diagnoses() -> None:
    reference, _ = _diagnoses(40)
    outcomes = []
    for known in reference:
        target = CLASSES.encode(known.labels)[0]
        outcomes.append(Outcome(answers={"diagnosis": Answer(0.8 * target + 0.1, target > 0)}))
    scores = score_diagnoses(reference, outcomes, CLASSES)
    assert scores["diagnosis.macro.auroc"] == 1
    assert scores["diagnosis.SCP-ECG.macro.auprc"] == 1
    assert scores["diagnosis.SCP-ECG.macro.f1"] == 1


def test_systems_that_cannot_be_scored_leave_the_average() -> None:
    reference, outcomes = _diagnoses(60)
    one_sided = [
        replace(known, labels=known.labels | {"SNOMED-CT": frozenset({"164889003"})})
        for known in reference
    ]
    scores = score_diagnoses(one_sided, outcomes, CLASSES)
    assert scores["diagnosis.SNOMED-CT.macro.classes"] == 0
    assert scores["diagnosis.macro.auroc"] == scores["diagnosis.SCP-ECG.macro.auroc"]
    unknown = [
        replace(known, labels={k: v for k, v in known.labels.items() if k != "SNOMED-CT"})
        for known in reference
    ]
    assert not [key for key in score_diagnoses(unknown, outcomes, CLASSES) if "SNOMED" in key]


def _limits_bracket(scores: dict[str, float], keys: Sequence[str]) -> None:
    for key in keys:
        assert scores[f"{key}.low"] < scores[key] < scores[f"{key}.high"], key


def test_limits_bracket_each_value() -> None:
    rng = np.random.default_rng(3)
    waves = [Known(waves=_waves("I")) for _ in range(12)]
    found = [Outcome(waves=_waves("I", later)) for later in rng.normal(0, 0.03, 12)]
    resampling = Resampling([f"p{i}" for i in range(12)], 200, 1)
    scores = score_waves(waves, found, NOTHING, resampling)
    _limits_bracket(scores, ["waves.f1_40", "waves.QRS.dice", "waves.T.offset.error_sd_ms_150"])

    beats = [Known(beats=_beats("NNVS")) for _ in range(12)]
    seen = [Outcome(beats=_beats("NNVS"[: 4 - i % 3])) for i in range(12)]
    scores = score_beats(beats, seen, aami_classes(), resampling)
    _limits_bracket(scores, ["beats.sensitivity", "beats.V.sensitivity", "beats.accuracy"])

    reference, outcomes = _diagnoses(60)
    by_record = Resampling(range(60), 200, 1)
    scores = score_diagnoses(reference, outcomes, CLASSES, by_record)
    names = ["SCP-ECG.macro.auroc", "SCP-ECG.NORM.auprc", "SNOMED-CT.164889003.auroc"]
    names += ["SCP-ECG.macro.f1", "SCP-ECG.NORM.f1", "SNOMED-CT.164889003.f1"]
    _limits_bracket(scores, [f"diagnosis.{name}" for name in names])


def test_limits_are_by_patient_and_by_seed() -> None:
    reference, outcomes = _diagnoses(30)

    def high(groups: Sequence[int], seed: int = 0, times: int = 1) -> float:
        scores = score_diagnoses(
            reference * times, outcomes * times, CLASSES, Resampling(groups, 300, seed)
        )
        return scores["diagnosis.SCP-ECG.NORM.auroc.high"]

    assert high(range(30)) == high(range(30))
    assert high(range(30)) != high(range(30), seed=1)
    # each patient ten times over tells nothing new; taken as new patients it would
    same_people = high([*range(30)] * 10, times=10)
    assert same_people == pytest.approx(high(range(30)), abs=0.03)
    assert high(range(300), times=10) < same_people - 0.03


def test_records_and_outcomes_must_pair_up() -> None:
    with pytest.raises(ValueError, match="zip"):
        score_beats([Known()], [], aami_classes())
    with pytest.raises(ValueError, match="zip"):
        score_waves([Known()], [Outcome(), Outcome()], NOTHING)
    reference, outcomes = _diagnoses(20)
    with pytest.raises(ValueError, match="20 records but 19 outcomes"):
        score_diagnoses(reference, outcomes[:-1], CLASSES)


def test_rhythms_are_scored_by_their_kind_and_duration() -> None:
    kinds = TASKS["rhythm"].vocabulary
    marks = (Rhythm(0, 40, "N"), Rhythm(40, 60, "AFIB"), Rhythm(60, 70, "B"), Rhythm(70, 80, "XX"))
    found = (Rhythm(0, 45, "sinus"), Rhythm(45, 80, "AF"))
    scores = score_rhythms([Known(rhythms=marks)], [Outcome(rhythms=found)], kinds)
    assert scores["rhythm.AF.sensitivity"] == pytest.approx(15 / 20)
    assert scores["rhythm.AF.ppv"] == 1  # what stands on bigeminy or an unknown mark, nobody knows
    assert scores["rhythm.sinus.ppv"] == pytest.approx(40 / 45)
    assert scores["rhythm.accuracy"] == pytest.approx(55 / 60)
    assert TASKS["rhythm"].monitor in scores


def test_rhythms_have_limits_over_patients() -> None:
    marks, kinds = (Rhythm(0, 60, "AFIB"),), TASKS["rhythm"].vocabulary
    outcomes = [Outcome(rhythms=(Rhythm(0, 6.0 * i, "AF"),)) for i in range(1, 11)]
    drawn = Resampling(list(range(10)), 200)
    scores = score_rhythms([Known(rhythms=marks)] * 10, outcomes, kinds, drawn)
    low, high = (scores[f"rhythm.AF.sensitivity.{limit}"] for limit in ("low", "high"))
    assert scores["rhythm.AF.sensitivity"] == pytest.approx(0.55)
    assert low < 0.55 < high
