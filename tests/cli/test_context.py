"""`fascicle context` writes a bundle with a second stage, and never over another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fascicle.bundle import read_bundle
from fascicle.cli import context as module
from fascicle.cli.context import context_command
from fascicle.data.sources import Item
from fascicle.decode.context import FEATURES
from fascicle.errors import BadRequest
from fascicle.models.context import ContextHead
from fascicle.train.context import Example

DEFAULT = Path("default")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Let a made-up record teach; return what the parts were asked."""
    asked: dict[str, object] = {}

    def items_of(source: str, _: Path, folds: tuple[int, ...]) -> list[Item]:
        asked.update(source=source, folds=folds)
        return [Item("mitdb/1", Path("1"), "mitdb/1", 1)]

    def gather(_: object, items: list[Item], **options: object) -> list[Example]:
        asked.update(items=len(items), keep=options["keep"])
        beats = np.zeros((4, len(FEATURES)), np.float32)
        kinds = np.array([0, 0, 1, 2], dtype=np.intp)
        return [Example("1", "own", beats, kinds), Example("1", "early", beats[:2], kinds[2:])]

    def teach(_: object, seed: int) -> ContextHead:
        asked.update(seed=seed)
        return ContextHead()

    monkeypatch.setattr(module, "items_of", items_of)
    monkeypatch.setattr(module, "gather", gather)
    monkeypatch.setattr(module, "teach", teach)
    return asked


def test_writes_a_bundle_and_says_what_taught_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], known: dict[str, object]
) -> None:
    out = tmp_path / "ours.safetensors"
    context_command(DEFAULT, out, None, (1, 2), 3, tmp_path, 0)
    assert known == {
        "source": "mitdb", "folds": (1, 2), "items": 1, "keep": tmp_path, "seed": 3,
    }  # fmt: skip
    bundle = read_bundle(out)
    assert bundle.context() is not None
    assert bundle.card["context"]["folds"] == [1, 2]
    assert bundle.card["context"]["beats"] == 4
    told = capsys.readouterr().out
    assert "beats as they are: N 2, S 1, V 1, F 0, Q 0" in told
    assert "beats in other rhythms: N 0, S 1, V 1, F 0, Q 0" in told
    assert str(out) in told


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    out = tmp_path / "ours.safetensors"
    out.write_text("mine")
    with pytest.raises(BadRequest, match="is there already"):
        context_command(DEFAULT, out, None, (1,), 0, None, 0)
    assert out.read_text() == "mine"
