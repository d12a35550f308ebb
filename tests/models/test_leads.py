"""What a net reads of 12 leads, and what absent ones add."""

from __future__ import annotations

import pytest
import torch

from fascicle.models.leads import LeadInput


def test_absent_leads_are_zero_and_each_adds_its_own_vector() -> None:
    entry = LeadInput((0, 1, 2), 4)
    signal = torch.randn(2, 3, 5)
    present = torch.tensor([[True, True, True], [True, False, False]])
    signal[1, 1:] = float("nan")
    leads, absent = entry(signal, present)
    assert torch.equal(leads[0], signal[0])
    assert torch.equal(leads[1, 0], signal[1, 0])
    assert (leads[1, 1:] == 0).all()
    assert (absent[0] == 0).all()  # a whole record is as in the paper
    weight = entry.absent.weight
    assert torch.allclose(absent[1], weight[:, 1] + weight[:, 2])


def test_a_net_reads_the_rows_that_it_is_made_for_in_their_order() -> None:
    entry = LeadInput((7, 1), 4)
    signal, present = torch.randn(1, 12, 5), torch.ones(1, 12, dtype=torch.bool)
    present[0, 1] = False
    present[0, 3] = False  # not its lead
    leads, absent = entry(signal, present)
    assert torch.equal(leads[0, 0], signal[0, 7])
    assert (leads[0, 1] == 0).all()
    assert torch.allclose(absent[0], entry.absent.weight[:, 1])


@pytest.mark.parametrize("leads", [(), (1, 1)])
def test_no_lead_or_one_twice_is_refused(leads: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="different rows"):
        LeadInput(leads, 4)


def test_the_choice_of_rows_is_no_weight() -> None:
    assert set(LeadInput((1,), 4).state_dict()) == {"absent.weight"}
