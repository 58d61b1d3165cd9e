"""How many students fit together: planned from a forecast of one, halved where that was too few.

The forecast is a step of one student by the vectorised program on tensors without data
(:mod:`bench.profiling.ledger`), which takes a moment and is made once for all students alike.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import TypeVar

import torch

from bench import networks
from bench.data import RealSet, SyntheticSet
from bench.evaluation.outcome import Assignment
from bench.evaluation.students import start_training
from bench.evaluation.vectorised import Together
from bench.generators import SyntheticGenerator
from bench.profiling.ledger import DEVICE, Ledger
from bench.randomness import generator
from bench.recipes import Recipe
from bench.sharpness import Sharpness

log = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")

MARGIN = 0.2
"""Part of the free memory that is left alone: gaps, workspaces, augmentations of other sizes."""

COPIES_ON_CUDA = 3
"""A step's tensors stand there three times: of the steps before capture, and in the graphs of whole
batches and of a smaller last one, which each keep their own."""

STEPS = 2
"""Steps of a forecast: momentum is there from the second on."""


def group_size(assignment: Assignment, students: int, sharpness: Sharpness | None = None) -> int:
    """How many of ``students`` to train together: as many as are expected to fit, at least one.

    Args:
        assignment: what they have in common.
        students: how many there are.
        sharpness: sharpness-aware steps instead of plain ones (experts of FTD, DATM).
    """
    try:
        one, free = bytes_of_one(assignment, sharpness), free_bytes(assignment.test.device)
    except (NotImplementedError, RuntimeError) as error:  # values are asked for, which none has
        log.debug("No forecast of a student, so all are tried together: %r", error)
        return students
    except OSError as error:  # only Linux says how much main memory is free
        log.debug("Nothing says what is free, so all are tried together: %r", error)
        return students
    return max(1, min(students, int((1 - MARGIN) * free / one)))


def bytes_of_one(assignment: Assignment, sharpness: Sharpness | None = None) -> int:
    """What one student more takes: its tensors, its batches and the graph of a step.

    Args:
        assignment: what it is told.
        sharpness: sharpness-aware steps instead of plain ones.
    """
    source, recipe, test = assignment.source, assignment.recipe, assignment.test
    images, drawn = recipe.batch, 0
    if isinstance(source, SyntheticSet | RealSet):
        images = min(images, len(source))
    elif isinstance(source, SyntheticGenerator):  # each student has an epoch's images of its own
        drawn = 4 * prod(test.spec.shape) * source.shape.num_classes * source.per_class
    kind = _Kind(
        network=assignment.network,
        # neither the rate nor the number of epochs takes memory
        recipe=replace(recipe, epochs=1, lr=1.0, learned_lr=False, schedule="constant"),
        soft=source.label_kind == "soft",
        images=images,
        sharpness=sharpness,
    )
    copies = COPIES_ON_CUDA if test.device.type == "cuda" else 1
    return drawn + copies * _step_bytes(kind, _Like(test))


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What decides the memory of a student's step, beside the dataset."""

    network: str
    recipe: Recipe
    soft: bool
    images: int
    sharpness: Sharpness | None


class _Like:
    """A dataset as a key of a cache: equal to every other of its shape and pixel space."""

    def __init__(self, real: RealSet) -> None:
        # one image without data stands for all: a cache must not hold a dataset
        pixels, labels = torch.zeros_like(real.pixels[:1]), torch.zeros_like(real.labels[:1])
        self.real = replace(real, pixels=pixels, labels=labels, device=DEVICE)
        self._key = (real.spec, real.preprocessing.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Like) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(maxsize=64)
def _step_bytes(kind: _Kind, like: _Like) -> int:
    real, spec = like.real, like.real.spec
    rule = kind.recipe.distillation
    ledger = Ledger()
    with ledger:
        labels = torch.zeros(kind.images, dtype=torch.int64, device=DEVICE)
        if kind.soft:
            labels = torch.zeros(kind.images, spec.num_classes, device=DEVICE)
        source = SyntheticSet(
            images=torch.zeros(kind.images, *spec.shape, device=DEVICE), labels=labels
        )
        shared = ledger.live_bytes
        teacher = None
        if rule is not None:
            teacher = networks.build(rule.teacher, spec, generator("memory"), device=DEVICE)
            teacher = teacher.requires_grad_(False).eval()
        scope = ("memory",)
        student = start_training(source, kind.network, kind.recipe, real, scope, teacher)
        student.sharpness = kind.sharpness
        together = Together([student])
        for _ in range(STEPS):
            together.run_epoch()
    return ledger.peak_bytes - shared


def free_bytes(device: torch.device) -> int:
    """Memory of ``device`` that new tensors may take."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + unused)
    lines = Path("/proc/meminfo").read_text().splitlines()
    (available,) = (line.split()[1] for line in lines if line.startswith("MemAvailable"))
    return 1024 * int(available)


def in_groups(
    work: Callable[[Sequence[S]], list[T]], students: Sequence[S], fit: int | None = None
) -> list[T]:
    """``work`` on groups of students, in their order; on as few at once as memory asks for.

    A group that does not fit is halved and each half starts anew; later groups are no larger.

    Args:
        work: takes some of ``students``.
        students: all of them.
        fit: how many are expected to fit together, at least one; ``None`` tries all.

    Raises:
        OutOfMemoryError: not even one fits.
    """
    done: list[T] = []
    groups = 1 if fit is None else max(1, -(-len(students) // fit))
    size = -(-len(students) // groups)  # as equal as can be
    while len(done) < len(students):
        group = students[len(done) : len(done) + size]
        try:
            done += work(group)
        except torch.OutOfMemoryError:
            if len(group) == 1:
                raise
            size = (len(group) + 1) // 2
        else:
            continue
        gc.collect()  # the group's tensors, which the traceback held
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return done
