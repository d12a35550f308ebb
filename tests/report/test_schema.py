from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from fascicle.record import INTERVALS, Findings
from fascicle.report import findings_schema
from fascicle.report.write import findings_json


def check(data: dict[str, Any]) -> None:
    Draft202012Validator(findings_schema()).validate(data)


def test_the_schema_is_itself_valid() -> None:
    Draft202012Validator.check_schema(findings_schema())


def test_findings_fit(findings: Findings) -> None:
    check(json.loads(findings_json(findings)))


def test_findings_without_anything_fit(findings: Findings) -> None:
    bare = replace(
        findings, age=None, sex=None, quality={}, waves=(), beats=(), diagnoses=(), warnings=()
    )
    check(bare.to_dict())


def test_intervals_are_those_of_record() -> None:
    assert findings_schema()["properties"]["intervals"]["required"] == list(INTERVALS)


def _without(*path: str) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return change


def _with(value: object, *path: str | int) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


BAD = {
    "another schema": _with("fascicle/findings/2", "schema"),
    "an unknown key": _with(1, "extra"),
    "an unknown key below": _with(1, "record", "date"),
    "a missing part": _without("warnings"),
    "a missing interval": _without("intervals", "axis_deg"),
    "an unknown interval": _with(None, "intervals", "st_ms"),
    "an interval without deviation": _with({"value": 1, "beats": 2}, "intervals", "qt_ms"),
    "half a beat": _with({"value": 1, "sd": 0, "beats": 0.5}, "intervals", "qt_ms"),
    "a rate of zero": _with(0, "record", "rate_hz"),
    "an unknown sex": _with("f", "record", "sex"),
    "a repeated lead": _with(["I", "I"], "record", "leads"),
    "a short hash": _with("abc", "bundle", "sha256"),
    "an unknown status": _with("bad", "quality", "leads", "I", "status"),
    "an unknown wave": _with("U", "waves", 0, "kind"),
    "a wave without onset": _with(None, "waves", 0, "onset_s"),
    "an unknown beat": _with("A", "beats", 0, "kind"),
    "a probability above one": _with(1.01, "beats", 0, "probability"),
    "a time before the record": _with(-0.1, "beats", 0, "time_s"),
    "a diagnosis without verdict": _with(None, "diagnoses", 0, "present"),
    "a rhythm without end": _with([{"start_s": 0, "kind": "N"}], "rhythm"),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD.keys())
def test_refuses(findings: Findings, change: Callable[[Any], None]) -> None:
    data = findings.to_dict()
    check(data)
    change(data)
    with pytest.raises(ValidationError):
        check(data)
