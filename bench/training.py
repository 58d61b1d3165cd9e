"""Training one network under a recipe: the plain loop that everything faster is checked against."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from bench.augment import Augmentation
from bench.data import RealSet, SyntheticSource
from bench.errors import Diverged, NotApplicable
from bench.mixing import Targets, mix, mixed_loss
from bench.recipes import KnowledgeDistillation, Precision, Recipe
from bench.sharpness import Sharpness

TEST_BATCH = 2048

Loss = Callable[[Tensor, Tensor], Tensor]


def batches(source: SyntheticSource, size: int, rng: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in shuffled mini-batches of ``size``; the last may be smaller."""
    if isinstance(source, RealSet):
        for index in torch.randperm(len(source), generator=rng).split(size):
            yield source.images(index), source.targets(index)
        return
    images, labels = source.epoch(rng)
    order = torch.randperm(len(images), generator=rng).to(images.device, non_blocking=True)
    for index in order.split(size):
        yield images[index], labels[index]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy to class indices ``(N,)``, or to the softmax of stored logits ``(N, K)``."""
    return F.cross_entropy(logits, labels if labels.ndim == 1 else labels.softmax(1))


def _to_logits(difference: Loss) -> Loss:
    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        if labels.ndim == 1:
            raise NotApplicable("a loss between logits needs soft labels; these labels are hard")
        return difference(logits, labels)

    return loss


LOSSES: dict[str, Loss] = {
    "cross-entropy": cross_entropy,
    "l1-logits": _to_logits(F.l1_loss),
    "mse-logits": _to_logits(F.mse_loss),
}


def distillation_loss(
    logits: Tensor, labels: Tensor, teacher: Tensor, rule: KnowledgeDistillation
) -> Tensor:
    """(1 - α) · CE + α · τ² · KL(teacher ‖ student), both at temperature τ (Model Pool, eq. 1).

    Args:
        logits: the student's, ``(N, K)``.
        labels: hard ``(N,)`` or soft ``(N, K)``.
        teacher: the teacher's logits, ``(N, K)``; constant.
        rule: α and τ.
    """
    divergence = F.kl_div(
        F.log_softmax(logits / rule.temperature, 1),
        F.log_softmax(teacher / rule.temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    soft = rule.alpha * rule.temperature**2 * divergence
    return soft + (1 - rule.alpha) * cross_entropy(logits, labels)


def recipe_loss(recipe: Recipe, logits: Tensor, targets: Targets, teacher: Tensor | None) -> Tensor:
    """What a student minimises.

    Args:
        recipe: names the loss, and the weight of a teacher.
        logits: the student's, ``(N, K)``.
        targets: labels with their shares.
        teacher: the teacher's logits, ``(N, K)``; ``None`` without a teacher.
    """
    rule = recipe.distillation
    if teacher is None or rule is None:
        loss = LOSSES[recipe.loss]
        return mixed_loss(lambda labels: loss(logits, labels), targets)
    return mixed_loss(lambda labels: distillation_loss(logits, labels, teacher, rule), targets)


def forward(network: Callable[[Tensor], Tensor], images: Tensor, precision: Precision) -> Tensor:
    """Logits ``(N, K)`` in the images' type, computed in ``precision``."""
    if precision != "bf16":
        return network(images)
    with torch.autocast(images.device.type, torch.bfloat16):
        return network(images).to(images.dtype)


def learning_rate(recipe: Recipe, start: float, epoch: int) -> float:
    """The learning rate of epoch ``epoch`` (from 0) when training starts at ``start``."""
    if recipe.schedule == "step":
        return start * (0.1 if epoch > recipe.epochs // 2 else 1.0)
    if recipe.schedule == "cosine":
        return start * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
    return start


@dataclass(kw_only=True, eq=False)
class Training:
    """A network in training; every tensor and generator in it can be checkpointed.

    Attributes:
        network: what is trained, in place.
        source: what it is trained on.
        recipe: how.
        augment: the recipe's augmentation.
        shuffle: draws the order of images, and a generator's images.
        augmenting: draws the augmentations, then what is mixed with what.
        teacher: a trained teacher for knowledge distillation, or ``None``.
        sharpness: sharpness-aware steps instead of plain ones, or ``None``.
    """

    network: nn.Module
    source: SyntheticSource
    recipe: Recipe
    augment: Augmentation
    shuffle: Generator
    augmenting: Generator
    teacher: nn.Module | None = None
    sharpness: Sharpness | None = None
    epoch: int = 0

    def __post_init__(self) -> None:
        recipe, learned = self.recipe, self.source.learning_rate
        self.start = learned if recipe.learned_lr and learned is not None else recipe.lr
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=self.start,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )

    def run_epoch(self) -> Tensor:
        """Train one epoch; return the loss of its last batch, still on the device."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        loss = torch.zeros(())
        for images, targets in self.batches():
            loss = self._step(images, targets)
        self.epoch += 1
        return loss

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def rate(self) -> float:
        """The learning rate of the epoch to come."""
        return learning_rate(self.recipe, self.start, self.epoch)

    def batches(self) -> Iterator[tuple[Tensor, Targets]]:
        """The batches of one epoch, augmented and mixed: all that an epoch draws."""
        for images, labels in self.unaugmented():
            yield self.mixed(self.augment(images, self.augmenting), labels)

    def unaugmented(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of one epoch as the source has them: images and labels."""
        return batches(self.source, self.recipe.batch, self.shuffle)

    def mixed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Targets]:
        """An augmented batch as the recipe mixes it."""
        return mix(self.recipe.mixing, images, labels, self.augmenting)

    def _step(self, images: Tensor, targets: Targets) -> Tensor:
        if self.sharpness is None:
            loss = self._loss(images, targets)
            self.optimizer.zero_grad()
            loss.backward()
        else:
            parameters = list(self.network.parameters())
            loss, found = self.sharpness.gradients(lambda: self._loss(images, targets), parameters)
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter.grad = gradient
        self.optimizer.step()
        return loss.detach()

    def _loss(self, images: Tensor, targets: Targets) -> Tensor:
        precision = self.recipe.precision
        logits, teacher = forward(self.network, images, precision), None
        if self.teacher is not None and self.recipe.distillation is not None:
            with torch.no_grad():
                teacher = forward(self.teacher, images, precision)
        return recipe_loss(self.recipe, logits, targets, teacher)


@torch.no_grad()
def predictions(network: nn.Module, real: RealSet, precision: Precision = "fp32") -> Tensor:
    """Predicted classes of every image of ``real``, ``(N,)`` int64 on the CPU."""
    network.eval()
    parts = torch.arange(len(real)).split(TEST_BATCH)
    logits = (forward(network, real.images(index), precision) for index in parts)
    return torch.cat([part.argmax(1) for part in logits]).cpu()


def check_finite(loss: Tensor, what: str) -> float:
    """The loss as a number.

    Raises:
        Diverged: it is NaN or infinite.
    """
    value = float(loss)
    if not -float("inf") < value < float("inf"):
        raise Diverged(f"the loss of {what} became {value}")
    return value
