from __future__ import annotations

import numpy as np
import pytest

from fascicle.errors import BadRequest
from fascicle.record import LEADS, Record, Wave
from fascicle.signal.leads import select_leads, to_standard


def record() -> Record:
    signal = np.arange(20, dtype=np.float32).reshape(4, 5)
    signal[2] = np.nan
    signal[1, 3] = np.nan
    return Record(
        "a", signal, 250.0, ("V2", "I", "aVF", "ECG"), derived=frozenset({"aVF"}),
        waves=tuple(Wave(lead, "P", 0.0, 0.01, 0.02) for lead in ("V2", "I", None)),
    )  # fmt: skip


def test_leads_come_in_the_order_asked_for() -> None:
    chosen = select_leads(record(), ["ECG", "V2"])
    assert chosen.leads == ("ECG", "V2")
    np.testing.assert_array_equal(chosen.signal, record().signal[[3, 0]])
    assert [wave.lead for wave in chosen.waves] == ["V2", None]
    assert chosen.derived == frozenset()
    assert select_leads(record(), ("aVF",)).derived == {"aVF"}


@pytest.mark.parametrize(
    ("leads", "message"), [(["V2", "V3"], "no lead V3"), (["I", "I"], "repeat")]
)
def test_absent_and_repeated_leads_are_refused(leads: list[str], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        select_leads(record(), leads)


def test_the_standard_order_has_zeros_where_a_lead_is_absent() -> None:
    signal, present = to_standard(record())
    assert signal.shape == (12, 5)
    assert signal.dtype == np.float32
    assert [lead for lead, there in zip(LEADS, present, strict=True) if there] == ["I", "V2"]
    np.testing.assert_array_equal(signal[0], record().signal[1])
    np.testing.assert_array_equal(signal[LEADS.index("V2")], record().signal[0])
    assert not signal[~present].any()


def test_the_standard_order_is_a_copy() -> None:
    given = record()
    to_standard(given)[0][0] = 99
    assert not (given.signal == 99).any()
