"""What trajectory-matching methods share: experts, windows, one matching step, guarded updates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import augment, networks
from bench.augment.differentiable import DifferentiableAugmentation, DifferentiableName
from bench.data import SyntheticSet
from bench.errors import InvalidValue, NotApplicable
from bench.evaluation.engine import network_is_pure
from bench.experts import Expert
from bench.networks import Network
from bench.parameters import Count, CountOrZero, Init, Momentum, Rate, RateOrZero
from bench.randomness import choose
from bench.recipes import Recipe
from bench.sharpness import Sharpness
from bench.task import Task
from bench.training import TEST_BATCH, cross_entropy
from bench.unrolling import Batch, Gradient, Gradients, Unrolling, gradients, partition

SMALLEST_RATE = 1e-6
"""The learned learning rate never falls below this: a negative one would climb."""


@dataclass(kw_only=True, eq=False)
class Descent:
    """One tensor under SGD with momentum, whose steps can be left out without a branch.

    Attributes:
        value: what is optimised, in place.
        lr: learning rate.
        momentum: of SGD.
    """

    value: Tensor
    lr: float
    momentum: float

    def __post_init__(self) -> None:
        self.velocity = torch.zeros_like(self.value)

    def step(self, gradient: Tensor, keep: Tensor) -> None:
        """Descend where ``keep`` (0-dimensional, bool) holds; else change nothing."""
        velocity = self.momentum * self.velocity + gradient
        self.velocity = torch.where(keep, velocity, self.velocity)
        self.value.sub_(torch.where(keep, self.lr * velocity, torch.zeros_like(velocity)))


@dataclass(kw_only=True, eq=False)
class MatchingState:
    """The synthetic set in optimisation.

    Attributes:
        task: what is distilled.
        network: the architecture that parameters are laid into.
        augmentation: of the student's batches, by image.
        labels: ``(N,)`` class indices, or logits ``(N, K)`` in optimisation.
        images: ``(N, C, H, W)`` in optimisation.
        rate: the student's learning rate in optimisation.
        logits: the labels' optimiser where they are learned.
        average: running mean of the images where it is what counts.
        iteration: outer steps done.
        loss: of the last segment whose loss was a number, 0-dimensional; infinite before the first.
        left_out: segments so far that changed nothing, 0-dimensional.
    """

    task: Task
    network: Network
    augmentation: DifferentiableAugmentation
    labels: Tensor
    images: Descent
    rate: Descent
    loss: Tensor
    left_out: Tensor
    logits: Descent | None = None
    average: Tensor | None = None
    iteration: int = 0


@dataclass(frozen=True, kw_only=True)
class Match:
    """An expert's segment to be matched: its parameters ``(P,)`` at the start and M epochs on."""

    start: Tensor
    target: Tensor


