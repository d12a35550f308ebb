"""Losses by hand, and shares of a batch that add up to the whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from fascicle.losses import (
    NO_P,
    SOME_P,
    asymmetric_loss,
    barlow_twins_loss,
    beat_loss,
    binary_cross_entropy,
    challenge_loss,
    challenge_score,
    cross_entropy,
    focal_loss,
    frame_cross_entropy,
    normalise,
    softmax_cross_entropy,
    totals,
    view_correlation,
    wave_loss,
)

OFFICIAL = Path(__file__).parent / "metrics" / "golden" / "official_cases.npz"
REWARDS = torch.tensor([[1.0, 0.5, 0.3], [0.5, 1.0, 0.2], [0.3, 0.2, 1.0]], dtype=torch.float64)


def _seeded(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def test_cross_entropy_by_hand() -> None:
    logits, weight = _seeded(2, 3, 4, 5), _seeded(2, 3, 5).abs()
    target = torch.arange(30).reshape(2, 3, 5) % 4
    values = logits.numpy().astype(np.float64)
    log_sum = np.log(np.exp(values).sum(axis=2))
    picked = np.take_along_axis(values, target.numpy()[:, :, None], axis=2)[:, :, 0]
    expected = ((log_sum - picked) * weight.numpy()).sum()
    assert cross_entropy(logits, target.float(), weight).item() == pytest.approx(expected, rel=1e-5)


def test_waves_that_are_marked_have_the_cross_entropy() -> None:
    logits, weight = _seeded(2, 3, 4, 5), _seeded(2, 3, 5).abs()
    target = (torch.arange(30).reshape(2, 3, 5) % 4).float()
    assert torch.equal(wave_loss(logits, target, weight), cross_entropy(logits, target, weight))


def test_a_rhythm_without_p_forbids_p_and_nothing_else() -> None:
    logits = _seeded(1, 2, 4, 6).requires_grad_()
    weight = torch.zeros(1, 2, 6)
    weight[0, 0, :3] = 0.5
    loss = wave_loss(logits, torch.full((1, 2, 6), float(NO_P)), weight)
    chance = logits.detach().softmax(2)[0, 0, 1, :3].double()
    assert loss.item() == pytest.approx(float(-0.5 * torch.log(1 - chance).sum()), rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[0, 0, 1, :3] > 0).all()
    assert (logits.grad[0, 0, [0, 2, 3], :3] < 0).all()
    assert (logits.grad[0, 0, :, 3:] == 0).all()
    assert (logits.grad[0, 1] == 0).all()


def test_a_rhythm_with_p_wants_the_likeliest_samples_of_each_lead_to_be_p() -> None:
    logits = _seeded(1, 2, 4, 40).requires_grad_()
    target, weight = torch.full((1, 2, 40), float(SOME_P)), torch.zeros(1, 2, 40)
    weight[0, 0, :30] = 0.25
    loss = wave_loss(logits, target, weight, share=0.05)
    log_p = logits.detach().log_softmax(2)[0, 0, 1, :30].double()
    best = log_p.topk(2)
    assert loss.item() == pytest.approx(float(-best.values.mean() * 0.25 * 30), rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    touched = logits.grad[0, 0, 1].nonzero().flatten()
    assert sorted(touched.tolist()) == sorted(best.indices.tolist())
    assert (logits.grad[0, 1] == 0).all()


def test_binary_cross_entropy_by_hand() -> None:
    logits, weight = _seeded(4, 3), _seeded(4, 3).abs() + 0.1
    target = (torch.arange(12).reshape(4, 3) % 2).float()
    chance = 1 / (1 + np.exp(-logits.numpy().astype(np.float64)))
    loss = -np.where(target.numpy() > 0, np.log(chance), np.log(1 - chance))
    expected = (loss * weight.numpy()).sum()
    assert binary_cross_entropy(logits, target, weight).item() == pytest.approx(expected, rel=1e-5)


def test_beat_loss_is_its_two_parts() -> None:
    logits = _seeded(2, 6, 7)
    target = torch.stack([torch.rand(2, 7), torch.randint(0, 5, (2, 7)).float()], dim=1)
    weight = torch.rand(2, 2, 7)
    here = binary_cross_entropy(logits[:, 0], target[:, 0], weight[:, 0])
    kind = cross_entropy(logits[:, None, 1:], target[:, 1:], weight[:, 1:])
    assert torch.allclose(beat_loss(logits, target, weight), here + kind, rtol=1e-5)


def test_focal_loss_by_hand() -> None:
    logits = torch.tensor([[np.log(3.0), np.log(3.0)]], dtype=torch.float64)  # p = 3/4
    target, weight = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[0.5, 2.0]]).double()
    expected = 0.5 * 0.25**2 * -np.log(0.75) + 2.0 * 0.75**2 * -np.log(0.25)
    assert focal_loss(logits, target, weight, gamma=2.0).item() == pytest.approx(expected)


def test_asymmetric_loss_by_hand() -> None:
    logits = torch.tensor([[np.log(3.0), np.log(3.0)]], dtype=torch.float64)
    target, weight = torch.tensor([[1.0, 0.0]]).double(), torch.ones(1, 2).double()
    expected = 0.25 * -np.log(0.75) + 0.75**2 * -np.log(0.25)
    assert asymmetric_loss(logits, target, weight).item() == pytest.approx(expected)
    shifted = asymmetric_loss(
        logits, target, weight, gamma_negative=3.0, gamma_positive=0.0, shift=0.25
    ).item()
    assert shifted == pytest.approx(-np.log(0.75) + 0.5**3 * -np.log(0.5))


@given(st.integers(0, 2**32 - 1), st.floats(0, 4))
@settings(max_examples=25)
def test_focal_and_asymmetric_losses_contain_the_cross_entropy(seed: int, gamma: float) -> None:
    source = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(5, 3, generator=source, dtype=torch.float64)
    target = torch.rand(5, 3, generator=source, dtype=torch.float64)
    weight = torch.rand(5, 3, generator=source, dtype=torch.float64)
    entropy = binary_cross_entropy(logits, target, weight)
    focal = focal_loss(logits, target, weight, gamma=gamma)
    assert torch.allclose(focal_loss(logits, target, weight, gamma=0.0), entropy)
    assert torch.allclose(
        focal, asymmetric_loss(logits, target, weight, gamma_negative=gamma, gamma_positive=gamma)
    )
    assert 0 <= focal <= entropy * (1 + 1e-12)


def test_easy_negatives_below_the_shift_count_nothing() -> None:
    logits = torch.tensor([[-4.0, 1.0]], requires_grad=True)  # p = 0.018, 0.73
    loss = asymmetric_loss(logits, torch.zeros(1, 2), torch.ones(1, 2), shift=0.05)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0
    assert logits.grad[0, 1] > 0


@pytest.mark.parametrize(
    ("negative", "positive", "shift"), [(-1.0, 1.0, 0.0), (2.0, -0.5, 0.0), (2.0, 1.0, 1.0)]
)
def test_impossible_constants_are_refused(negative: float, positive: float, shift: float) -> None:
    values = torch.zeros(1, 1)
    with pytest.raises(ValueError, match=r"expected gammas .* not"):
        asymmetric_loss(
            values, values, values, gamma_negative=negative, gamma_positive=positive, shift=shift
        )


@pytest.mark.parametrize(
    "loss",
    [
        partial(focal_loss, gamma=0.5),
        partial(asymmetric_loss, shift=0.0),
        partial(asymmetric_loss, gamma_negative=0.5, shift=0.05),
        partial(asymmetric_loss, gamma_negative=0.0, shift=0.05),
    ],
)
def test_focal_losses_of_extreme_logits_and_their_gradients_are_finite(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> None:
    logits = torch.tensor([[200.0, -200.0, 200.0, -200.0]], requires_grad=True)
    value = loss(logits, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1, 4))
    value.backward()  # type: ignore[no-untyped-call]
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 3] < 0  # a missed positive still pulls


def test_softmax_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, np.log(2.0), np.log(5.0)], [1.0, 1.0, 1.0]])
    target = torch.tensor([[0.0, 1.0, 0.0], [0.3, 0.7, 0.0]])
    weight = torch.tensor([[0.25], [0.75]])
    expected = 0.25 * -np.log(2 / 8) + 0.75 * np.log(3)
    assert softmax_cross_entropy(logits, target, weight).item() == pytest.approx(expected, rel=1e-6)


def test_a_frame_answers_for_its_samples() -> None:
    logits, classes = _seeded(2, 3, 4), (0.5, 2.0, 1.0)
    target = torch.tensor([[0.0, 0, 1, 1, 2, 2, 0], [2, 2, 2, 2, 1, 1, 1]]).unsqueeze(1)
    weight = torch.rand(2, 1, 7)
    spread = logits[..., [0, 0, 1, 1, 2, 2, 3]].log_softmax(1)
    expected = torch.zeros(())
    for row in range(2):
        for sample, kind in enumerate(target[row, 0].long().tolist()):
            loss = -classes[kind] * spread[row, kind, sample]
            expected = expected + weight[row, 0, sample] * loss
    found = frame_cross_entropy(logits, target, weight, classes=classes)
    assert torch.allclose(found, expected)
    alike = frame_cross_entropy(logits, target, weight)
    assert torch.allclose(
        alike, frame_cross_entropy(logits, target, weight, classes=(1.0, 1.0, 1.0))
    )
    assert not torch.allclose(alike, found)


def test_samples_without_weight_change_no_frame() -> None:
    logits, target, weight = _seeded(1, 3, 2), torch.zeros(1, 1, 8), torch.ones(1, 1, 8)
    weight[..., 5:] = 0
    other = target.clone()
    other[..., 5:] = 2
    assert torch.equal(
        frame_cross_entropy(logits, target, weight), frame_cross_entropy(logits, other, weight)
    )


def test_softmax_cross_entropy_agrees_with_that_of_samples() -> None:
    logits, weight = _seeded(4, 5), torch.rand(4, 1)
    index = torch.tensor([0, 4, 2, 2])
    one_hot = functional.one_hot(index, 5).float()
    expected = cross_entropy(
        logits[:, None, :, None], index[:, None, None].float(), weight[..., None]
    )
    assert torch.allclose(softmax_cross_entropy(logits, one_hot, weight), expected)


def test_challenge_score_by_hand() -> None:
    target = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]).double()
    answer = torch.tensor([[1.0, 0.5, 0.25], [0.0, 0.0, 0.5], [1.0, 1.0, 0.0]]).double()
    first = (1 + 0.5 * 0.5 + 0.3 * 0.25 + 0.5 + 0.5 + 0.2 * 0.25) / (1 + 1 + 0.25)
    found = challenge_score(answer, target, rewards=REWARDS)
    assert found.tolist() == pytest.approx([first, 0.5, 0.0])


def test_rows_of_the_rewards_are_labels() -> None:
    oneway = torch.tensor([[1.0, 0.25], [0.0, 1.0]])
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert challenge_score(second, first, rewards=oneway).item() == 0.125
    assert challenge_score(first, second, rewards=oneway).item() == 0


def test_a_class_without_rewards_is_not_scored() -> None:
    answer, target = torch.rand(5, 3).double(), (torch.rand(5, 3) > 0.5).double()
    wider = torch.zeros(4, 4, dtype=torch.float64)
    wider[:3, :3] = REWARDS
    other = torch.ones(5, 1).double()
    found = challenge_score(
        torch.cat([answer, other], 1), torch.cat([target, other], 1), rewards=wider
    )
    assert torch.allclose(found, challenge_score(answer, target, rewards=REWARDS))


def _observed(labels: list[bool], outputs: list[bool], rewards: list[list[float]]) -> float:
    """Return the official reward of one record, as its definition reads."""
    share = max(1, sum(y or x for y, x in zip(labels, outputs, strict=True)))
    return sum(
        rewards[j][k] / share
        for j, label in enumerate(labels)
        for k, output in enumerate(outputs)
        if label and output
    )


def test_binary_challenge_score_is_the_official_one_of_each_record() -> None:
    with np.load(OFFICIAL) as file:
        rewards, labels, outputs = (file[key] for key in ("weights", "ties/labels", "ties/outputs"))
    found = challenge_score(
        torch.tensor(outputs, dtype=torch.float64),
        torch.tensor(labels, dtype=torch.float64),
        rewards=torch.tensor(rewards),
    )
    expected = [
        _observed(label, output, rewards.tolist())
        for label, output in zip(
            labels.astype(bool).tolist(), outputs.astype(bool).tolist(), strict=True
        )
    ]
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)
    assert len(set(expected)) > 10


def test_binary_challenge_score_gives_the_official_metric() -> None:
    with np.load(OFFICIAL) as file:
        cases = dict(file)
    rewards, normal = torch.tensor(cases["weights"]), int(cases["normal_index"])
    names = {key.split("/")[0] for key in cases if "/" in key}
    assert len(names) == 15
    for name in names:
        target = torch.tensor(cases[f"{name}/labels"], dtype=torch.float64)
        idle = torch.zeros_like(target)
        idle[:, normal] = 1
        answers = (torch.tensor(cases[f"{name}/outputs"], dtype=torch.float64), target, idle)
        observed, right, inactive = (
            challenge_score(answer, target, rewards=rewards).sum().item() for answer in answers
        )
        metric = (observed - inactive) / (right - inactive) if right != inactive else 0.0
        assert metric == pytest.approx(float(cases[f"{name}/challenge"]), abs=1e-9), name


def test_challenge_loss_is_two_means() -> None:
    logits = _seeded(6, 2, 3).double()
    target = (_seeded(6, 3) > 0).double()
    weight = torch.ones_like(target)
    loss = challenge_loss(
        logits, target, normalise(weight, totals(weight)), rewards=REWARDS, share=0.3
    )
    entropy = functional.binary_cross_entropy_with_logits(logits[:, 0], target)
    score = challenge_score(logits[:, 1].sigmoid(), target, rewards=REWARDS).mean()
    assert loss.item() == pytest.approx((entropy - 0.3 * score).item())


def test_unknown_labels_count_neither_in_the_entropy_nor_in_the_score() -> None:
    logits, target = _seeded(4, 2, 3), (_seeded(4, 3) > 0).float()
    weight = torch.ones(4, 3)
    weight[0, 1] = weight[2, 0] = 0
    weight[3] = 0
    share = normalise(weight, totals(weight))

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return challenge_loss(logits, target, share, rewards=REWARDS)

    hidden = weight == 0
    other = torch.where(hidden[:, None], _seeded(4, 2, 3) + 3, logits)
    assert torch.allclose(
        loss(logits, target), loss(other, torch.where(hidden, 1 - target, target))
    )
    logits.requires_grad_()
    loss(logits, target).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.equal((logits.grad == 0).all(1), hidden)


def test_a_record_without_labels_leaves_the_mean_of_the_others() -> None:
    logits, target, weight = _seeded(3, 2, 3), (_seeded(3, 3) > 0).float(), torch.ones(3, 3)
    weight[2] = 0
    loss = partial(challenge_loss, rewards=REWARDS)
    whole = loss(logits, target, normalise(weight, totals(weight)))
    two = loss(logits[:2], target[:2], normalise(weight[:2], totals(weight[:2])))
    assert torch.allclose(whole, two)


def test_halves_of_a_batch_add_up_in_the_challenge_loss() -> None:
    logits, target = _seeded(6, 2, 3), (_seeded(6, 3) > 0).float()
    weight = (torch.arange(18).reshape(6, 3) % 5 > 0).float()
    loss = partial(challenge_loss, rewards=REWARDS)
    share = normalise(weight, totals(weight))
    halves = loss(logits[:2], target[:2], share[:2]) + loss(logits[2:], target[2:], share[2:])
    assert torch.allclose(loss(logits, target, share), halves)


def test_gradient_flows_through_the_norm() -> None:
    answer = torch.tensor([[0.6, 0.2]], requires_grad=True)
    score = challenge_score(answer, torch.tensor([[1.0, 0.0]]), rewards=torch.eye(2))
    score.sum().backward()  # type: ignore[no-untyped-call]
    assert answer.grad is not None
    assert answer.grad[0].tolist() == pytest.approx([1 / 1.2, -0.6 / 1.2**2])


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        (focal_loss, (4, 3)),
        (asymmetric_loss, (4, 3)),
        (partial(asymmetric_loss, gamma_negative=4.0, shift=0.05), (4, 3)),
        (partial(challenge_loss, rewards=REWARDS), (4, 2, 3)),
    ],
)
def test_gradients_are_those_of_the_value(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    logits = _seeded(*shape).double().requires_grad_()
    target = (torch.arange(12).reshape(4, 3) % 3 == 0).double()
    weight = torch.linspace(0, 1, 12, dtype=torch.float64).reshape(4, 3)
    assert torch.autograd.gradcheck(lambda x: loss(x, target, weight), (logits,))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_order_of_records_and_classes_does_not_matter_and_bounds_hold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answer, target = torch.tensor(rng.random((5, 3))), torch.tensor(rng.random((5, 3)).round())
    score = challenge_score(answer, target, rewards=REWARDS)
    records, classes = rng.permutation(5), rng.permutation(3)
    again = challenge_score(
        answer[records][:, classes],
        target[records][:, classes],
        rewards=REWARDS[classes][:, classes],
    )
    assert torch.allclose(again, score[records])
    # each label is rewarded at most by the whole answer, and norm is at least the answer's sum
    assert (score <= target.sum(1) + 1e-12).all()
    assert (score >= 0).all()


def test_the_challenge_loss_keeps_the_type_of_the_logits() -> None:
    logits, values = _seeded(2, 2, 3), torch.ones(2, 3)
    assert challenge_loss(logits, values, values / 6, rewards=REWARDS).dtype == torch.float32


def test_waves_of_weight_zero_do_not_count() -> None:
    logits = _seeded(1, 2, 4, 6).requires_grad_()
    weight = torch.ones(1, 2, 6)
    weight[0, 1] = 0
    cross_entropy(logits, torch.zeros(1, 2, 6), weight).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[0, 1] == 0).all()
    assert (logits.grad[0, 0] != 0).all()


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = binary_cross_entropy(logits, torch.tensor([[0.0, 1.0]]), torch.ones(1, 2))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(2e4)
    assert logits.grad is not None
    assert logits.grad.tolist() == [[1.0, -1.0]]


def test_totals_sum_over_all_but_the_part() -> None:
    weight = torch.arange(24.0).reshape(2, 3, 4)
    assert totals(weight).tolist() == weight.sum((0, 2)).tolist()
    assert totals(weight[..., 0]).tolist() == [12.0, 20.0, 28.0]


def test_each_labelled_part_counts_alike() -> None:
    weight = torch.zeros(2, 3, 4)
    weight[0, 0] = 1
    weight[:, 2, :3] = torch.rand(2, 3) + 0.1
    shares = totals(normalise(weight, totals(weight)))
    assert shares.tolist() == pytest.approx([0.5, 0.0, 0.5])


def test_halves_of_a_batch_with_shared_totals_add_up() -> None:
    logits = _seeded(6, 3, 4, 5)
    target = torch.randint(0, 4, (6, 3, 5)).float()
    weight = torch.rand(6, 3, 5) * (torch.rand(6, 3, 1) > 0.4)
    whole = cross_entropy(logits, target, normalise(weight, totals(weight)))
    shared = totals(weight[:2]) + totals(weight[2:])
    halves = [
        cross_entropy(logits[part], target[part], normalise(weight[part], shared))
        for part in (slice(2), slice(2, None))
    ]
    assert torch.allclose(halves[0] + halves[1], whole, rtol=1e-5)
    weak = torch.randint(0, 6, (6, 3, 5)).float()
    together = wave_loss(logits, weak, normalise(weight, totals(weight)))
    apart = [
        wave_loss(logits[part], weak[part], normalise(weight[part], shared))
        for part in (slice(2), slice(2, None))
    ]
    assert torch.allclose(apart[0] + apart[1], together, rtol=1e-5)
    alone = cross_entropy(logits[:2], target[:2], normalise(weight[:2], totals(weight[:2])))
    assert not torch.allclose(alone, halves[0])


@pytest.mark.parametrize(
    ("loss", "logits_shape", "shape"),
    [
        (binary_cross_entropy, (2, 3), (2, 3)),
        (beat_loss, (2, 6, 5), (2, 2, 5)),
        (cross_entropy, (2, 12, 4, 5), (2, 12, 5)),
        (wave_loss, (2, 12, 4, 5), (2, 12, 5)),
        (focal_loss, (2, 3), (2, 3)),
        (partial(asymmetric_loss, shift=0.05), (2, 3), (2, 3)),
        (partial(challenge_loss, rewards=REWARDS), (2, 2, 3), (2, 3)),
    ],
)
def test_no_weight_at_all_gives_zero_and_finite_gradients(
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    logits_shape: tuple[int, ...],
    shape: tuple[int, ...],
) -> None:
    weight = torch.zeros(shape)
    nothing = normalise(weight, totals(weight))
    assert torch.equal(nothing, weight)
    logits = torch.randn(logits_shape, requires_grad=True)
    value = loss(logits, torch.zeros(shape), nothing)
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_barlow_twins_by_hand() -> None:
    first, second = _seeded(9, 3).double(), _seeded(9, 3, 1)[..., 0].double()
    scaled = [(x - x.mean(0)) / torch.sqrt(x.var(0, correction=0) + 1e-5) for x in (first, second)]
    expected = 0.0
    for i in range(3):
        for j in range(3):
            c = float((scaled[0][:, i] * scaled[1][:, j]).sum()) / 9
            expected += (1 - c) ** 2 if i == j else 0.2 * c**2
    found = barlow_twins_loss(first, second, 0.2)
    assert found.item() == pytest.approx(expected)
    near = np.corrcoef(first.T, second.T)[:3, 3:]
    assert found.item() == pytest.approx(
        ((1 - near.diagonal()) ** 2).sum()
        + 0.2 * (near**2).sum()
        - 0.2 * (near.diagonal() ** 2).sum(),
        rel=1e-3,
    )


def test_barlow_twins_is_zero_for_equal_views_of_independent_outputs() -> None:
    signs = torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]).double()
    view = 10 * signs[:, 1:]
    assert barlow_twins_loss(view, 3 * view + 7, 1.0).item() == pytest.approx(0, abs=1e-9)
    assert barlow_twins_loss(view, -view, 1.0).item() == pytest.approx(3 * 4, rel=1e-6)
    twice = view[:, [0, 0]]
    assert barlow_twins_loss(twice, twice, 0.5).item() == pytest.approx(2 * 0.5, rel=1e-6)


def test_gradient_of_barlow_twins_is_that_of_small_steps_and_finite_where_constant() -> None:
    first, second = (_seeded(6, 3).double() + k * torch.eye(6, 3).double() for k in (0, 1))
    first.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: barlow_twins_loss(x, second, 0.1), (first,))
    flat = torch.zeros(6, 3, requires_grad=True)
    loss: Any = barlow_twins_loss(flat, second.float())
    assert loss.item() == pytest.approx(3)
    loss.backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_barlow_twins_teach_what_views_share_without_saying_it_twice() -> None:
    torch.manual_seed(0)
    shared, mixing = torch.randn(256, 4), torch.randn(4, 12)  # four causes of twelve numbers
    first, second = (shared @ mixing + 0.5 * torch.randn(256, 12) for _ in range(2))
    layer = torch.nn.Linear(12, 4)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.03)

    def others() -> float:
        with torch.no_grad():
            correlation = view_correlation(layer(first), layer(second))
        return (correlation - correlation.diag().diag()).abs().max().item()

    before = others()
    for _ in range(150):
        loss: Any = barlow_twins_loss(layer(first), layer(second), 0.2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2
    assert others() < 0.1 < 0.4 < before
