from __future__ import annotations

import itertools

import pytest

from fascicle.io.comments import age_of, codes_of, sex_of


@pytest.mark.parametrize(
    ("comment", "age"),
    [
        ("Age: 56", 56),
        ("Age:56.5 ", 56.5),
        ("<age>: 51", 51),
        ("age: 65  sex: F", 65),
        ("AGE = 7y", 7),
        ("Age: 89+", 89),
        ("<age>: >89", 89),
        ("69 M 1085 1629 x1", 69),
        ("-1 M 1085 1629 x1", None),
        ("Age: NaN", None),
        ("Age: nan,", None),
        ("Age: Unknown", None),
        ("Age:", None),
        ("dosage: 40 mg", None),
        ("Digoxin", None),
    ],
)
def test_age(comment: str, age: float | None) -> None:
    assert age_of([comment]) == (age, [])


@pytest.mark.parametrize("comment", ["Age: 300", "Age: old", "Age: 6 months", "Age: 1e5"])
def test_an_impossible_age_is_unknown_with_a_warning(comment: str) -> None:
    age, warnings = age_of([comment])
    assert age is None
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("comment", "sex"),
    [
        ("Sex: Female", "F"),
        ("Sex: male", "M"),
        ("<sex>: F", "F"),
        ("Gender: M", "M"),
        ("Age: 62  Sex: M", "M"),
        ("69 F 1085 1629 x1", "F"),
        ("Sex: Unknown", None),
        ("Sex: NaN", None),
        ("Essex: M", None),
    ],
)
def test_sex(comment: str, sex: str | None) -> None:
    assert sex_of([comment]) == (sex, [])


def test_an_unheard_of_sex_is_a_warning() -> None:
    assert sex_of(["Sex: 3"])[0] is None
    assert sex_of(["Sex: 3"])[1]


@pytest.mark.parametrize(
    ("comments", "codes"),
    [
        (["Dx: 426783006"], {"426783006"}),
        ([" Dx: 426783006, 164889003, "], {"426783006", "164889003"}),
        (["dx:426783006,,164889003,"], {"426783006", "164889003"}),
        (["Dx: 426783006", "Dx: 164889003"], {"426783006", "164889003"}),
        (["Dx: Unknown"], None),
        (["Dx:"], None),
        (["Rx: 426783006"], None),
        ([], None),
    ],
)
def test_codes(comments: list[str], codes: set[str] | None) -> None:
    assert codes_of(comments) == (None if codes is None else frozenset(codes), [])


def test_a_code_that_is_none_is_left_out_with_a_warning() -> None:
    codes, warnings = codes_of(["Dx: 426783006, AF"])
    assert codes == frozenset({"426783006"})
    assert "'af'" in warnings[0].lower()


def test_contradictions_are_unknown_in_any_order() -> None:
    comments = ["Age: 40", "Age: 50", "Sex: F", "Sex: M", "Dx: 426783006", "Dx: AF"]
    results = [
        (age_of(order), sex_of(order), codes_of(order))
        for order in itertools.permutations(comments)
    ]
    assert all(result == results[0] for result in results)
    assert results[0][0][0] is None
    assert results[0][1][0] is None
