"""Training of an auxiliary-classifier Wasserstein GAN with gradient penalty (AC-WGAN-GP).

Odena et al., arXiv:1610.09585 (the class head); Gulrajani et al., arXiv:1704.00028 (the penalty).
Images are in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from bench.networks.gan import Discriminator, GanShape, ImageGenerator, build_gan

Critic = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Images to a score ``(N,)`` and class logits ``(N, K)``."""

PENALTY = 10.0
"""Weight of the gradient penalty, as in WGAN-GP and DiM's release."""

BETAS = (0.0, 0.9)
"""Of Adam, likewise."""


def generator_loss(discriminator: Critic, fake: Tensor, labels: Tensor) -> Tensor:
    """CE(fake) - E[D(fake)].

    Args:
        discriminator: judges.
        fake: generated images with their graph.
        labels: the classes that they were generated for.
    """
    score, logits = discriminator(fake)
    return F.cross_entropy(logits, labels) - score.mean()


def discriminator_loss(
    discriminator: Critic,
    real: Tensor,
    real_labels: Tensor,
    fake: Tensor,
    fake_labels: Tensor,
    rng: Generator,
) -> Tensor:
    """E[D(fake)] - E[D(real)] + CE(fake) + CE(real) + 10 · gradient penalty.

    Args:
        discriminator: learns.
        real: real images.
        real_labels: their classes.
        fake: as many generated images, without graph.
        fake_labels: their classes.
        rng: draws the places where the gradient is measured.
    """
    fake_score, fake_logits = discriminator(fake)
    real_score, real_logits = discriminator(real)
    distance = fake_score.mean() - real_score.mean()
    classes = F.cross_entropy(fake_logits, fake_labels) + F.cross_entropy(real_logits, real_labels)
    return distance + classes + PENALTY * gradient_penalty(discriminator, real, fake, rng)


def gradient_penalty(discriminator: Critic, real: Tensor, fake: Tensor, rng: Generator) -> Tensor:
    """E[(‖∇ₓ D(x)‖ - 1)²] at x = u · real + (1 - u) · fake, u uniform in [0, 1], one an image.

    Differentiable with respect to the discriminator's parameters.
    """
    mix = torch.rand(len(real), 1, 1, 1, generator=rng).to(real, non_blocking=True)
    between = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    score, _ = discriminator(between)
    (gradient,) = torch.autograd.grad(score.sum(), between, create_graph=True)
    length: Tensor = gradient.flatten(1).norm(dim=1)
    return (length - 1).square().mean()


@dataclass(kw_only=True, eq=False)
class Gan:
    """A generator and a discriminator in training; everything in it can be checkpointed.

    Attributes:
        shape: their layers.
        generator: made by :meth:`start`, as the others.
        discriminator: its opponent.
        generator_optimizer: Adam.
        discriminator_optimizer: Adam.
    """

    shape: GanShape
    generator: ImageGenerator
    discriminator: Discriminator
    generator_optimizer: torch.optim.Adam
    discriminator_optimizer: torch.optim.Adam

    @classmethod
    def start(cls, shape: GanShape, lr: float, rng: Generator, device: torch.device) -> Gan:
        """Fresh networks and optimisers."""
        generator, discriminator = build_gan(shape, rng, device)
        return cls(
            shape=shape,
            generator=generator,
            discriminator=discriminator,
            generator_optimizer=torch.optim.Adam(generator.parameters(), lr=lr, betas=BETAS),
            discriminator_optimizer=torch.optim.Adam(
                discriminator.parameters(), lr=lr, betas=BETAS
            ),
        )

    def set_lr(self, lr: float) -> None:
        """Let both networks learn at another rate from now on; Adam's moments stay."""
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = lr

    def generate(self, labels: Tensor, rng: Generator) -> Tensor:
        """New images of these classes, with their graph."""
        images: Tensor = self.generator(self.shape.draw_latent(labels, rng))
        return images

    def step_generator(self, loss: Tensor) -> None:
        """One step down ``loss``; the discriminator, which it passed, gathers no gradient."""
        self.generator_optimizer.zero_grad()
        loss.backward(inputs=list(self.generator.parameters()))
        self.generator_optimizer.step()

    def step_discriminator(self, real: Tensor, labels: Tensor, rng: Generator) -> Tensor:
        """One step against as many fakes of uniform classes; returns the loss."""
        wanted = torch.randint(self.shape.num_classes, labels.shape, generator=rng)
        wanted = wanted.to(labels.device, non_blocking=True)
        with torch.no_grad():
            fake = self.generate(wanted, rng)
        loss = discriminator_loss(self.discriminator, real, labels, fake, wanted, rng)
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()
        return loss.detach()
