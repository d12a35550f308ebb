from __future__ import annotations

from pathlib import Path

import pytest


def test_the_example_in_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "report.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(page), "exec"), {})
    assert "12 leads, 10 s at 500 Hz" in capsys.readouterr().out
    written = sorted(path.suffix for path in (tmp_path / "out").iterdir())
    assert written == [".atr", ".png", ".svg"]
