from __future__ import annotations

import numpy as np
import pytest

from fascicle.errors import BadRequest
from fascicle.io.leads import derive, name_leads, standard_name
from fascicle.record import LEADS, Record


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        *[(lead, lead) for lead in LEADS],
        *[(lead.lower(), lead) for lead in LEADS],
        *[("AVR", "aVR"), ("MLII", "II"), ("Lead II", "II"), ("lead_v3", "V3"), ("DI", "I")],
        *[("D3", "III"), ("ECG V1", "V1"), ("ECG-II", "II"), ("C4", "V4"), ("a VL", "aVL")],
        *[("Lead 2", "II"), (" V 5 ", "V5"), ("MV2", "V2"), ("Ableitung aVF", "aVF")],
        *[("-aVR", None), ("V7", None), ("V1-V2", None), ("ECG1", None), ("1", None), ("", None)],
        *[("VX", None), ("CM5", None), ("ABP", None), ("lead", None), ("IIII", None)],
    ],
)
def test_standard_names(raw: str, name: str | None) -> None:
    assert standard_name(raw) == name


def test_modified_leads_are_noted_and_give_way_to_real_ones() -> None:
    assert name_leads(["MLII", "V5"], None) == (
        ("II", "V5"),
        ["lead 'MLII' is a modified lead, read as II"],
    )
    assert name_leads(["MLII", "II"], None)[0] == ("MLII", "II")


def test_unknown_names_are_kept_and_reported() -> None:
    names, notes = name_leads(["I", "CM5"], None)
    assert names == ("I", "CM5")
    assert "'CM5' is not standard" in notes[0]


def test_a_single_lead_without_a_standard_name_is_lead_i() -> None:
    for raw in ("ECG", None, ""):
        names, notes = name_leads([raw], None)
        assert names == ("I",)
        assert "taken as lead I" in notes[0]
    assert name_leads(["V2"], None) == (("V2",), [])


def test_repeated_names_become_unique() -> None:
    names, notes = name_leads(["II", "ii", "II (2)", "II"], None)
    assert len(set(names)) == 4
    assert names[0] == "II"
    assert any("more than once" in note for note in notes)


def test_twelve_unnamed_leads_are_the_standard_ones() -> None:
    names, notes = name_leads([None] * 12, None)
    assert names == LEADS
    assert notes
    assert name_leads([None, None], None)[0] == ("channel 1", "channel 2")


def test_given_names_override() -> None:
    assert name_leads(["x", "II"], ["avr", "MLII"]) == (("aVR", "II"), [])
    assert name_leads(["x", "y"], "I,II")[0] == ("I", "II")


@pytest.mark.parametrize("given", [["I"], ["I", "i"], ["I", ""], ["I", "II", "III"]])
def test_given_names_that_do_not_fit_are_refused(given: list[str]) -> None:
    with pytest.raises(BadRequest, match="lead_names"):
        name_leads(["a", "b"], given)


def twelve() -> Record:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 50))
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    signal = np.array([*limb, *rng.normal(size=(6, 50))], np.float32)
    return Record("r", signal, 500.0, LEADS)


def test_derived_leads_equal_recorded_ones() -> None:
    full = twelve()
    part = Record("r", full.signal[[0, 1, 6]], 500.0, ("I", "II", "V1"))
    derived = derive(part)
    assert derived.leads == ("I", "II", "V1", "III", "aVR", "aVL", "aVF")
    assert derived.derived == {"III", "aVR", "aVL", "aVF"}
    assert derived.signal.dtype == np.float32
    for lead in LEADS[:6]:
        np.testing.assert_allclose(derived.lead(lead), full.lead(lead), atol=1e-6)


def test_recorded_leads_are_never_replaced() -> None:
    full = twelve()
    assert derive(full) is full
    part = Record("r", full.signal[:3] * 2, 500.0, ("I", "II", "aVF"))
    assert derive(part).derived == {"III", "aVR", "aVL"}
    np.testing.assert_array_equal(derive(part).lead("aVF"), part.lead("aVF"))


def test_without_i_and_ii_nothing_is_derived() -> None:
    part = Record("r", twelve().signal[:2], 500.0, ("II", "III"))
    assert derive(part) is part


def test_missing_samples_stay_missing() -> None:
    signal = twelve().signal[:2].copy()
    signal[0, 3] = np.nan
    assert np.isnan(derive(Record("r", signal, 500.0, ("I", "II"))).lead("III")[3])
