"""From a source's name to its pack, made once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import fascicle.data.packing as packing
from fascicle.errors import BadData, BadRequest
from fascicle.record import LEADS
from fascicle.signal.chain import Preprocessing
from fascicle.synth import CONDITIONS


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(packing, "SYNTHETIC", 3)
    return 3


def test_synthetic_records_need_no_folder(tmp_path: Path, few: int) -> None:
    pack = packing.pack_source("synth", tmp_path / "nothing", tmp_path, Preprocessing())
    assert len(pack.entries) == few
    for entry in pack.entries:
        assert entry.source == "synth"
        assert entry.leads == LEADS
        assert entry.beats
        assert entry.patient == entry.key


def test_each_condition_comes_in_turn() -> None:
    items, load = packing._synthetic()
    assert len(items) == len({key for key, *_ in items}) == packing.SYNTHETIC
    assert len(CONDITIONS) <= packing.SYNTHETIC
    first, again = load(0), load(len(CONDITIONS))
    assert not np.array_equal(first.signal, again.signal)
    assert np.array_equal(first.signal, load(0).signal)


def test_a_finished_pack_is_only_opened(tmp_path: Path, few: int) -> None:
    titles: list[str] = []

    def progress(shards: Iterable[int], title: str) -> Iterable[int]:
        titles.append(title)
        return shards

    first = packing.pack_source("synth", tmp_path, tmp_path, Preprocessing(), progress)
    second = packing.pack_source("synth", tmp_path, tmp_path, Preprocessing(), progress)
    assert titles == ["pack synth"]
    assert first.folder == second.folder
    assert list(packing.no_progress([1, 2], "title")) == [1, 2]


def test_other_settings_have_another_pack(tmp_path: Path, few: int) -> None:
    first = packing.pack_source("synth", tmp_path, tmp_path, Preprocessing())
    second = packing.pack_source("synth", tmp_path, tmp_path, Preprocessing(rate_hz=125.0))
    assert first.folder != second.folder
    assert second.entries[0].samples == first.entries[0].samples // 2


def test_unknown_or_absent_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"no source 'mitbih'; known: mitdb.*synth"):
        packing.pack_source("mitbih", tmp_path, tmp_path / "packs", Preprocessing())
    with pytest.raises(BadData, match=r"ptbxl: no such folder.*fetch ptbxl100"):
        packing.pack_source("ptbxl100", tmp_path, tmp_path / "packs", Preprocessing())
    assert not list((tmp_path).iterdir())
