"""What a method is given, and what a method is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from torch import Generator, Tensor

from bench import networks
from bench.data import RealSet, SyntheticSource
from bench.errors import InvalidValue, NotApplicable
from bench.experts import Experts
from bench.networks import Network
from bench.specs import Budget, DatasetSpec


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Everything a method may use: training data only.

    Attributes:
        real: the training images.
        budget: how much may be handed over.
        network: the name of the network to distil with.
        seed: the distillation seed, for choices that a seed makes (which teacher).
        rng: every draw of the method comes from here; on the CPU, so that devices agree.
        experts: networks trained on ``real`` once and shared by all methods.
    """

    real: RealSet
    budget: Budget
    network: str
    seed: int
    rng: Generator
    experts: Experts

    @property
    def spec(self) -> DatasetSpec:
        """The dataset."""
        return self.real.spec

    @property
    def device(self) -> torch.device:
        """Where images live and networks run."""
        return self.real.device

    def fresh_network(self, name: str | None = None) -> Network:
        """A newly initialised network (``network`` unless another is named)."""
        return networks.build(name or self.network, self.spec, self.rng, device=self.device)

    def classes(self) -> Iterable[int]:
        """Every label once, for loops whose rounds cost alike: a forecast goes fewer of them."""
        return range(self.spec.num_classes)

    def initial_images(self, init: str) -> Tensor:
        """Images to optimise, ``(K * ipc, C, H, W)`` ordered by class, requiring gradients.

        Args:
            init: ``real`` for random real images, ``noise`` for standard normal ones.

        Raises:
            InvalidValue: another ``init``.
            NotApplicable: a class has fewer real images than the budget asks for.
        """
        if init == "noise":
            count = self.budget.count * self.spec.num_classes
            noise = torch.randn(count, *self.spec.shape, generator=self.rng)
            return noise.to(self.device).requires_grad_()
        if init != "real":
            raise InvalidValue(f"init is {init!r}; give 'real' or 'noise'.")
        self.require_real_images()
        drawn = [
            self.real.draw_class(label, self.budget.count, self.rng)
            for label in range(self.spec.num_classes)
        ]
        return torch.cat(drawn).requires_grad_()

    def require_real_images(self) -> None:
        """What a method that hands over real images, or starts from them, asks before any work.

        Raises:
            NotApplicable: a class has fewer real images than the budget asks for.
        """
        fewest = min(len(members) for members in self.real.class_indices)
        if fewest < self.budget.count:
            raise NotApplicable(
                f"cannot take {self.budget.count} real images per class: "
                f"a class of {self.spec.name} has {fewest}"
            )

    def of_class(self, images: Tensor, label: int) -> Tensor:
        """The synthetic images of one class, ``(ipc, C, H, W)``: a view of ``images``."""
        return images[label * self.budget.count : (label + 1) * self.budget.count]

    def hard_labels(self) -> Tensor:
        """``[0, …, 0, 1, …, 1, …]``, ``ipc`` of each class, ``(K * ipc,)`` int64."""
        classes = torch.arange(self.spec.num_classes, device=self.device)
        return classes.repeat_interleave(self.budget.count)


State = TypeVar("State")


class Method(Protocol[State]):
    """A method adapter: a frozen dataclass of parameters with these members.

    The framework owns the loop. It calls ``prepare`` once, ``step`` ``steps`` times and ``result``
    once; between steps it may write a checkpoint of the state (see ``bench.checkpoints``).

    A method may also have ``wanted_experts(network, seed)``: the experts that ``prepare`` will ask
    for. They are then trained beforehand, side by side where there are several workers.
    """

    @property
    def steps(self) -> int:
        """How many times ``step`` is called; 0 for methods that select."""

    def prepare(self, task: Task) -> State:
        """Set up: train or load experts, choose initial images. Not on the distillation clock."""

    def step(self, state: State) -> Mapping[str, Tensor]:
        """One outer step; returns metrics as 0-dimensional tensors. No branch on tensor values."""

    def result(self, state: State) -> SyntheticSource:
        """What is handed over."""


AnyMethod = Method[Any]
