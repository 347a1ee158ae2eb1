"""Losses against cases worked out by hand, and where they must not break."""

from __future__ import annotations

import math

import pytest
import torch

from agrunet.training.losses import LossSums, cross_entropy, dice_loss, loss_sums, supervised_loss


def _logits(probabilities: list[list[float]]) -> torch.Tensor:
    """(1, K, 1, N) logits of N pixels given by their probabilities."""
    return torch.tensor(probabilities).log().T.view(1, len(probabilities[0]), 1, -1)


CASE = _logits([[0.8, 0.1, 0.1], [0.5, 0.25, 0.25], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]])
LABEL = torch.tensor([[[0, 0, 1, -1]]])


def test_cross_entropy_by_hand() -> None:
    wanted = -(math.log(0.8) + math.log(0.5) + math.log(0.6)) / 3
    assert cross_entropy(loss_sums(CASE, LABEL)).item() == pytest.approx(wanted, rel=1e-6)


def test_dice_by_hand_over_the_classes_present() -> None:
    # Class 0: overlap 1.3, mapped 1.5, truth 2; class 1: overlap 0.6, mapped 0.95, truth 1; class 2 is not in the truth.
    wanted = 1 - (2 * 1.3 / 3.5 + 2 * 0.6 / 1.95) / 2
    assert dice_loss(loss_sums(CASE, LABEL)).item() == pytest.approx(wanted, rel=1e-5)


def test_cross_entropy_equals_that_of_torch() -> None:
    logits, label = torch.randn(2, 4, 8, 8), torch.randint(-1, 4, (2, 8, 8))
    wanted = torch.nn.functional.cross_entropy(logits, label, ignore_index=-1)
    torch.testing.assert_close(cross_entropy(loss_sums(logits, label)), wanted)


def test_a_batch_without_labels_gives_zero_and_no_gradient() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = supervised_loss([logits], torch.full((1, 4, 4), -1), [1.0])
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_extreme_logits_give_finite_losses_and_gradients() -> None:
    logits = torch.tensor([1e4, -1e4]).view(1, 2, 1, 1).requires_grad_()
    loss = supervised_loss([logits], torch.ones(1, 1, 1, dtype=torch.long), [1.0])
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_levels_are_weighted_and_coarse_logits_repeated() -> None:
    label = torch.tensor([[[0, 1], [1, -1]]])
    fine, coarse = torch.randn(1, 2, 2, 2), torch.randn(1, 2, 1, 1)
    repeated = coarse.expand(1, 2, 2, 2)
    wanted = supervised_loss([fine], label, [1.0]) + 0.5 * supervised_loss([repeated], label, [1.0])
    torch.testing.assert_close(supervised_loss([fine, coarse], label, [1.0, 0.5]), wanted)


def test_sums_of_parts_make_the_loss_and_the_gradient_of_the_whole() -> None:
    logits, label = torch.randn(4, 3, 4, 4), torch.randint(-1, 3, (4, 4, 4))
    label[2:] = torch.where(label[2:] == 2, 0, label[2:])  # one class is in one part only
    whole = logits.clone().requires_grad_()
    wanted = supervised_loss([whole], label, [1.0])
    wanted.backward()
    halves = [logits[:2].clone().requires_grad_(), logits[2:].clone().requires_grad_()]
    for index, half in enumerate(halves):
        others = loss_sums(logits[2:] if index == 0 else logits[:2], label[2:] if index == 0 else label[:2]).flatten()
        loss = supervised_loss([half], label[:2] if index == 0 else label[2:], [1.0], lambda flat, o=others: flat + o)
        torch.testing.assert_close(loss, wanted)
        loss.backward()
    torch.testing.assert_close(torch.cat([half.grad for half in halves]), whole.grad)


def test_flat_sums_come_back() -> None:
    sums = loss_sums(CASE, LABEL)
    back = LossSums.from_flat(sums.flatten())
    for name in ("cross_entropy", "pixels", "overlap", "mapped", "truth"):
        torch.testing.assert_close(getattr(back, name), getattr(sums, name))
