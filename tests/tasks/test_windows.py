"""Tasks of windows around beats, and several heads' answers as one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fascicle.data.beat_windows import ANOMALY
from fascicle.errors import BadRequest
from fascicle.labels import Vocabulary
from fascicle.models.network import HEADS
from fascicle.tasks import TASKS, make_task
from fascicle.tasks.windows import (
    anomaly_classes,
    arrhythmia_classes,
    class_softmax,
    join_answers,
    recalls,
)


def codes(vocabulary: Vocabulary) -> list[str]:
    return [term.code for term in vocabulary.terms]


def array(*rows: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(rows, dtype=np.float32)


def test_one_arrhythmia_is_asked_against_all_other() -> None:
    assert codes(arrhythmia_classes(["AFIB"])) == ["AFIB", "other"]
    assert codes(arrhythmia_classes(["AFL", "NSVT"])) == ["NSVT", "AFL"]
    assert codes(anomaly_classes()) == list(ANOMALY)


@pytest.mark.parametrize("chosen", [[], ["VT"], ["AFIB", "other"]])
def test_other_names_than_arrhythmias_are_refused(chosen: list[str]) -> None:
    with pytest.raises(BadRequest, match="a task of kind arrhythmia needs classes of NSVT, SVTA"):
        arrhythmia_classes(chosen)


def test_kinds_have_a_head_and_take_their_own_name() -> None:
    task = make_task("patient_106", kind="anomaly")
    assert (task.name, task.kind, task.resolution, task.parts) == (
        "patient_106",
        "anomaly",
        "window",
        1,
    )
    assert task.head in HEADS
    assert make_task("a", arrhythmia_classes(["AFL"]), kind="anomaly").vocabulary == (
        TASKS["anomaly"].vocabulary
    )
    asked = make_task("afl", arrhythmia_classes(["AFL"]), kind="arrhythmia")
    assert codes(asked.vocabulary) == ["AFL", "other"]
    with pytest.raises(BadRequest, match="the task afl needs classes"):
        make_task("afl", kind="arrhythmia")


def test_the_loss_is_softmax_cross_entropy_of_one_answer() -> None:
    task = make_task("anomaly")
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    target, weight = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.5], [0.0]])
    expected = 0.5 * np.log(1 + np.exp(-2.0))  # the second row weighs nothing
    assert float(task.loss(logits, target, weight)) == pytest.approx(expected)


def test_softmax_is_over_the_last_axis_without_overflow() -> None:
    found = class_softmax(array([1000.0, 1000.0], [0.0, np.log(3.0)]))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.25, 0.75]], rtol=1e-6)
    assert found.dtype == np.float32


def test_whole_records_are_not_scored() -> None:
    task = make_task("anomaly")
    with pytest.raises(BadRequest, match="normal or abnormal is asked of windows"):
        task.score([], [], task.vocabulary, None)


def test_heads_of_one_question_are_averaged() -> None:
    answers = {"a": array([0.8, 0.2], [0.6, 0.4]), "b": array([0.6, 0.4], [0.1, 0.9])}
    classes, found = join_answers(answers, dict.fromkeys(answers, anomaly_classes()))
    assert classes == ("normal", "abnormal")
    np.testing.assert_allclose(found, [[0.7, 0.3], [0.35, 0.65]], rtol=1e-6)


def test_the_largest_positive_probability_answers() -> None:
    answers = {"nsvt": array([0.3, 0.7], [0.9, 0.1]), "afl": array([0.4, 0.6], [0.2, 0.8])}
    vocabularies = {"nsvt": arrhythmia_classes(["NSVT"]), "afl": arrhythmia_classes(["AFL"])}
    classes, found = join_answers(answers, vocabularies)
    assert classes == ("NSVT", "AFL")
    assert found.argmax(axis=1).tolist() == [1, 0]
    np.testing.assert_allclose(found, [[0.3, 0.4], [0.9, 0.2]], rtol=1e-6)


def test_questions_without_a_common_answer_are_refused() -> None:
    answers = {"beat": array([0.8, 0.2]), "afl": array([0.4, 0.6])}
    vocabularies = {"beat": anomaly_classes(), "afl": arrhythmia_classes(["AFL"])}
    with pytest.raises(BadRequest, match="normal, abnormal; AFL, other"):
        join_answers(answers, vocabularies)


def test_recalls_are_per_class() -> None:
    labels = np.array([0, 0, 0, 0, 1, -1])
    found = array(*[[0.9, 0.1, 0.0]] * 3, [0.1, 0.9, 0.0], [0.2, 0.8, 0.0], [1.0, 0.0, 0.0])
    np.testing.assert_allclose(recalls(labels, found), [0.75, 1.0, np.nan])


def test_timing_answers_with_numbers_and_learns_by_squares() -> None:
    task = make_task("timing")
    values, target = torch.tensor([[0.5, 0.0], [9.0, 9.0]]), torch.tensor([[0.1, -0.3], [0.0, 0.0]])
    weight = torch.tensor([[1.0], [0.0]])
    assert float(task.loss(values, target, weight)) == pytest.approx(0.16 + 0.09)
    found = array([0.5, -0.5])
    assert task.activate(found) is found
    assert len(task.vocabulary) == 2
