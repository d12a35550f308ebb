"""Which leads a net reads, and what it makes of those that are absent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

ALL_LEADS = tuple(range(12))


class LeadInput(nn.Module):
    """The rows that a net reads, absent ones zero, and a learnt vector for each absent one.

    The vector is added to what the stem makes of the signal: the same as a mask channel with a
    kernel of one sample, at none of its cost. A record with all leads adds nothing.

    Parameters
    ----------
    leads
        Rows of the signal that the net reads; the stem has as many channels.
    channels
        Of the stem's output.
    """

    rows: Tensor

    def __init__(self, leads: Sequence[int], channels: int) -> None:
        super().__init__()
        if len(set(leads)) != len(leads) or not leads:
            raise ValueError(f"leads must be different rows, at least one; got {tuple(leads)}")
        self.register_buffer("rows", torch.tensor(list(leads)), persistent=False)
        self.absent = nn.Linear(len(leads), channels, bias=False)

    def forward(
        self,
        signal: Float[Tensor, "batch every sample"],
        present: Bool[Tensor, "batch every"],
    ) -> tuple[Float[Tensor, "batch lead sample"], Float[Tensor, "batch channel"]]:
        """Return the leads that the net reads, and what its absent ones add to the stem."""
        there = present.index_select(1, self.rows)
        leads = signal.index_select(1, self.rows)
        leads = torch.where(there.unsqueeze(-1), leads, leads.new_zeros(()))
        return leads, self.absent((~there).to(leads.dtype))
