"""DATM: difficulty-aligned trajectory matching. Guo et al., ICLR 2024, arXiv:2310.05773.

Follows the paper, section 3.2 and table 6, beside its release (DATM@97ae510, distill/DATM.py).
Differs: the window's end rises by one epoch an ``expansion_interval``, as the paper says (the
release interpolates over the same span); the result is the last iterate, without a running mean, as
the paper says. From the release, not in the paper: the window's end is itself no start (the paper's
T⁻ ≤ t ≤ T has one more), and a segment whose loss exceeds ``loss_limit`` is left out. Otherwise as
``mtt``, on ``ftd``'s experts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import InvalidValue
from bench.networks import Network
from bench.parameters import Count, CountOrZero, Momentum, RateOrZero
from bench.task import Task
from bench.training import TEST_BATCH
from bench.trajectories import Descent, MatchingState, TrajectoryMatching


@dataclass(frozen=True, kw_only=True)
class DifficultyAligned(TrajectoryMatching):
    """MTT on a window of epochs that fits the budget, with labels learned through their logits.

    Raises:
        InvalidValue: ``init`` is not ``real``, or labels come from more experts than there are.
    """

    # T; the window ends before it at first, and before max_start_epoch (T⁺) at last
    initial_last_epoch: Count
    # iterations after which the window grows by an epoch; 0: T⁺ at once
    expansion_interval: CountOrZero
    lr_labels: RateOrZero
    momentum_labels: Momentum
    label_experts: Count  # experts whose logits are averaged into the initial labels

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init != "real":
            raise InvalidValue(
                f"init is {self.init!r}; give 'real': images are those that an expert gets right."
            )
        if self.label_experts > self.experts:
            raise InvalidValue(
                f"label_experts is {self.label_experts}; give at most {self.experts}, as many as "
                f"there are experts."
            )

    def last_start_epoch(self, iteration: int) -> int:
        """The floating end of the window (section 3.2)."""
        if not self.expansion_interval:
            return self.max_start_epoch
        risen = self.initial_last_epoch + iteration // self.expansion_interval
        return min(risen, self.max_start_epoch)

    def prepare(self, task: Task) -> MatchingState:
        """Images that an expert gets right, with its logits to be learned on (section 3.2)."""
        state = super().prepare(task)
        state.logits = Descent(value=state.labels, lr=self.lr_labels, momentum=self.momentum_labels)
        return state

    def start(self, task: Task) -> tuple[Tensor, Tensor]:
        """Random images of each class that the experts get right, with their logits.

        Raises:
            NotApplicable: a class has fewer real images than the budget asks for.
        """
        task.require_real_images()
        teachers = [
            task.experts.teacher(task.network, self.recipe, index, self.sharpness)
            for index in range(self.label_experts)
        ]
        images, logits = [], []
        for label, members in enumerate(task.real.class_indices):
            shuffled = members[torch.randperm(len(members), generator=task.rng)]
            answers = torch.stack([logits_of(teacher, task, shuffled) for teacher in teachers])
            chosen = choose_right(answers, label, task.budget.count)
            images.append(task.real.images(shuffled[chosen.cpu()]))
            logits.append(mean_of_right(answers[:, chosen], label))
        return torch.cat(images), torch.cat(logits)


def choose_right(answers: Tensor, label: int, count: int) -> Tensor:
    """Positions of the first ``count`` images that expert 0 gets right; others fill up.

    Where expert 0 gets too few right, images come next that a later expert gets right, and images
    that none gets right come last: a class is never left short.

    Args:
        answers: ``(E, n, K)`` logits of E experts.
        label: the images' class.
        count: how many to choose.
    """
    right = answers.argmax(2) == label
    first = torch.where(right.any(0), right.int().argmax(0), len(answers))
    return first.argsort(stable=True)[:count]


def mean_of_right(answers: Tensor, label: int) -> Tensor:
    """Mean logits over the experts that are right, ``(n, K)``; over all where none is.

    Args:
        answers: ``(E, n, K)`` logits of E experts.
        label: the images' class.
    """
    right = (answers.argmax(2) == label).unsqueeze(2)
    weight = torch.where(right.any(0), right, True).to(answers.dtype)
    return (weight * answers).sum(0) / weight.sum(0)


@torch.no_grad()
def logits_of(teacher: Network, task: Task, index: Tensor) -> Tensor:
    """What a teacher says of the real images at ``index``, ``(n, K)``."""
    parts = index.split(TEST_BATCH)
    return torch.cat([teacher(task.real.images(part)) for part in parts])
