"""What a method is given in a profile: real images and experts that only have the right shape.

What a step costs does not depend on what images show or on how well an expert is trained. So a
profile needs no data and trains no expert, and a forecast for ImageNet-1K takes no more memory than
one for digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import networks
from bench.data import DENSE_LIMIT_BYTES, RealSet, SyntheticSet
from bench.evaluation import Choice
from bench.experts import Expert, Experts
from bench.preprocessing import Preprocessing
from bench.profiling.rounds import Cut, Rounds
from bench.profiling.subject import Subject
from bench.randomness import generator
from bench.task import Task


@dataclass(frozen=True, kw_only=True, eq=False)
class StandInSet(RealSet):
    """Images of noise, as many of each class as of any other, ordered by class.

    On the ``meta`` device nothing is computed: images are handed out without data.

    Attributes:
        shown: how long the set says it is; work that walks over it is that much shorter.
        rounds: cuts loops over classes short; ``None`` where every round counts.
        asked: has an entry once anybody has asked how long it is.
    """

    shown: int
    rounds: Rounds | None = None
    asked: list[bool] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        subject: Subject,
        device: torch.device,
        shown: int | None = None,
        rounds: Rounds | None = None,
    ) -> StandInSet:
        """Stand-ins for the training images of a subject's dataset."""
        spec, count = subject.spec, subject.train_count
        noise = torch.randint(
            256, (1, *spec.shape), dtype=torch.uint8, generator=generator("stand-in images")
        )
        return cls(
            pixels=noise.expand(count, *spec.shape),  # all images share one image's memory
            labels=torch.arange(count) * spec.num_classes // count,
            spec=spec,
            preprocessing=Preprocessing.normalize(spec),
            checksum="",
            device=device,
            shown=min(shown or count, count),
            rounds=rounds,
        )

    def __len__(self) -> int:
        self.asked.append(True)
        return self.shown

    @cached_property
    def class_indices(self) -> tuple[Tensor, ...]:
        """For each class the positions of its images: they are neighbours."""
        counts = self.labels.bincount(minlength=self.spec.num_classes)
        parts: tuple[Tensor, ...] = torch.arange(len(self.labels)).split(counts.tolist())
        return parts if self.rounds is None else Cut(parts, self.rounds)

    def subset(self, index: Tensor) -> SyntheticSet:
        """The images at ``index``; as many as if no class had been left out in choosing them."""
        classes = self.class_indices
        if isinstance(classes, Cut) and 0 < classes.ran < len(classes):
            whole = len(index) * len(classes) // classes.ran
            index = index.repeat(-(-whole // len(index)))[:whole]
        return super().subset(index)

    @cached_property
    def _dense(self) -> Tensor | None:
        if self.device.type != "meta":
            return super()._dense
        if 4 * self.pixels.numel() > DENSE_LIMIT_BYTES:
            return None
        return torch.empty(self.pixels.shape, device=self.device)

    def images(self, index: Tensor | slice = slice(None)) -> Tensor:
        """Images at ``index``, ``(n, C, H, W)`` float32 on ``device``."""
        if self.device.type != "meta" or self._dense is not None:
            return super().images(index)
        return torch.empty((len(self.labels[index]), *self.spec.shape), device=self.device)


@dataclass(kw_only=True, eq=False)
class StandInExperts(Experts):
    """Experts that nobody has trained: a straight line of parameters, the same for all of them.

    Attributes:
        asked_for: every expert that was asked for, with the recipe it would be trained by.
    """

    strategy: Choice = "reference"  # nothing is trained
    asked_for: dict[str, Expert] = field(default_factory=dict)

    def _load_or_train(self, expert: Expert, *, wait: bool) -> dict[str, Tensor]:
        self.asked_for[self._key(expert)] = expert
        kind = f"{expert.network}, {expert.recipe.epochs} epochs"
        if kind not in self._served:
            self._served[kind] = self._made_up(expert)
        return self._served[kind]

    def _made_up(self, expert: Expert) -> dict[str, Tensor]:
        rng = generator("stand-in experts", expert.network)
        network = networks.build(expert.network, self.real.spec, rng)
        start, snapshots = networks.flatten(network), expert.recipe.epochs + 1
        buffers: dict[str, Any] = {
            f"buffer.{name}": value for name, value in network.named_buffers()
        }
        if self.real.device.type == "meta":  # nobody looks at the numbers
            return buffers | {"trajectory": start.expand(snapshots, -1)}
        epochs = torch.arange(snapshots)[:, None] / expert.recipe.epochs
        return buffers | {"trajectory": start + 0.1 * epochs * start.roll(1)}


@dataclass(frozen=True, kw_only=True, eq=False)
class StandInTask(Task):
    """A task whose loops over classes may be cut short.

    Attributes:
        rounds: cuts them; ``None`` where every round counts.
    """

    rounds: Rounds | None = None

    def classes(self) -> Iterable[int]:
        """Every label; of those that cost alike not all."""
        labels = range(self.spec.num_classes)
        return labels if self.rounds is None else self.rounds.over(labels)

    def initial_images(self, init: str) -> Tensor:
        """Images to optimise; on the ``meta`` device no noise is drawn for them."""
        if init != "noise" or self.device.type != "meta":
            return super().initial_images(init)
        count = self.budget.count * self.spec.num_classes
        return torch.empty((count, *self.spec.shape), device=self.device, requires_grad=True)


def open_task(
    subject: Subject,
    device: torch.device,
    shown: int | None = None,
    rounds: Rounds | None = None,
) -> Task:
    """What the method of ``subject`` is given, on ``device``."""
    real = StandInSet.of(subject, device, shown, rounds)
    return StandInTask(
        rounds=rounds,
        real=real,
        budget=subject.budget,
        network=subject.network,
        seed=0,
        rng=generator("profile", subject.method),
        experts=StandInExperts(folder=Path(), real=real),
    )
