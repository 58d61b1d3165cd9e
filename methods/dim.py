"""DiM: distilling a dataset into a generative model. Wang et al., 2023, arXiv:2303.04707.

Its second card, ``cgan``, is the paper's baseline: the same conditional GAN, no logits matched.

Follows the paper, algorithm 1, and where it is silent vimar-gu/DiM@3657339, gen_condense.py and
pool_match.py. The release itself: ``gan_epochs=150``, ``matched="log-softmax"``,
``lr_matching=5e-6``, and batches of 128 before matching, which one ``batch_real`` cannot say.
Differs: every draw comes from the trial's seed. The last epoch's generator is handed over; the
release keeps the best on test data. The label is written over the first numbers of the noise, as in
the release, which alone gives the layer sizes of section 7; equation 4 appends it. Networks of the
pool see pixels in [0, 1] before normalisation; the release gives them pixels in [-1, 1] and its
students those in [0, 1]. The pool has the task's own network for ConvNet-3, and the residual
networks of this suite (see ``bench.networks.resnet``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import augment, networks
from bench.adversarial import Gan, generator_loss
from bench.augment.differentiable import DifferentiableAugmentation, DifferentiableName
from bench.augment.families import Cutout
from bench.errors import InvalidValue, NotApplicable
from bench.generators import SyntheticGenerator, from_signed, to_signed
from bench.networks.gan import GanShape
from bench.parameters import Count, CountOrZero, OneOf, Rate, RateOrZero
from bench.randomness import choose
from bench.recipes import Recipe
from bench.task import Task
from bench.training import Training


@dataclass(kw_only=True)
class DistillingState:
    """The GAN in training."""

    task: Task
    gan: Gan
    augmentation: DifferentiableAugmentation  # of the pool's networks in training
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class DistillIntoModel:
    """Train a conditional GAN; then match logits of real and generated images as well."""

    width: Count
    latent: Count  # numbers that an image is generated from, the one-hot label among them
    gan_epochs: CountOrZero  # N: epochs before matching starts
    matching_epochs: CountOrZero  # Q; 0 for a conditional GAN
    batch_real: Count  # B
    lr_generator: Rate  # and of the discriminator
    lr_matching: Rate  # the same once matching has started
    matching_weight: RateOrZero  # λ
    matched: Annotated[str, OneOf(["logits", "log-softmax"])]  # equation 5; as released
    pool: str  # networks beside the task's own, with bars between them
    # steps of the drawn network on real images before each of the generator
    student_steps: CountOrZero
    lr_student: Rate
    # of the drawn network's training; matching cuts out a square as well
    augmentation: DifferentiableName

    def __post_init__(self) -> None:
        if not self.steps:
            raise InvalidValue("gan_epochs and matching_epochs are both 0; raise one of them.")
        for name in self._others:
            networks.parse(name)

    @property
    def steps(self) -> int:
        """One epoch of the real images a step."""
        return self.gan_epochs + self.matching_epochs

    @property
    def _others(self) -> tuple[str, ...]:
        """The networks of the pool beside the task's own."""
        return tuple(filter(None, self.pool.split("|")))

    def prepare(self, task: Task) -> DistillingState:
        """A fresh GAN.

        Raises:
            InvalidValue: the latent leaves no room for noise.
            NotApplicable: no generator can make such images, or the budget does not bound one.
        """
        if task.budget.kind != "inpc":
            raise NotApplicable(f"hands over a generator, which {task.budget} does not bound")
        if task.real.preprocessing.kind != "normalize":
            raise NotApplicable("generates pixels, which are normalised and not whitened")
        spec = task.spec
        shape = GanShape(
            width=self.width,
            latent=self.latent,
            num_classes=spec.num_classes,
            channels=spec.channels,
            size_px=spec.size_px,
        )
        return DistillingState(
            task=task,
            gan=Gan.start(shape, self.lr_generator, task.rng, task.device),
            augmentation=augment.build_differentiable(self.augmentation, spec),
        )

    def step(self, state: DistillingState) -> Mapping[str, Tensor]:
        """One epoch of algorithm 1; from epoch N on with one network of the pool (equation 6)."""
        task, gan = state.task, state.gan
        matching = state.epoch >= self.gan_epochs
        gan.set_lr(self.lr_matching if matching else self.lr_generator)
        student = self.draw_student(state) if matching else None
        losses = []
        for index in self._batches(task):
            images, labels = task.real.images(index), task.real.targets(index)
            fake = gan.generate(labels, task.rng)
            loss = generator_loss(gan.discriminator, fake, labels)
            if student is not None:  # equation 7: L_g + λ L_m
                self._train(student, task)
                made = from_signed(fake, task.real.preprocessing)
                match = self.matching_loss(student.network, images, made, state)
                loss = loss + self.matching_weight * match
            gan.step_generator(loss)
            real = to_signed(images, task.real.preprocessing)
            against = gan.step_discriminator(real, labels, task.rng)
            losses.append(torch.stack([loss.detach(), against]))
        state.epoch += 1
        generator, discriminator = torch.stack(losses).mean(0)
        return {"generator": generator, "discriminator": discriminator}

    def _batches(self, task: Task) -> list[Tensor]:
        """Positions of an epoch's real images; a smaller last batch is dropped, as released."""
        order = torch.randperm(len(task.real), generator=task.rng)
        whole, *others = order.split(self.batch_real)
        return [whole, *(part for part in others if len(part) == self.batch_real)]

    def draw_student(self, state: DistillingState) -> Training:
        """A fresh network of the pool, to be trained on real images along the epoch."""
        task = state.task
        names = [task.network, *self._others]
        return Training(
            network=task.fresh_network(names[choose(len(names), task.rng)]),
            source=task.real,
            recipe=Recipe(epochs=1, lr=self.lr_student, batch=self.batch_real, schedule="constant"),
            augment=state.augmentation,
            shuffle=task.rng,
            augmenting=task.rng,
        )

    def _train(self, student: Training, task: Task) -> None:
        """Some steps on real images, a new choice of them each time."""
        if self.student_steps:
            order = torch.randperm(len(task.real), generator=task.rng)
            student.source = task.real.subset(order[: self.student_steps * self.batch_real])
            student.run_epoch()

    def matching_loss(
        self, student: nn.Module, real: Tensor, fake: Tensor, state: DistillingState
    ) -> Tensor:
        """L_m (equation 5): mean squared difference of logits, pair by pair of one class.

        Both batches, ``(B, C, H, W)`` in model-input space, share one augmentation.
        """
        augmentation = DifferentiableAugmentation((*state.augmentation.stages, (Cutout(),)))
        real, fake = augmentation.pair(real, fake, state.task.rng)
        with torch.no_grad():
            target = student(real)
        ours = student(fake)
        if self.matched == "log-softmax":
            target, ours = target.log_softmax(1), ours.log_softmax(1)
        return F.mse_loss(ours, target)

    def result(self, state: DistillingState) -> SyntheticGenerator:
        """The generator; the budget decides how many images an epoch draws, nothing else."""
        return SyntheticGenerator.of(
            state.gan.generator,
            state.gan.shape,
            state.task.real.preprocessing,
            state.task.budget.count,
        )
