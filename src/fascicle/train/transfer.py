"""Hand weights down: a net of twelve leads starts one of fewer, but for its first convolution.

Ren et al. 2021, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from fascicle.errors import BadRequest

FIRST = ("backbone.stem.*", "backbone.input.*")
"""The first convolution, and what stands for absent leads: all that depends on their number."""


def hand_down(
    network: nn.Module, weights: Mapping[str, Tensor], skip: Sequence[str] | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names that were loaded and those that keep their own values.

    Parameters
    ----------
    network
        The net that is changed, in place.
    weights
        State of the other net, by the same names.
    skip
        Glob patterns of the names that keep their own values; None: those of `FIRST`.

    Raises
    ------
    BadRequest
        Before anything is changed: if a pattern matches no name, a name that is not skipped is
        missing on one side, or its shape differs.
    """
    state, kept = network.state_dict(), FIRST if skip is None else skip
    for pattern in skip or ():
        if not any(fnmatchcase(name, pattern) for name in state):
            raise BadRequest(
                f"{pattern} matches no weights of the net, such as {next(iter(state))}"
            )

    def skipped(name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in kept)

    left = tuple(name for name in state if skipped(name))
    given = {name: tensor for name, tensor in weights.items() if not skipped(name)}
    wanted = {name: tensor for name, tensor in state.items() if not skipped(name)}
    strangers = sorted(given.keys() ^ wanted.keys())
    if strangers:
        raise BadRequest(f"only one of the two nets has {', '.join(strangers[:5])}")
    for name, tensor in wanted.items():
        if given[name].shape != tensor.shape:
            raise BadRequest(
                f"{name}: expected shape {tuple(tensor.shape)}, not {tuple(given[name].shape)}"
            )
    network.load_state_dict(given, strict=False)
    return tuple(wanted), left
