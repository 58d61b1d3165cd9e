"""The losses of a conditional GAN against formulas in float64, and whom a step changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import networks
from bench.adversarial import Gan, discriminator_loss, generator_loss, gradient_penalty
from bench.networks.gan import build_gan
from bench.randomness import generator
from tests.fakes import NETWORK, tiny_pair
from tests.tiny_gans import SHAPE, batch, equal


class LinearCritic(nn.Module):
    """Score ⟨w, x⟩; logits ⟨v_k, x⟩."""

    def __init__(self) -> None:
        super().__init__()
        rng = generator("critic")
        self.w = nn.Parameter(torch.randn(64, generator=rng, dtype=torch.float64))
        self.v = nn.Parameter(torch.randn(3, 64, generator=rng, dtype=torch.float64))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        flat = images.flatten(1)
        return flat @ self.w, flat @ self.v.T


def cross_entropy(logits: np.ndarray[Any, Any], labels: list[int]) -> float:
    """Mean of log Σ exp(logits) - logit of the label, image by image."""
    return float(
        np.mean(
            [math.log(np.exp(row).sum()) - row[k] for row, k in zip(logits, labels, strict=True)]
        )
    )


def numbers(critic: LinearCritic, images: Tensor) -> tuple[np.ndarray[Any, Any], ...]:
    x = images.flatten(1).numpy()
    return x @ critic.w.detach().numpy(), x @ critic.v.detach().numpy().T


def test_the_generator_wants_high_scores_and_its_own_classes() -> None:
    critic, (images, labels) = LinearCritic(), batch("fake")
    score, logits = numbers(critic, images)
    expected = -score.mean() + cross_entropy(logits, labels.tolist())
    loss = generator_loss(critic, images, labels).detach()
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_the_discriminators_loss_has_five_terms() -> None:
    critic, (real, real_labels), (fake, fake_labels) = LinearCritic(), batch("real"), batch("fake")
    (real_score, real_logits), (fake_score, fake_logits) = (
        numbers(critic, images) for images in (real, fake)
    )
    length = float(critic.w.detach().norm())  # a linear score has this gradient everywhere
    expected = (
        fake_score.mean()
        - real_score.mean()
        + cross_entropy(fake_logits, fake_labels.tolist())
        + cross_entropy(real_logits, real_labels.tolist())
        + 10 * (length - 1) ** 2
    )
    loss = discriminator_loss(critic, real, real_labels, fake, fake_labels, generator("mix"))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-12)


def test_the_penalty_looks_between_each_real_and_fake_image() -> None:
    (real, _), (fake, _) = batch("real"), batch("fake")

    def squared(images: Tensor) -> tuple[Tensor, Tensor]:
        """Score ½ ‖x‖², whose gradient is x itself."""
        return images.flatten(1).square().sum(1) / 2, images.flatten(1)

    u = torch.rand(5, 1, 1, 1, generator=generator("mix")).double()
    between = u * real + (1 - u) * fake
    expected = ((between.flatten(1).norm(dim=1) - 1) ** 2).mean()
    assert torch.allclose(gradient_penalty(squared, real, fake, generator("mix")), expected)


def test_the_penaltys_own_gradient_is_that_of_finite_differences() -> None:
    _, discriminator = build_gan(SHAPE, generator("gan"))
    discriminator.double()
    (real, _), (fake, _) = batch("real"), batch("fake")

    def penalty() -> Tensor:
        return gradient_penalty(discriminator, real, fake, generator("mix"))

    penalty().backward()
    weights = [p for p in discriminator.parameters() if p.grad is not None and p.ndim == 4]
    assert len(weights) == 4
    for weight in weights:
        assert weight.grad is not None
        slope, start, step = weight.grad.norm(), weight.detach().clone(), 1e-6
        around = []
        for side in (1, -1):
            weight.data = start + side * step * weight.grad / slope
            around.append(penalty().detach())
        weight.data = start
        assert float((around[0] - around[1]) / (2 * step)) == pytest.approx(float(slope), rel=1e-5)


def test_a_step_of_the_generator_changes_nothing_else() -> None:
    gan = Gan.start(SHAPE, 1e-3, generator("gan"), torch.device("cpu"))
    student = networks.build(NETWORK, tiny_pair().train.spec, generator("student"))
    before = {k: v.clone() for k, v in gan.discriminator.state_dict().items()}
    weights = networks.flatten(gan.generator)
    labels = torch.arange(6) % 3
    fake = gan.generate(labels, generator("z"))
    gan.step_generator(generator_loss(gan.discriminator, fake, labels) + student(fake).sum())
    assert equal(gan.discriminator.state_dict(), before)
    assert not torch.equal(networks.flatten(gan.generator), weights)
    for parameter in [*gan.discriminator.parameters(), *student.parameters()]:
        assert parameter.grad is None


def test_a_step_of_the_discriminator_changes_only_it() -> None:
    gan = Gan.start(SHAPE, 1e-3, generator("gan"), torch.device("cpu"))
    ours, theirs = networks.flatten(gan.generator), networks.flatten(gan.discriminator)
    real, labels = batch("real")
    loss = gan.step_discriminator(real.float(), labels, generator("step"))
    assert loss.isfinite()
    assert not loss.requires_grad
    assert torch.equal(networks.flatten(gan.generator), ours)
    assert not torch.equal(networks.flatten(gan.discriminator), theirs)


def test_adam_has_no_first_moment_and_one_rate_for_both() -> None:
    gan = Gan.start(SHAPE, 1e-3, generator("gan"), torch.device("cpu"))
    gan.set_lr(0.25)
    for optimizer in (gan.generator_optimizer, gan.discriminator_optimizer):
        (group,) = optimizer.param_groups
        assert group["betas"] == (0.0, 0.9)
        assert group["lr"] == 0.25
