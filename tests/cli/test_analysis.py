"""The bar of a long record: none until the first chunk, then minutes until the end."""

from __future__ import annotations

import pytest

from fascicle.cli.analysis import _bar_of_long


def test_a_short_record_shows_no_bar(capfd: pytest.CaptureFixture[str]) -> None:
    with _bar_of_long("short.hea"):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_long_record_shows_its_minutes(capfd: pytest.CaptureFixture[str]) -> None:
    with _bar_of_long("[red].hea") as show:  # no markup: it is a name
        for done_s in (600.0, 1200.0, 1800.0):
            show(done_s, 1800.0)
    said = capfd.readouterr()
    assert said.out == ""
    assert "[red].hea" in said.err
    assert "30/30 minutes" in said.err


def test_the_bar_stops_where_reading_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), _bar_of_long("long.hea") as show:  # noqa: PT012
        show(600.0, 1800.0)
        raise KeyError
    assert "10/30 minutes" in capfd.readouterr().err
    with _bar_of_long("next.hea") as show:  # a live display that was left would refuse another
        show(1.0, 1.0)
