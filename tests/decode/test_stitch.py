from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fascicle.decode.stitch import Window, cut, glue, recut


@settings(max_examples=50)
@given(st.integers(1, 3000), st.integers(1, 500), st.data())
def test_cut_then_glue_is_identity(samples: int, window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    signal = np.random.default_rng(0).random((2, 3, samples))
    windows = cut(samples, window, overlap)
    pieces = (signal[..., w.start : w.stop] for w in windows)
    np.testing.assert_array_equal(glue(windows, pieces, samples), signal)


@settings(max_examples=50)
@given(st.integers(1, 3000), st.integers(2, 500), st.data())
def test_what_counts_keeps_its_distance_from_a_cut(
    samples: int, window: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    windows = cut(samples, window, overlap)
    for index, w in enumerate(windows):
        assert w.start == index * (window - overlap)
        assert 0 <= w.start <= w.keep_start < w.keep_stop <= w.stop <= samples
        assert w.stop - w.start <= window
        assert w.start == 0 or w.keep_start - w.start == overlap // 2
        assert w.stop == samples or w.stop - w.keep_stop == overlap - overlap // 2


def test_a_local_filter_in_pieces_equals_one_pass() -> None:
    signal = np.random.default_rng(1).random(1000)
    kernel = np.ones(31) / 31  # reaches 15 samples to each side

    def smooth(row: np.ndarray) -> np.ndarray:
        return np.convolve(row, kernel)[15:-15]

    def in_pieces(overlap: int) -> np.ndarray:
        windows = cut(1000, 128, overlap)
        return glue(windows, (smooth(signal[w.start : w.stop]) for w in windows), 1000)

    np.testing.assert_allclose(in_pieces(30), smooth(signal), atol=1e-12)
    assert np.abs(in_pieces(20) - smooth(signal)).max() > 1e-3


def test_windows_of_a_short_and_a_long_record() -> None:
    assert cut(5, 10, 4) == [Window(0, 5, 0, 5)]
    assert cut(10, 10, 4) == [Window(0, 10, 0, 10)]
    assert cut(17, 10, 4) == [Window(0, 10, 0, 8), Window(6, 16, 8, 14), Window(12, 17, 14, 17)]


def test_the_type_of_the_pieces_stays() -> None:
    windows = cut(9, 4, 2)
    pieces = [np.ones((4, w.stop - w.start), np.float16) for w in windows]
    glued = glue(windows, pieces, 9)
    assert glued.dtype == np.float16
    assert glued.shape == (4, 9)


@pytest.mark.parametrize(
    ("samples", "window", "overlap"), [(0, 4, 2), (4, 0, 0), (4, 4, 4), (4, 4, -1)]
)
def test_impossible_cuts_are_refused(samples: int, window: int, overlap: int) -> None:
    with pytest.raises(ValueError):
        cut(samples, window, overlap)


def test_pieces_that_do_not_fit_are_refused() -> None:
    windows = cut(9, 4, 2)
    good = [np.ones(w.stop - w.start) for w in windows]
    with pytest.raises(ValueError, match="does not fit"):
        glue(windows, [np.ones(3), *good[1:]], 9)
    with pytest.raises(ValueError, match="tile"):
        glue(windows[:-1], good[:-1], 9)
    with pytest.raises(ValueError, match="tile"):
        glue(windows[::-1], good, 9)
    with pytest.raises(ValueError):
        glue(windows, good[:-1], 9)


@settings(max_examples=50)
@given(st.integers(1, 300), st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_recut_windows_hold_what_the_pieces_hold(window: int, sizes: list[int]) -> None:
    step, samples = 4, 4 * sum(sizes)
    fine = np.random.default_rng(0).random((2, samples))
    coarse = fine[0, ::step]
    edges = step * np.cumsum([0, *sizes])
    pieces = [(fine[:, a:b], coarse[a // step : b // step]) for a, b in pairwise(edges)]
    windows = cut(samples, step * window, step * (window // 3))
    found = list(recut(windows, pieces, (1, step)))
    assert [where for where, _ in found] == windows
    for where, (own, few) in found:
        np.testing.assert_array_equal(own, fine[:, where.start : where.stop])
        np.testing.assert_array_equal(few, coarse[where.start // step : -(-where.stop // step)])


def test_recut_refuses_too_few_and_too_many_pieces() -> None:
    piece = (np.zeros(5),)
    with pytest.raises(ValueError, match="pieces end at sample 5"):
        list(recut(cut(9, 4, 2), [piece], (1,)))
    with pytest.raises(ValueError, match="pieces go on"):
        list(recut(cut(5, 4, 2), [piece, piece], (1,)))
