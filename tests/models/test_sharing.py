"""Private extractors and shared layers: weights by hand, privacy, windows."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fascicle.models.network import BACKBONES
from fascicle.models.sharing import LastState, Sharing

NAMES = ("cnn1d", "rnn", "lstm", "gru")
LEAD_II = (1,)
GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def _net(name: str, **options: Any) -> Sharing:
    net = BACKBONES[name](**options)
    assert isinstance(net, Sharing)
    return net.eval()


def _count(net: Sharing) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def _inputs(rows: int, samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(rows, 12, samples), torch.ones(rows, 12, dtype=torch.bool)


@pytest.mark.parametrize("extractors", [1, 5])
def test_a_cnn_has_as_many_weights_as_its_shapes_say(extractors: int) -> None:
    private = 7 * 1 * 32 + 32
    found = extractors * 32 * (360 // 4)
    shared = found * 64 + 64 + 64 * 24 + 24
    absent = 1 * 64
    net = _net("cnn1d", window=360, extractors=extractors, shared=(64, 24), leads=LEAD_II)
    assert _count(net) == extractors * private + shared + absent


def test_a_cnn_of_two_layers_pools_twice() -> None:
    private = (5 * 12 * 8 + 8) + (5 * 8 * 8 + 8)
    found = 8 * (125 // 3 // 3)
    net = _net("cnn1d", window=125, width=8, shared=(16,), kernel=5, pool=3, layers=2)
    assert _count(net) == private + found * 16 + 16 + 12 * 16
    assert net(*_inputs(2, 125)).frames.shape == (2, 16, 1)


@pytest.mark.parametrize("extractors", [1, 5])
@pytest.mark.parametrize("name", GATES)
def test_a_recurrent_net_has_as_many_weights_as_its_shapes_say(name: str, extractors: int) -> None:
    inputs, hidden = 4 * 1, 32
    private = GATES[name] * (inputs * hidden + hidden * hidden + 2 * hidden)
    shared = extractors * hidden * 64 + 64
    net = _net(name, window=360, extractors=extractors, leads=LEAD_II)
    assert _count(net) == extractors * private + shared + 1 * 64


@pytest.mark.parametrize("name", NAMES)
def test_a_window_becomes_one_frame(name: str) -> None:
    net = _net(name, window=125, shared=(16, 24), extractors=2)
    features = net(*_inputs(3, 125))
    assert features.frames.shape == features.dense.shape == (3, 24, 1)
    assert net.channels == net.dense_channels == 24
    assert net.samples_per_frame == features.samples_per_frame == 125
    assert net.reach_samples is None


@pytest.mark.parametrize("samples", [124, 126])
@pytest.mark.parametrize("name", NAMES)
def test_another_length_is_refused(name: str, samples: int) -> None:
    with pytest.raises(ValueError, match=f"windows of 125 samples, got {samples}"):
        _net(name, window=125)(*_inputs(1, samples))


def test_a_window_that_pools_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="15 samples cannot be pooled by 4, 2 times"):
        _net("cnn1d", window=15, layers=2)


@pytest.mark.parametrize("name", NAMES)
def test_extractors_are_private_and_see_the_same_window(name: str) -> None:
    torch.manual_seed(0)
    net = _net(name, window=60, extractors=3, leads=LEAD_II)
    leads = torch.randn(2, 1, 60)
    found = [extractor(leads) for extractor in net.extractors]
    assert not torch.allclose(found[0], found[1], atol=1e-3)
    with torch.no_grad():
        for parameter in net.extractors[0].parameters():
            parameter.zero_()
    assert torch.equal(net.extractors[1](leads), found[1])
    assert (net.extractors[0](leads) == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_shared_layers_take_all_that_the_extractors_found(name: str) -> None:
    torch.manual_seed(0)
    net = _net(name, window=60, extractors=3, shared=(16, 8), leads=LEAD_II)
    signal, present = _inputs(2, 60)
    found = torch.cat([extractor(signal[:, 1:2]) for extractor in net.extractors], dim=1)
    first, second = net.shared
    expected = second(first(found).relu()).relu()
    assert torch.allclose(net(signal, present).frames[..., 0], expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_net_of_one_lead_reads_no_other(name: str) -> None:
    torch.manual_seed(0)
    net = _net(name, window=60, leads=LEAD_II)
    signal, present = _inputs(2, 60)
    before = net(signal, present).frames
    signal[:, 2:] = float("nan")
    signal[:, 0] = 9.0
    present[:, 5:] = False
    assert torch.equal(net(signal, present).frames, before)
    signal[:, 1] *= -1
    assert not torch.allclose(net(signal, present).frames, before)


@pytest.mark.parametrize("samples", [12, 10])
def test_samples_are_folded_into_steps_that_end_with_the_window(samples: int) -> None:
    torch.manual_seed(0)
    cell = torch.nn.GRU(2 * 4, 5, batch_first=True)
    leads = torch.randn(3, 2, samples)
    padded = torch.cat([torch.zeros(3, 2, 12 - samples), leads], dim=-1)
    steps = torch.stack([padded[..., k : k + 4].flatten(1) for k in (0, 4, 8)], dim=1)
    _, last = cell(steps)
    assert torch.allclose(LastState(cell, 4)(leads), last[0], atol=1e-6)
