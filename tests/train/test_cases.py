"""Lists and sources become cases; what cannot be a label, a file or a code is refused by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fascicle.data.sources import SOURCES, Item
from fascicle.errors import BadFile, BadRequest
from fascicle.labels import Term
from fascicle.predict import Model, Prepared, choose_leads, load
from fascicle.record import Record
from fascicle.signal.quality import assess
from fascicle.synth import synthesize
from fascicle.train.cases import Case, embed_all, find_term, listed, of_source, thin

TERM = Term("OURS", "X", "x")


@pytest.fixture(scope="module")
def model() -> Model:
    return load()


def means(prepared: Prepared) -> NDArray[np.float32]:
    """Return something that depends on the record alone, in place of an embedding."""
    return np.asarray(prepared.signal.mean(axis=1), dtype=np.float32)


def plainly(items: Sequence[Any], title: str) -> Iterable[Any]:
    return items


def write_list(folder: Path, *lines: str, head: str = "path,label,patient") -> Path:
    path = folder / "list.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8-sig")
    return path


def test_known_codes() -> None:
    assert find_term("WPW") == find_term("SCP-ECG:WPW")
    assert find_term("WPW").system == "SCP-ECG"
    assert find_term("426783006").system == "SNOMED-CT"
    assert find_term("WPW", "ours").name == "ours"


def test_a_code_of_several_systems_needs_its_own() -> None:
    with pytest.raises(BadRequest, match="PTB-XL superclass:NORM, SCP-ECG:NORM"):
        find_term("NORM")
    assert find_term("SCP-ECG:NORM").system == "SCP-ECG"


def test_own_codes() -> None:
    assert find_term("BRUGADA", "Brugada") == Term("own", "BRUGADA", "Brugada")
    assert find_term("OURS:BRUGADA", "Brugada") == Term("OURS", "BRUGADA", "Brugada")
    with pytest.raises(BadRequest, match="'BRUGADA'; a code of your own needs --name"):
        find_term("BRUGADA")


@pytest.mark.parametrize("code", ["", " ", ":X", "OURS:"])
def test_codes_that_are_none(code: str) -> None:
    with pytest.raises(BadRequest, match="OURS:BRUGADA or BRUGADA expected"):
        find_term(code, "name")


def test_a_list(tmp_path: Path) -> None:
    path = write_list(
        tmp_path, "a.hea,1,p", "b.hea,0,p", "sub/c.hea,Y;X,", "d.hea,OURS:X,", "e.hea,Y,", "f.hea,,"
    )
    cases, unlabelled = listed(path, TERM)
    assert [case.holds for case in cases] == [True, False, True, True, False]
    assert [case.patient for case in cases] == ["p", "p", "sub/c.hea", "d.hea", "e.hea"]
    assert [case.name for case in cases][2] == "sub/c.hea"
    assert unlabelled == 1


def test_a_list_without_patients(tmp_path: Path) -> None:
    cases, _ = listed(write_list(tmp_path, "a,1", "b,0", head="path,label"), TERM)
    assert [case.patient for case in cases] == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "head", "said"),
    [
        (["a,1"], "file,label", "columns path, label expected, found .*file"),
        ([], "path,label", "expected, found "),
        (["a,1", "./a,0"], "path,label", "line 3: ./a stands there twice"),
        ([",1"], "path,label", "line 2: no path"),
        (["a"], "path,label", None),
    ],
)
def test_lists_that_are_none(tmp_path: Path, lines: list[str], head: str, said: str | None) -> None:
    path = write_list(tmp_path, *lines, head=head)
    if said is None:
        assert listed(path, TERM) == ([], 1)
    else:
        with pytest.raises(BadFile, match=said):
            listed(path, TERM)


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b"path,label\n\xff\xfe\x00,1\n")
    with pytest.raises(BadFile, match="cannot be read as a list"):
        listed(path, TERM)
    with pytest.raises(BadFile, match="No such file"):
        listed(tmp_path / "none.csv", TERM)


def test_a_source_leaves_out_what_it_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"a": {"OURS": {"X"}}, "b": {"OURS": {"Y"}}, "c": {"OTHERS": {"X"}}}
    monkeypatch.setattr("fascicle.train.cases.SOURCES", {"here": _Source(known)}, raising=True)
    items = [Item(f"here/{name}", Path(name), f"p{name}", 0) for name in known]
    cases, left = of_source("here", items, TERM, plainly)
    assert [(case.name, case.patient, case.holds) for case in cases] == [
        ("here/a", "pa", True),
        ("here/b", "pb", False),
    ]
    assert left == 1
    assert "here" not in SOURCES


class _Source:
    """What `of_source` uses of a source."""

    def __init__(self, known: dict[str, dict[str, set[str]]]) -> None:
        self.known = known

    def load(self, item: Item) -> Any:
        labels = {system: frozenset(c) for system, c in self.known[item.path.name].items()}
        return Record("x", np.zeros((1, 9), np.float32), 100.0, ("I",), labels=labels)


def make_cases(positives: int, negatives: int) -> list[Case]:
    return [
        Case(
            f"r{n}",
            f"p{n}",
            n < positives,
            partial(synthesize, "vt" if n < positives else "sinus", seed=n, duration_s=3.0),
        )
        for n in range(positives + negatives)
    ]


def test_thinning_keeps_positives_and_order() -> None:
    cases = make_cases(3, 20)
    rng = np.random.default_rng(0)
    assert thin(cases, 0, rng) == thin(cases, 20, rng) == cases
    kept = thin(cases, 7, rng)
    assert kept == [case for case in cases if case in kept]
    assert [case.holds for case in kept] == [True] * 3 + [False] * 7
    assert thin(cases, 7, np.random.default_rng(1)) == thin(cases, 7, np.random.default_rng(1))


def test_embeddings_are_those_of_each_record(model: Model) -> None:
    cases = make_cases(2, 1)
    found = embed_all(model, means, cases, plainly)
    assert found.shape == (3, 12)
    for row, case in zip(found, cases, strict=True):
        record = choose_leads(case.load(), None)
        np.testing.assert_array_equal(row, means(model.prepare(record, assess(record))))


def test_files_that_cannot_be_read_are_named(tmp_path: Path, model: Model) -> None:
    (tmp_path / "bad.csv").write_text("no ECG\n")
    lines = ["bad.csv,1", *(f"none{number}.hea,0" for number in range(6))]
    cases, _ = listed(write_list(tmp_path, *lines, head="path,label"), TERM)
    with pytest.raises(BadFile, match=r"7 of 8 records: bad.csv .*none0.hea .*; and 2 more"):
        embed_all(model, means, [*cases, *make_cases(1, 0)], plainly)
