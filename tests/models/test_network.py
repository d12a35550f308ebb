"""The seams of the whole net: masks, rows, time, covariates, lengths, names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fascicle.models.blocks import Statistics
from fascicle.models.network import HeadPlan, Network, build_network
from fascicle.passing import HEAD_REACH
from fascicle.record import LEAD_SETS, LEADS

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]
Make = Callable[..., Inputs]


def _run(network: Network, *arguments: Tensor) -> dict[str, Tensor]:
    with torch.inference_mode():
        return dict(network(*arguments))


@pytest.mark.parametrize("lead_set", LEAD_SETS)
def test_values_of_absent_leads_change_nothing(small: Network, inputs: Make, lead_set: str) -> None:
    signal, present, valid, covariates = inputs(1, 400)
    present[0] = torch.tensor([lead in LEAD_SETS[lead_set] for lead in LEADS])
    before = _run(small, signal, present, valid, covariates)
    for junk in (0.0, 1e6, float("inf"), float("nan")):
        spoilt = torch.where(present[..., None], signal, torch.tensor(junk))
        after = _run(small, spoilt, present, valid, covariates)
        for task, logits in before.items():
            assert logits.isfinite().all()
            assert torch.equal(logits, after[task]), task


def test_junk_in_absent_leads_leaves_gradients_finite(small: Network, inputs: Make) -> None:
    signal, present, valid, covariates = inputs(2, 200)
    present[:, 6:] = False
    signal[:, 6:] = float("nan")
    small.zero_grad()
    logits = small(signal, present, valid, covariates)
    torch.stack([value.square().mean() for value in logits.values()]).sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in small.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    small.zero_grad()


def test_an_absent_lead_is_not_a_flat_one(small: Network, inputs: Make) -> None:
    signal, present, valid, covariates = inputs(1, 400)
    signal[0, 7] = 0
    flat = _run(small, signal, present, valid, covariates)
    present[0, 7] = False
    absent = _run(small, signal, present, valid, covariates)
    for task in flat:
        assert not torch.allclose(flat[task], absent[task], atol=1e-4), task


def test_a_record_without_any_lead_still_has_finite_logits(small: Network, inputs: Make) -> None:
    signal, present, valid, covariates = inputs(1, 100)
    logits = _run(small, signal, torch.zeros_like(present), valid, covariates)
    assert all(value.isfinite().all() for value in logits.values())


def test_a_row_does_not_depend_on_the_other_rows(small: Network, inputs: Make) -> None:
    signal, present, valid, covariates = inputs(3, 400)
    before = _run(small, signal, present, valid, covariates)
    signal[1:] = 50 * torch.randn(2, 12, 400)
    covariates[1:] = 1
    valid[2] = 3
    after = _run(small, signal, present, valid, covariates)
    alone = _run(small, signal[:1], present[:1], valid[:1], covariates[:1])
    for task in before:
        assert torch.equal(before[task][0], after[task][0]), task
        assert torch.allclose(before[task][0], alone[task][0], atol=1e-4), task
        assert not torch.allclose(before[task][1], after[task][1]), task


def test_no_statistics_are_among_the_weights(small: Network) -> None:
    assert not list(small.buffers())


def _take(network: Network, signal: Tensor) -> tuple[Statistics, Tensor]:
    """Return the statistics of the four quarters of a record, and their centres."""
    quarter = signal.shape[-1] // 4
    windows = signal[0, :, : 4 * quarter].reshape(12, 4, quarter).transpose(0, 1)
    statistics = Statistics([network.backbone, network.heads["waves"], network.heads["beats"]])
    present, valid = torch.ones(4, 12, dtype=torch.bool), torch.full((4,), quarter)
    with statistics.take(4):
        _run(network, windows, present, valid, torch.zeros(4, 6))
    return statistics, quarter // 2 + quarter * torch.arange(4)


def test_a_distant_change_leaves_waves_and_beats_as_they_were_bit_for_bit(
    small: Network, inputs: Make
) -> None:
    """Once a record's statistics are taken, time leaks no further than the reach."""
    signal, present, valid, covariates = inputs(1, 2600)
    edge = 1800
    statistics, centres = _take(small, signal)
    with statistics.of_piece(centres, 0, 2600):
        before = _run(small, signal, present, valid, covariates)
        signal[..., edge:] *= -20
        after = _run(small, signal, present, valid, covariates)
    statistics.forget()
    assert small.reach_samples is not None
    reach = small.reach_samples + HEAD_REACH
    assert 0 < reach < edge - 1000
    for task in ("waves", "beats"):
        old, new = before[task], after[task]
        assert torch.equal(old[..., : edge - reach], new[..., : edge - reach])
        assert not torch.equal(old[..., edge - 50 : edge], new[..., edge - 50 : edge])


