"""One compiled step for all students: forward and backward in one graph of fused kernels.

A batch goes through in pieces that a core's caches hold, where no layer mixes images; their
gradients are added up, and all sizes of batch share the code for a piece. It is compiled once for
an architecture and recipe, whatever the seed or learning rate: students differ in tensors, not in
code. What was compiled stays on disk, so that the next process has it in a fraction of the time.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from bench.datasets.locations import cache_folder
from bench.evaluation import native
from bench.evaluation.functional import (
    Batch,
    Rewrite,
    State,
    Step,
    Tensors,
    mixes_images,
    rate_of,
    state_of,
)
from bench.evaluation.fusible import fusible
from bench.evaluation.outcome import Assignment
from bench.evaluation.reference import train
from bench.evaluation.students import EpochsDone
from bench.evaluation.winograd import winograd
from bench.failures import first_line
from bench.measure import Peak
from bench.recipes import Precision, Recipe
from bench.sharpness import Sharpness
from bench.specs import DatasetSpec
from bench.training import Training

log = logging.getLogger(__name__)

MOST_SHAPES = 256
"""Compiled steps that a process may hold; torch's own limit of 8 is for functions that vary."""

AT_ONCE = 25
"""Images of a piece. A batch of 100 at 32 px takes a sixth less time in pieces of 20 to 30 than in
one; pieces of 10 gain no more, and those of 5 lose all of it."""

SMALL_SHARE = 1 / 4
"""A last piece below this share of the others runs uncompiled: compiling it would not pay."""

_COMPILING = threading.Lock()
"""Held while something is compiled: students in other threads wait for it instead of doing it."""


def available(device: torch.device) -> bool:
    """Whether there is what compiling needs: a C++ compiler where the device is the CPU."""
    return device.type != "cpu" or native.compiler() is not None


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
        self._student, self._step, self._plain = student, step, step.uncompiled()
        self._state: State | None = None
        self._largest = 0

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._student.epoch

    def run_epoch(self) -> Tensor:
        """Train one epoch; return the loss of its last batch."""
        student = self._student
        if student.epoch == 0:
            return student.run_epoch()
        if self._state is None:
            self._state = state_of(student)
        rate = rate_of(student, self._state)
        for images, targets in student.batches():
            loss = self._train_on(self._state, Batch.of(images, targets), rate)
        student.epoch += 1
        return loss

    def _train_on(self, state: State, batch: Batch, rate: Tensor) -> Tensor:
        """One step of SGD, plain or sharpness-aware; its loss."""
        loss, gradients = self._gradients(state, batch)
        if self._student.sharpness is not None:
            gradients = self._descent(self._student.sharpness, state, batch, gradients)
        self._plain.descend(state, gradients, rate)
        return loss

    def _descent(self, sharpness: Sharpness, state: State, batch: Batch, first: Tensors) -> Tensors:
        """What to descend, from the gradients at the parameters and those uphill from there."""
        here = list(state.parameters.values())
        before = [parameter.clone() for parameter in here]
        torch._foreach_add_(here, sharpness.offsets(before, list(first.values())))
        _, second = self._gradients(state, batch)
        torch._foreach_copy_(here, before)
        descent = sharpness.descent(list(first.values()), list(second.values()))
        return dict(zip(first, descent, strict=True))

    def _gradients(self, state: State, batch: Batch) -> tuple[Tensor, Tensors]:
        """The loss and its gradients in the parameters' order, the batch taken in pieces."""
        gradients = {name: torch.zeros_like(value) for name, value in state.parameters.items()}
        loss = batch.shares.new_zeros(())
        for piece in batch.split(self._step.at_once or len(batch.images)):
            self._largest = max(self._largest, len(piece.images))
            pays = len(piece.images) >= SMALL_SHARE * self._largest
            compiles = pays and not self._step.broken
            accumulate = self._step if compiles else self._plain.accumulate
            share = loss.new_tensor(len(piece.images) / len(batch.images))
            loss += accumulate(state, piece, share, gradients)
        return loss, gradients


class CompiledStep:
    """What a piece of a batch adds to the gradients, compiled at the first piece of each shape.

    Attributes:
        at_once: images of a piece; ``None`` for whole batches.
        broken: whether the compiler failed; students then take uncompiled steps.
    """

    def __init__(self, step: Step, at_once: int | None) -> None:
        self._step, self.at_once, self.broken = step, at_once, False
        # in C++ from end to end, so that students in other threads do not wait for Python's lock
        self._compiled = torch.compile(
            step.accumulate, dynamic=False, fullgraph=True, options={"cpp_wrapper": True}
        )
        self._known: set[tuple[torch.Size, ...]] = set()

    def uncompiled(self) -> Step:
        """The same step for one thread: uncompiled, tensors are lent to its network as it runs."""
        return copy.deepcopy(self._step)

    def __call__(self, state: State, piece: Batch, share: Tensor, gradients: Tensors) -> Tensor:
        """See :meth:`bench.evaluation.functional.Step.accumulate`."""
        shapes = tuple(tensor.shape for tensor in (piece.images, *piece.labels))
        if shapes in self._known:
            loss: Tensor = self._compiled(state, piece, share, gradients)
            return loss
        # here, because the compiler takes a second to import
        from torch._dynamo.exc import BackendCompilerFailed
        from torch._inductor.exc import InductorError

        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "inductor"))
        with _COMPILING, torch._dynamo.config.patch(recompile_limit=MOST_SHAPES):
            if not self.broken:  # while this thread waited
                try:
                    loss = self._compiled(state, piece, share, gradients)
                except (InductorError, BackendCompilerFailed) as error:  # nothing is computed yet
                    log.warning(
                        "A step cannot be compiled; it runs uncompiled. %s", first_line(error)
                    )
                    self.broken = True
                else:
                    self._known.add(shapes)
                    return loss
        return self.uncompiled().accumulate(state, piece, share, gradients)


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
    student, cpu = like.student, device.type == "cpu"
    step = Step.like(student, rewrite=_rewrite(recipe.precision) if cpu else fusible)
    return CompiledStep(step, AT_ONCE if cpu and not mixes_images(student.network) else None)


def _rewrite(precision: Precision) -> Rewrite:
    """On the CPU: a convolution in bfloat16 is faster direct, and would lose digits."""
    return fusible if precision == "bf16" else lambda network: winograd(fusible(network))
