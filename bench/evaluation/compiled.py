"""One compiled step for all students: forward, backward and SGD in one graph of fused kernels.

Each size of batch is compiled once for an architecture and recipe, whatever the seed or learning
rate: students differ in tensors, not in code. What was compiled stays on disk, so that the next
process has it in a fraction of the time.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from bench.evaluation.functional import Batch, State, Step, rate_of, state_of
from bench.evaluation.fusible import fusible
from bench.evaluation.outcome import Assignment
from bench.evaluation.reference import train
from bench.evaluation.students import EpochsDone
from bench.measure import Peak
from bench.recipes import Recipe
from bench.specs import DatasetSpec
from bench.training import Training

MOST_SHAPES = 256
"""Compiled steps that a process may hold; torch's own limit of 8 is for functions that vary."""

SMALL_SHARE = 1 / 4
"""A last batch below this share of the others runs uncompiled: compiling it would not pay."""

_COMPILING = threading.Lock()
"""Held while something is compiled: students in other threads wait for it instead of doing it."""


def available(device: torch.device) -> bool:
    """Whether there is what compiling needs: a C++ compiler where the device is the CPU."""
    names = (os.environ.get("CXX", "g++"), "g++", "clang++")
    return device.type != "cpu" or any(shutil.which(name) for name in names)


def train_all(
    assignment: Assignment, students: Sequence[Training], peak: Peak, report: EpochsDone
) -> list[float]:
    """Train one student after the other by the same compiled step; return their last losses.

    Raises:
        Diverged: a loss became NaN or infinite.
    """
    return [
        train(
            CompiledStudent(student, compiled_step(assignment, student)),
            peak,
            lambda epoch, place=place: report(place, epoch),  # type: ignore[misc]
        )
        for place, student in enumerate(students)
    ]


class CompiledStudent:
    """A student in training whose steps are compiled, but for those of its first epoch.

    The first epoch is the oracle's: its memory is counted, which that of compiled code cannot be.
    """

    def __init__(self, student: Training, step: CompiledStep) -> None:
        self.recipe = student.recipe
        self._student, self._step = student, step
        self._state: State | None = None

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._student.epoch

    def run_epoch(self) -> Tensor:
        """Train one epoch; return the loss of its last batch."""
        student = self._student
        if self._state is None:
            loss = student.run_epoch()
            self._state = state_of(student)
            return loss
        rate, largest = rate_of(student, self._state), 0
        for images, targets in student.batches():
            batch, largest = Batch.of(images, targets), max(largest, len(images))
            pays = len(images) >= SMALL_SHARE * largest
            step = self._step if pays else self._step.plain
            loss = step(self._state, batch, rate)
        student.epoch += 1
        return loss


class CompiledStep:
    """A step compiled at the first batch of each shape.

    Attributes:
        plain: the same step, uncompiled.
    """

    def __init__(self, step: Step) -> None:
        self.plain = step
        # in C++ from end to end, so that students in other threads do not wait for Python's lock
        self._compiled = torch.compile(
            step, dynamic=False, fullgraph=True, options={"cpp_wrapper": True}
        )
        self._known: set[tuple[torch.Size, ...]] = set()

    def __call__(self, state: State, batch: Batch, rate: Tensor) -> Tensor:
        """Train on ``batch``; see :class:`~bench.evaluation.functional.Step`."""
        shapes = tuple(tensor.shape for tensor in (batch.images, *batch.labels))
        if shapes in self._known:
            loss: Tensor = self._compiled(state, batch, rate)
            return loss
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(_cache_folder()))
        with _COMPILING, torch._dynamo.config.patch(recompile_limit=MOST_SHAPES):
            loss = self._compiled(state, batch, rate)
            self._known.add(shapes)
        return loss


def compiled_step(assignment: Assignment, student: Training) -> CompiledStep:
    """The step of all students like this one, in this process compiled before or now."""
    spec, recipe = assignment.test.spec, assignment.recipe
    same = replace(recipe, epochs=1, lr=1.0, learned_lr=False, batch=1, schedule="constant")
    same = replace(same, augmentation="none", labels="own", mixing="none")
    threads, device = torch.get_num_threads(), assignment.test.device
    with _COMPILING:
        return _step(_Architecture(assignment.network, spec, student), same, device, threads)


class _Architecture:
    """A student as a key of a cache: equal to every other of its network and dataset."""

    def __init__(self, network: str, spec: DatasetSpec, student: Training) -> None:
        self.student = student
        self._key = (network, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Architecture) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(maxsize=16)
def _step(like: _Architecture, recipe: Recipe, device: torch.device, threads: int) -> CompiledStep:
    return CompiledStep(Step.like(like.student, rewrite=fusible))


def _cache_folder() -> Path:
    """Where compiled code stays between processes: the user's cache folder."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "distillation-bench" / "inductor"