def test_pieces_equal_one_pass(small: Network, inputs: Make) -> None:
    signal, *rest = inputs(1, 3200)
    overlap, middle = 1024, 1600
    statistics, centres = _take(small, signal)
    with statistics.of_piece(centres, 0, 3200):
        whole = _run(small, signal, *rest)
    with statistics.of_piece(centres, 0, middle + overlap):
        left = _run(small, signal[..., : middle + overlap], *rest)
    with statistics.of_piece(centres, middle - overlap, middle + overlap):
        right = _run(small, signal[..., middle - overlap :], *rest)
    statistics.forget()
    for task in ("waves", "beats"):
        glued = torch.cat([left[task][..., :middle], right[task][..., overlap:]], dim=-1)
        assert torch.allclose(glued, whole[task], atol=1e-4), task


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 31, 32, 33, 64, 127, 1000])
def test_any_length_gives_logits_of_that_length(small: Network, inputs: Make, samples: int) -> None:
    logits = _run(small, *inputs(2, samples))
    assert logits["waves"].shape == (2, 12, 4, samples)
    assert logits["beats"].shape == (2, 6, samples)
    assert logits["diagnosis"].shape == (2, 7)
    assert all(value.isfinite().all() for value in logits.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]),  # unknown age, age 0
        ([0.4, 1.0, 0.0, 0.0], [0.8, 1.0, 0.0, 0.0]),  # ages
        ([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, -1.0, 1.0]),  # F, M
        ([0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]),  # unknown sex, F
    ],
)
def test_covariates_change_diagnoses_alone(
    small: Network, inputs: Make, one: list[float], other: list[float]
) -> None:
    signal, present, valid, _ = inputs(1, 300)
    before = _run(small, signal, present, valid, torch.tensor([[*one, 0.5, 1.0]]))
    after = _run(small, signal, present, valid, torch.tensor([[*other, 0.0, 0.0]]))
    assert not torch.allclose(before["diagnosis"], after["diagnosis"], atol=1e-4)
    assert torch.equal(before["waves"], after["waves"])
    assert torch.equal(before["beats"], after["beats"])


def test_rows_choose_what_each_head_sees(small: Network, inputs: Make) -> None:
    arguments = inputs(3, 200)
    arguments[2][1], arguments[3][1] = 70, 0.5  # a row with other padding and covariates
    whole = _run(small, *arguments)
    rows = {
        "waves": torch.tensor([False, True, False]),
        "beats": torch.tensor([True, False, True]),
        "diagnosis": torch.tensor([False, True, True]),
    }
    with torch.inference_mode():
        chosen = small(*arguments, rows)
        none = small(*arguments, {**rows, "beats": torch.zeros(3, dtype=torch.bool)})
    assert set(chosen) == {"waves", "beats", "diagnosis"}
    assert set(none) == {"waves", "diagnosis"}
    for task, logits in chosen.items():
        assert torch.allclose(logits, whole[task][rows[task]], atol=1e-5)


def test_needed_heads_run_for_rows_that_have_no_labels_of_theirs(inputs: Make) -> None:
    torch.manual_seed(0)
    heads = [("d", "perceiver", 3), ("beats", "beats", 5), ("waves", "waves", 4)]
    options = {"filters": (8, 8, 16), "decoder": (8, 8)}
    network = build_network("unet", options, heads, 200).eval()
    assert network.order[-1] == "d"
    arguments = inputs(4, 200)
    arguments[2][1], arguments[3][1] = 70, 0.5
    whole = _run(network, *arguments)
    rows = {
        "waves": torch.tensor([False, True, True, False]),
        "beats": torch.tensor([False, False, False, False]),
        "d": torch.tensor([True, False, True, False]),
    }
    with torch.inference_mode():
        chosen = network(*arguments, rows)
    assert set(chosen) == {"waves", "d"}
    for task, logits in chosen.items():
        assert torch.allclose(logits, whole[task][rows[task]], atol=1e-5), task