@dataclass(frozen=True, kw_only=True)
class TrajectoryMatching:
    """MTT's loop; adapters add what their papers add.

    ``iterations`` outer steps, each of which unrolls ``matching_steps`` student steps from an
    expert's parameters at an epoch drawn from [``min_start_epoch``, ``max_start_epoch``) and
    compares with the expert ``expert_epochs`` later. ``lr_student`` is the learned learning rate's
    start. A step changes nothing whose loss exceeds ``loss_limit`` (0: no limit), or whose loss or
    gradient is no number; how many did is reported as ``left_out``.

    Raises:
        InvalidValue: segments reach beyond the experts' last epoch, or none may start.
    """

    iterations: Count
    matching_steps: Count
    expert_epochs: Count
    min_start_epoch: CountOrZero
    max_start_epoch: Count
    batch_syn: CountOrZero  # synthetic images in one student step; 0 for all
    lr_images: Rate
    lr_learning_rate: RateOrZero  # 0: the student's rate stays as it is
    lr_student: Rate
    momentum: Momentum  # of images and learning rate
    loss_limit: RateOrZero
    gradient: Gradient
    init: Init
    augmentation: DifferentiableName  # of the student's batches; experts always train with DSA
    experts: Count
    teacher_epochs: Count
    teacher_lr: Rate
    teacher_batch: Count
    sharpness_rho: RateOrZero  # 0 for experts trained by plain SGD
    sharpness_alpha: RateOrZero

    def __post_init__(self) -> None:
        if self.max_start_epoch - 1 + self.expert_epochs > self.teacher_epochs:
            raise InvalidValue(
                f"Segments of {self.expert_epochs} epochs that start before epoch "
                f"{self.max_start_epoch} reach beyond experts of {self.teacher_epochs} epochs; "
                f"raise teacher_epochs, or lower max_start_epoch or expert_epochs."
            )
        if self.min_start_epoch >= self.last_start_epoch(0):
            raise InvalidValue(
                f"min_start_epoch is {self.min_start_epoch}; give less than "
                f"{self.last_start_epoch(0)}, where the window of start epochs ends at first."
            )

    @property
    def steps(self) -> int:
        """One matched segment a step."""
        return self.iterations

    @property
    def recipe(self) -> Recipe:
        """How experts are trained."""
        return Recipe(
            epochs=self.teacher_epochs,
            lr=self.teacher_lr,
            momentum=0.0,
            weight_decay=0.0,
            batch=self.teacher_batch,
            schedule="constant",
        )

    @property
    def sharpness(self) -> Sharpness | None:
        """Which way experts look around themselves, if any."""
        if not self.sharpness_rho:
            return None
        return Sharpness(rho=self.sharpness_rho, alpha=self.sharpness_alpha)

    def expert(self, task: Task, index: int) -> Tensor:
        """Trajectory ``index``, ``(teacher_epochs + 1, P)``."""
        return task.experts.trajectory(task.network, self.recipe, index, self.sharpness)

    def wanted_experts(self, network: str, seed: int) -> list[Expert]:
        """The pool that segments are drawn from, the same for every distillation seed."""
        recipe, sharpness = self.recipe, self.sharpness
        return [Expert(network, recipe, index, sharpness) for index in range(self.experts)]

    def prepare(self, task: Task) -> MatchingState:
        """Train or fetch the experts; start from real images or noise.

        Raises:
            NotApplicable: the network draws as it computes, and the gradient repeats steps.
        """
        if self.gradient != "unrolled" and not network_is_pure(task.network, task.spec):
            raise NotApplicable(
                f"{task.network} has dropout, which draws anew when {self.gradient!r} takes a step "
                f"again; set gradient to 'unrolled'"
            )
        task.experts.train(self.wanted_experts(task.network, task.seed))
        images, labels = self.start(task)
        rate = torch.tensor(self.lr_student, device=task.device)
        return MatchingState(
            task=task,
            network=task.fresh_network().requires_grad_(False),
            augmentation=augment.build_differentiable(self.augmentation, task.spec),
            labels=labels,
            images=Descent(value=images, lr=self.lr_images, momentum=self.momentum),
            rate=Descent(value=rate, lr=self.lr_learning_rate, momentum=self.momentum),
            loss=torch.full_like(rate, torch.inf),
            left_out=torch.zeros_like(rate),
        )

    def start(self, task: Task) -> tuple[Tensor, Tensor]:
        """Initial images and labels."""
        return task.initial_images(self.init).detach(), task.hard_labels()

    def last_start_epoch(self, iteration: int) -> int:
        """The end, exclusive, of the window that start epochs are drawn from."""
        return self.max_start_epoch

    def step(self, state: MatchingState) -> Mapping[str, Tensor]:
        """Match one segment and descend."""
        match = self.draw(state)
        found = self.match(state, match, self.labels(state, match))
        keep = found.finite
        state.loss = torch.where(found.loss.isfinite(), found.loss, state.loss)
        if self.loss_limit:
            keep = keep & (found.loss <= self.loss_limit)
        state.images.step(found.images, keep)
        state.rate.step(found.learning_rate, keep)
        state.rate.value.clamp_(min=SMALLEST_RATE)
        if state.logits is not None and found.labels is not None:
            state.logits.step(found.labels, keep)
        self.after(state)
        state.left_out = state.left_out + ~keep
        state.iteration += 1
        rate = state.rate.value.clone()
        return {"loss": state.loss, "learning_rate": rate, "left_out": state.left_out}

    def after(self, state: MatchingState) -> None:
        """What follows a step; nothing here."""

    def draw(self, state: MatchingState) -> Match:
        """An expert and a start epoch, uniformly."""
        rng, device = state.task.rng, state.task.device
        trajectory = self.expert(state.task, choose(self.experts, rng))
        window = self.last_start_epoch(state.iteration) - self.min_start_epoch
        epoch = self.min_start_epoch + choose(window, rng)
        start, target = trajectory[epoch], trajectory[epoch + self.expert_epochs]
        return Match(
            start=start.to(device, non_blocking=True), target=target.to(device, non_blocking=True)
        )

    def labels(self, state: MatchingState, match: Match) -> Tensor:
        """The labels that this segment's student sees."""
        return state.labels

    def match(self, state: MatchingState, match: Match, labels: Tensor) -> Gradients:
        """The loss ‖θ_N - θ*‖² / ‖θ_0 - θ*‖² and its gradients (MTT, equation 2)."""
        rng, images = state.task.rng, state.images.value
        batches = []
        for index in partition(len(images), self.batch_syn, self.matching_steps, rng):
            drawn = state.augmentation.draw((len(index), *images.shape[1:]), rng)
            there = index.to(images.device, non_blocking=True)
            batches.append(Batch(there, drawn.apply))
        unrolling = Unrolling(
            network=state.network,
            loss=cross_entropy,
            start=match.start,
            target=match.target,
            images=images,
            labels=labels,
            learning_rate=state.rate.value,
            batches=batches,
        )
        return gradients(unrolling, self.gradient)

    def result(self, state: MatchingState) -> SyntheticSet:
        """The images, their labels and the learned learning rate."""
        images = state.images.value if state.average is None else state.average
        return SyntheticSet(
            images=images, labels=state.labels, learning_rate=float(state.rate.value)
        )


@torch.no_grad()
def logits_at(state: MatchingState, parameters: Tensor, images: Tensor) -> Tensor:
    """What a network with these parameters says of ``images``, ``(N, K)``."""
    named = networks.unflatten(state.network, parameters)
    return torch.cat(
        [
            torch.func.functional_call(state.network, named, (part,))
            for part in images.split(TEST_BATCH)
        ]
    )
