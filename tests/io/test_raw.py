from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fascicle.errors import BadFile
from fascicle.io.raw import orient, read_bytes, stack


def test_only_files_within_the_limit_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(BadFile, match="found none"):
        read_bytes(path)
    with pytest.raises(BadFile, match="found a folder"):
        read_bytes(tmp_path)
    path.write_bytes(b"abc")
    assert read_bytes(path, 3) == b"abc"
    with pytest.raises(BadFile, match="at most 2 bytes, came 3"):
        read_bytes(path, 2)
    with pytest.raises(BadFile, match="cannot be read"):
        read_bytes(tmp_path / ("x" * 5000))


def test_infinite_values_become_missing_with_a_warning() -> None:
    notes: list[str] = []
    rows = [np.array([1.0, np.inf, 1e300]), np.array([np.nan, -np.inf, 2.0])]
    signal = stack(rows, (2, 3), notes)
    expected = [[1, np.nan, np.nan], [np.nan, np.nan, 2]]
    np.testing.assert_array_equal(signal, np.array(expected, np.float32))
    assert notes == ["3 infinite values are taken as missing"]


def test_the_longer_axis_is_time() -> None:
    notes: list[str] = []
    values = np.arange(10.0).reshape(2, 5)
    assert orient(values, "x", notes) is values
    assert notes == []
    np.testing.assert_array_equal(orient(values.T, "x", notes), values)
    assert "(sample, lead)" in notes[0]
    assert orient(np.arange(3.0), "x", notes).shape == (1, 3)
    for shape in [(), (2, 2, 2), (0, 5), (0,)]:
        with pytest.raises(BadFile, match="lead, sample"):
            orient(np.zeros(shape), "x", notes)