def test_coarser_levels_answer_for_the_rows_of_their_task(inputs: Make) -> None:
    torch.manual_seed(0)
    options = {"filters": (8, 8, 16), "decoder": (8, 8)}
    heads = [HeadPlan("waves", "waves", 4, {"deep": True}), HeadPlan("d", "perceiver", 3)]
    heads.insert(0, HeadPlan("beats", "beats", 5))
    network = build_network("unet", options, heads, 200)
    arguments = inputs(3, 200)
    rows = {
        "waves": torch.tensor([False, True, False]),
        "beats": torch.tensor([False, True, True]),
        "d": torch.tensor([True, False, True]),
    }
    assert network(*arguments, rows)["waves@4"].shape == (1, 12, 4, 50)
    assert set(network(*arguments)) == {"waves", "waves@4", "beats", "d"}
    assert set(network.eval()(*arguments)) == {"waves", "beats", "d"}


def test_weights_are_named_by_trunk_and_task(small: Network) -> None:
    prefixes = {".".join(name.split(".")[:2]) for name in small.state_dict()}
    heads = {prefix for prefix in prefixes if prefix.startswith("heads.")}
    assert heads == {"heads.waves", "heads.beats", "heads.diagnosis"}
    assert all(name.startswith("backbone.") for name in prefixes - heads)


def test_the_default_net_has_the_weights_that_its_shapes_say() -> None:
    def convolution(inputs: int, outputs: int, kernel: int) -> int:
        return inputs * outputs * kernel + outputs

    def block(inputs: int, outputs: int, kernel: int) -> int:
        shortcut = convolution(inputs, outputs, 1) if inputs != outputs else 0
        convolutions = convolution(inputs, outputs, kernel) + convolution(outputs, outputs, kernel)
        return 2 * inputs + 2 * outputs + convolutions + shortcut

    network = build_network(
        "unet", {}, [("w", "waves", 4), ("b", "beats", 5), ("d", "diagnosis", 30)], 2500
    )
    expected = {
        "w": convolution(32, 12 * 16, 1)
        + convolution(1, 16, 11)
        + block(16, 16, 9)
        + block(32, 16, 9)
        + 2 * 16
        + convolution(16, 4, 1),
        "b": block(32, 32, 5) + 2 * 32 + convolution(32, 6, 1),
        "d": 2 * 192
        + convolution(192, 4, 1)
        + convolution(6 * 192 + 4, 256, 1)
        + convolution(256, 30, 1),
    }
    for task, head in network.heads.items():
        assert sum(p.numel() for p in head.parameters()) == expected[task], task


def test_building_is_reproducible_by_seed() -> None:
    def build() -> Network:
        torch.manual_seed(5)
        options = {"filters": (8, 8), "decoder": (8,)}
        return build_network("unet", options, [("beats", "beats", 5)], 100)

    first, second = build().state_dict(), build().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("backbone", "head", "windowed"),
    [
        ("unet", "diagnosis", False),
        ("unet", "challenge", False),
        ("unet", "softmax", True),
        ("unet", "logistic", True),
        ("resnet34", "diagnosis", True),
        ("lstm", "softmax", True),
    ],
)
def test_a_net_is_windowed_by_its_backbone_or_by_a_head(
    backbone: str, head: str, windowed: bool
) -> None:
    with torch.device("meta"):
        network = build_network(backbone, {}, [("b", "beats", 5), ("d", head, 3)], 320)
    assert network.windowed is windowed
    assert (network.reach_samples is None) == (backbone != "unet")


@pytest.mark.parametrize(("window", "frames"), [(1, 1), (64, 1), (65, 2), (2500, 40)])
def test_flat_heads_are_made_for_the_frames_of_a_window(window: int, frames: int) -> None:
    with torch.device("meta"):
        network = build_network("unet", {}, [("d", "logistic", 3)], window)
    assert network.heads["d"].out.weight.shape == (3, 192 * frames)  # type: ignore[union-attr]


def test_models_import_no_other_room() -> None:
    import ast
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("fascicle.models")
    assert spec is not None
    assert spec.origin is not None
    for path in Path(spec.origin).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fascicle"):
                assert (node.module or "").startswith("fascicle.models"), path
