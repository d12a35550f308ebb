"""The beats benchmark: what it counts, on made-up records."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from fascicle.decode.context import FEATURES
from fascicle.models.context import ContextHead

PATH = Path(__file__).parents[2] / "benchmarks" / "beats" / "run.py"


@pytest.fixture(scope="module")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("beats_run", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["beats_run"] = module
    spec.loader.exec_module(module)
    return module


def make_record(run: ModuleType, name: str, beats: int = 600) -> Any:
    """Return a record of N S V N ... that the net tells but for S, with one beat missed."""
    kinds = np.tile([0, 1, 2], beats // 3)
    shape = np.full((5, beats), 0.02, dtype=np.float32)
    shape[np.where(kinds == 1, 0, kinds), np.arange(beats)] = 0.92
    features = np.zeros((beats, len(FEATURES)), dtype=np.float32)
    times = 1.0 + np.arange(beats)
    return run.Tested(
        name, f"mitdb/{name}", times, kinds, shape, features, times[1:], shape[:, 1:], features[1:]
    )


def always(kind: int) -> ContextHead:
    """Return a second stage that has one answer."""
    head = ContextHead().eval()
    with torch.no_grad():
        head.get_parameter("out.1.weight").zero_()
        bias = torch.full((5,), -9.0)
        bias[kind] = 9
        head.get_parameter("out.1.bias").copy_(bias)
    return head


def test_tables_at_reference_positions_and_at_found_beats(run: ModuleType) -> None:
    record = make_record(run, "100")
    heads = [always(0), always(1)]
    net = run.tables([record], heads, "net", "reference")
    assert net.shape == (1, 2, 6, 6)
    np.testing.assert_array_equal(net[0, 0], net[0, 1])
    assert net[0, 0, 1, 0] == net[0, 0, 0, 0] == net[0, 0, 2, 2] == 200
    both = run.tables([record], heads, "both", "reference")[0]
    assert both[0, 1, 0] == 200
    # The second stage alone tells N from S, but for the first beat.
    assert both[1, 1, 1] == 200
    assert both[1, 0, 1] == 199
    assert run.tables([record], heads, "context", "reference")[0, 1, :, 1].sum() == 600
    found = run.tables([record], heads, "net", "found")[0, 0]
    assert found[0, 5] == 1
    assert found.sum() == 600
    late = run.tables([record], heads, "net", "bxb")[0, 0]
    assert late.sum() == (record.times >= 300).sum()


def test_rows_have_every_answer_with_and_without_202(run: ModuleType) -> None:
    rows = run.rows([make_record(run, "100"), make_record(run, "202")], [always(0), always(1)])
    assert len(rows) == 3 * 3 * 3
    assert {row["without"]: row["records"] for row in rows} == {"": 2, "202": 1, "232": 2}
    assert [set(row["by_record"]) for row in rows if "by_record" in row] == [{"100", "202"}] * 3
    net = next(row for row in rows if row["who"] == "net")
    assert net["scores"]["S.f1"] == 0
    assert net["spread"]["accuracy"] == 0
    both = next(row for row in rows if row["who"] == "both")
    assert both["low"]["accuracy"] <= both["scores"]["accuracy"] <= both["high"]["accuracy"]
    text = run.table({"rows": rows, "choice": {"this way": rows[0]["scores"]}})
    assert "without 202" in text
    assert "| this way | 0.667 |" in text
    assert "0.667 (0.667 to 0.667)" in text


def test_held_out_groups_are_ds1_once_each(run: ModuleType) -> None:
    from fascicle.data.sources.mitdb import DS1

    assert sorted(int(name) for group in run.GROUPS for name in group) == sorted(DS1)
