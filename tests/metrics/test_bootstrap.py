from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from fascicle.metrics.bootstrap import interval, ranking_intervals, sums_interval
from fascicle.metrics.classification import auprc, auroc, count_scores, macro
from fascicle.metrics.counts import ratio


def generator() -> np.random.Generator:
    return np.random.default_rng(11)


GROUPS = np.repeat(np.arange(30), 3)
VALUES = np.random.default_rng(1).normal(size=90)


def mean(rows: NDArray[np.intp]) -> float:
    return float(VALUES[rows].mean())


def test_the_mean_of_many_has_the_textbook_interval() -> None:
    rng = np.random.default_rng(5)
    sample = rng.normal(10, 2, 400)
    low, high = interval(lambda rows: float(sample[rows].mean()), np.arange(400), rng=rng)
    half = 1.96 * sample.std() / np.sqrt(400)
    assert low == pytest.approx(sample.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(sample.mean() + half, abs=0.15 * half)


def test_the_same_generator_gives_the_same_limits() -> None:
    assert interval(mean, GROUPS, rng=generator()) == interval(mean, GROUPS, rng=generator())
    other = interval(mean, GROUPS, rng=np.random.default_rng(12))
    assert interval(mean, GROUPS, rng=generator()) != other


def test_a_patient_is_drawn_with_all_rows() -> None:
    seen: list[NDArray[np.intp]] = []

    def keep(rows: NDArray[np.intp]) -> float:
        seen.append(rows)
        return 0.0

    interval(keep, GROUPS, resamples=50, rng=generator())
    assert len(seen) == 50
    for rows in seen:
        times = np.bincount(rows, minlength=90).reshape(30, 3)
        assert (times == times[:, :1]).all()
        assert times[:, 0].sum() == 30


def test_repeated_records_do_not_narrow_the_interval() -> None:
    few = VALUES[::3]
    many = np.repeat(few, 3)
    low, high = interval(lambda rows: float(many[rows].mean()), GROUPS, rng=generator())
    alone = interval(lambda rows: float(few[rows].mean()), np.arange(30), rng=generator())
    assert (low, high) == pytest.approx(alone)
    naive = interval(lambda rows: float(many[rows].mean()), np.arange(90), rng=generator())
    assert naive[1] - naive[0] < 0.75 * (high - low)


def test_groups_may_be_names_in_any_order() -> None:
    order = np.random.default_rng(3).permutation(90)
    names = [f"patient {group}" for group in GROUPS]
    assert interval(mean, names, rng=generator()) == interval(mean, GROUPS, rng=generator())
    shuffled = interval(
        lambda rows: mean(order[rows]), GROUPS[order], resamples=4000, rng=generator()
    )
    assert shuffled == pytest.approx(
        interval(mean, GROUPS, resamples=4000, rng=generator()), abs=0.05
    )


def test_sums_equal_the_plain_way() -> None:
    counts = np.random.default_rng(7).integers(0, 9, (90, 2))
    low, high = sums_interval(
        lambda sums: ratio(sums[:, 0], sums[:, 1]), counts, GROUPS, rng=generator()
    )

    def share(rows: NDArray[np.intp]) -> float:
        top, bottom = counts[rows].sum(axis=0)
        return float(top / bottom)

    assert (float(low), float(high)) == pytest.approx(interval(share, GROUPS, rng=generator()))


def test_sums_of_tables_give_limits_per_class() -> None:
    counts = np.random.default_rng(7).integers(1, 9, (90, 5, 4))
    low, high = sums_interval(
        lambda sums: count_scores(sums)["f1"], counts, GROUPS, rng=generator()
    )
    value = count_scores(counts.sum(axis=0))["f1"]
    assert low.shape == high.shape == (5,)
    assert (low < value).all()
    assert (value < high).all()


def test_a_higher_level_is_wider_and_one_patient_has_no_width() -> None:
    wide = interval(mean, GROUPS, level=0.99, rng=generator())
    narrow = interval(mean, GROUPS, level=0.5, rng=generator())
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    low, high = interval(mean, np.zeros(90), rng=generator())
    assert low == high == pytest.approx(VALUES.mean())


def labelled() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    rng = np.random.default_rng(9)
    labels = rng.random((90, 4)) < 0.3
    scores = rng.random((90, 4)) + np.where(labels, 0.3, 0.0)
    return labels, np.round(scores, 1).astype(np.float64)


@pytest.mark.parametrize("measure", ["auroc", "auprc"])
def test_ranking_equals_the_plain_way(measure: Literal["auroc", "auprc"]) -> None:
    labels, scores = labelled()
    known = np.random.default_rng(2).random(labels.shape) < 0.9
    plain = {"auroc": auroc, "auprc": auprc}[measure]
    draws: list[NDArray[np.float64]] = []

    def average(rows: NDArray[np.intp]) -> float:
        draws.append(plain(labels[rows], scores[rows], known[rows]))
        return float(macro(draws[-1]))

    expected = interval(average, GROUPS, resamples=200, rng=generator())
    limits = ranking_intervals(
        measure, labels, scores, GROUPS, known=known, resamples=200, rng=generator()
    )
    assert (limits.macro_low, limits.macro_high) == pytest.approx(expected)
    by_class = np.quantile(draws, [0.025, 0.975], axis=0)
    np.testing.assert_allclose([limits.low, limits.high], by_class)


def test_blocks_do_not_change_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, scores = labelled()
    whole = ranking_intervals("auroc", labels, scores, GROUPS, rng=generator())
    monkeypatch.setattr("fascicle.metrics.bootstrap._CELLS", 700)
    parts = ranking_intervals("auroc", labels, scores, GROUPS, rng=generator())
    np.testing.assert_array_equal(whole.low, parts.low)
    assert whole.macro_high == parts.macro_high


def test_a_class_that_is_mostly_undefined_has_no_limits() -> None:
    labels, scores = labelled()
    labels[:, 1] = False
    labels[0, 2], labels[1:, 2] = True, False  # in 64 % of the draws
    limits = ranking_intervals("auroc", labels, scores, GROUPS, rng=generator())
    assert np.isnan(limits.low).tolist() == [False, True, False, False]
    assert limits.macro_low < limits.macro_high


def test_refusals() -> None:
    labels, scores = labelled()
    with pytest.raises(ValueError, match="at least one row"):
        interval(mean, [], rng=generator())
    with pytest.raises(ValueError, match="resamples must be at least 1"):
        interval(mean, GROUPS, resamples=0, rng=generator())
    with pytest.raises(ValueError, match="level must be between"):
        interval(mean, GROUPS, level=95, rng=generator())
    with pytest.raises(ValueError, match="a row for each of 90 groups"):
        sums_interval(lambda sums: sums[:, 0], np.zeros((3, 2)), GROUPS, rng=generator())
    with pytest.raises(ValueError, match="counts must be finite"):
        sums_interval(lambda sums: sums[:, 0], np.full((90, 2), np.nan), GROUPS, rng=generator())
    with pytest.raises(ValueError, match="keep the 1000 resamples"):
        sums_interval(lambda sums: sums.sum(axis=0), np.ones((90, 2)), GROUPS, rng=generator())
    with pytest.raises(ValueError, match="90 groups do not fit 80 records"):
        ranking_intervals("auroc", labels[:80], scores[:80], GROUPS, rng=generator())
