"""Experts in training: alone by the plain loop or a compiled step, or several as one program.

In every way an expert has the same initial weights, order of images and augmentations, can be
interrupted after any epoch, and is checkpointed by itself: a group that was interrupted may go on
in other groups, or one by one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from bench import checkpoints, networks
from bench.errors import BadFile
from bench.evaluation.compiled import CompiledStudent, compiled_step
from bench.evaluation.engine import Strategy
from bench.evaluation.outcome import Assignment
from bench.evaluation.vectorised import Together
from bench.measure import LiveStorage, Peak, synchronize
from bench.training import Training, check_finite

log = logging.getLogger(__name__)

MOST_TOGETHER = 16
"""Experts of one program: real batches are large, so that these fill any GPU."""

ExpertReport = Callable[[str, int, int], None]
"""Called as ``report(what, done, total)``."""


@dataclass(kw_only=True, eq=False)
class ExpertInTraining:
    """An expert in training with the snapshots taken so far.

    Attributes:
        name: what reports call it.
        training: of its network, from the initialisation or a checkpoint on.
        partial: where it is checkpointed.
        snapshots: its parameters ``(P,)`` on the CPU, at initialisation and after every epoch.
        seconds: training time so far; an equal share where several train together.
        peak_bytes: peak memory so far, of all that train together.
        unsaved_seconds: time since the last checkpoint.
    """

    name: str
    training: Training
    partial: Path
    snapshots: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0
    peak_bytes: int = 0
    unsaved_seconds: float = 0.0

    def resume(self) -> None:
        """Go on from the last checkpoint if there is one; a damaged one is left aside."""
        if not self.partial.exists():
            return
        try:
            saved = checkpoints.load(self.partial)
            checkpoints.restore(self.training, saved["training"])
        except BadFile as error:
            log.warning("%s The expert starts again.", error)
            return
        for name, value in saved["own"].items():
            setattr(self, name, value)

    def save(self, every_seconds: float) -> None:
        """Write a checkpoint if the last one is so old."""
        if self.unsaved_seconds < every_seconds:
            return
        self.unsaved_seconds = 0.0
        own = {"seconds": self.seconds, "peak_bytes": self.peak_bytes, "snapshots": self.snapshots}
        training = checkpoints.capture(self.training)
        checkpoints.save(self.partial, {"training": training, "own": own})

    def snapshot(self) -> None:
        """Note the parameters as they are."""
        # flatten copies, also on the CPU: snapshots that alias the network would all be the last
        self.snapshots.append(networks.flatten(self.training.network).cpu())

    def tensors(self) -> dict[str, Tensor]:
        """The trajectory ``(epochs + 1, P)``, and the network's buffers at its end."""
        buffers = self.training.network.named_buffers()
        return {f"buffer.{name}": value for name, value in buffers} | {
            "trajectory": torch.stack(self.snapshots)
        }


def train(
    experts: Sequence[ExpertInTraining],
    assignment: Assignment,
    strategy: Strategy,
    *,
    report: ExpertReport | None,
    checkpoint_seconds: float,
) -> None:
    """Train experts of one network and recipe to their last epoch.

    Args:
        experts: maybe at different epochs, if they were interrupted.
        assignment: what they have in common; nothing is tested.
        strategy: ``vectorised`` for those at the same epoch as one program, ``compiled`` or
            ``reference`` for one after the other.
        report: called after each epoch of each expert.
        checkpoint_seconds: time between two checkpoints.

    Raises:
        Diverged: the loss of one of them became NaN or infinite.
        OutOfMemoryError: they do not fit together.
    """
    groups = [[expert] for expert in experts]
    if strategy == "vectorised":
        groups = [list(alike) for _, alike in groupby(sorted(experts, key=_epoch), key=_epoch)]
    for group in groups:
        program = _program([expert.training for expert in group], assignment, strategy)
        _run(program, group, report, checkpoint_seconds)


def _program(
    trainings: Sequence[Training], assignment: Assignment, strategy: Strategy
) -> Training | CompiledStudent | Together:
    if strategy == "vectorised":
        return Together(trainings)
    (alone,) = trainings
    if strategy == "compiled":
        return CompiledStudent(alone, compiled_step(assignment, alone))
    return alone


def _epoch(expert: ExpertInTraining) -> int:
    return expert.training.epoch


def _run(
    program: Training | CompiledStudent | Together,
    experts: Sequence[ExpertInTraining],
    report: ExpertReport | None,
    checkpoint_seconds: float,
) -> None:
    """Run every remaining epoch of the program that trains ``experts``."""
    device, epochs = experts[0].training.device, program.recipe.epochs
    peak = Peak(device, max(expert.peak_bytes for expert in experts))
    with LiveStorage.paused():
        while program.epoch < epochs:
            start = time.perf_counter()
            for expert in experts:
                if not expert.snapshots:
                    expert.snapshot()
            with peak.sample():
                loss = program.run_epoch()
            check_finite(loss, f"an expert at epoch {program.epoch}")
            if isinstance(program, Together):
                program.hand_back()
            for expert in experts:
                expert.snapshot()
            synchronize(device)
            seconds = time.perf_counter() - start
            for expert in experts:
                expert.seconds += seconds / len(experts)
                expert.unsaved_seconds += seconds
                expert.peak_bytes = peak.bytes
                if report:
                    report(expert.name, program.epoch, epochs)
                expert.save(checkpoint_seconds)
