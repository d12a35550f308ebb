"""The import hook of conftest.py is at work: a wrong shape is refused, a right one is not."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from fascicle.losses import binary_cross_entropy
from fascicle.models.blocks import RecordNorm
from fascicle.models.unet import UNet


def test_a_layer_refuses_a_wrong_number_of_axes() -> None:
    with pytest.raises(TypeCheckError):
        RecordNorm(8)(torch.zeros(8, 9))


def test_a_backbone_refuses_masks_that_do_not_fit_the_signal() -> None:
    backbone = UNet(leads=3, filters=(8, 8), decoder=(8,))
    with pytest.raises(TypeCheckError):
        backbone(torch.zeros(2, 3, 64), torch.ones(2, 2, dtype=torch.bool))


def test_a_loss_refuses_weights_of_another_shape() -> None:
    logits = torch.zeros(2, 3)
    assert binary_cross_entropy(logits, logits, logits) == 0
    with pytest.raises(TypeCheckError):
        binary_cross_entropy(logits, logits, torch.zeros(2, 4))
