from __future__ import annotations

import numpy as np
import pytest

from fascicle.data.pack import Pack, draw_windows
from fascicle.record import LEADS


def test_each_window_is_a_part_of_a_record_and_zero_elsewhere(pack: Pack) -> None:
    windows = draw_windows(pack, 40, 2600, np.random.default_rng(3))
    assert windows.shape == (40, 12, 2600)
    assert windows.dtype == np.float32
    wholes = []
    for entry in pack.entries:
        whole = np.zeros((len(LEADS), max(entry.samples, 2600)), dtype=np.float32)
        pack.window(entry, 0, entry.samples, whole)
        wholes.append(whole)
    starts = set()
    for window in windows:
        places = [
            (number, start)
            for number, whole in enumerate(wholes)
            for start in range(whole.shape[1] - 2600 + 1)
            if np.array_equal(whole[:, start : start + 2600], window)
        ]
        assert len(places) == 1
        starts.add(places[0])
    assert {number for number, _ in starts} == set(range(len(pack.entries)))
    assert sum(start > 0 for _, start in starts) > 5


def test_the_first_and_the_last_start_are_drawn(pack: Pack) -> None:
    entry = pack.entries[0]
    alone = Pack(pack.folder, pack.preprocessing, (entry,), pack.shards)
    windows = draw_windows(alone, 50, entry.samples - 1, np.random.default_rng(0))
    whole = np.zeros((12, entry.samples), dtype=np.float32)
    pack.window(entry, 0, entry.samples, whole)
    early = (windows == whole[:, :-1]).all(axis=(1, 2))
    late = (windows == whole[:, 1:]).all(axis=(1, 2))
    assert early.any()
    assert late.any()
    assert (early | late).all()


def test_a_seed_draws_the_same_windows(pack: Pack) -> None:
    first, second, other = (draw_windows(pack, 6, 500, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_an_empty_pack_is_refused(pack: Pack) -> None:
    empty = Pack(pack.folder, pack.preprocessing, (), pack.shards)
    with pytest.raises(ValueError, match="high <= 0"):
        draw_windows(empty, 1, 500, np.random.default_rng(0))
