"""Ways to train five students for some epochs: the field's, the reference loop, the engine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from bench import augment, networks
from bench.evaluation import Assignment, Strategy, start_training
from bench.evaluation.compiled import CompiledStudent, compiled_step
from bench.evaluation.engine import choose
from bench.evaluation.parallel import GiveWay, side_by_side
from bench.evaluation.vectorised import Together
from bench.randomness import generator
from bench.training import Training
from benchmarks.cases import STUDENTS, Case

Epochs = Callable[[int], object]
"""Trains every student for as many more epochs."""

DDRANKING_PYTHON = "DDRANKING_PYTHON"
"""Environment variable: the Python of an environment that has the package ddranking."""


def usual(assignment: Assignment) -> Epochs:
    """The field's loop: a ``DataLoader``, eager fp32, loss and accuracy read after every step."""
    images, labels = assignment.source.epoch(generator("usual"))
    spec, device = assignment.test.spec, images.device
    change = augment.build("dsa", spec)
    loader = DataLoader(
        TensorDataset(images.cpu(), labels.cpu()), batch_size=assignment.recipe.batch, shuffle=True
    )
    students = [
        networks.build(assignment.network, spec, generator("usual", seed), device=device)
        for seed in range(STUDENTS)
    ]
    optimizers = [
        torch.optim.SGD(student.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        for student in students
    ]
    rng = generator("usual", "augment")

    def train(student: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[float, int]:
        total, right = 0.0, 0
        for batch, targets in loader:
            inputs, there = change(batch.to(device), rng), targets.to(device)
            logits = student(inputs)
            loss = F.cross_entropy(logits, there)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            right += int((logits.argmax(1) == there).sum().item())
        return total, right

    return lambda epochs: [
        train(student, optimizer)
        for student, optimizer in zip(students, optimizers, strict=True)
        for _ in range(epochs)
    ]


def reference(assignment: Assignment) -> Epochs:
    """The oracle."""
    students = _students(assignment)
    return lambda epochs: [_run(student, epochs) for student in students]


def engine(assignment: Assignment) -> tuple[Strategy, Epochs]:
    """What ``auto`` chooses for the whole training, and some epochs of it."""
    chosen = choose(assignment, STUDENTS)
    return chosen, STRATEGIES[chosen](assignment)


def compiled(assignment: Assignment) -> Epochs:
    """Students one after the other, their step compiled."""
    students = [
        CompiledStudent(student, compiled_step(assignment, student))
        for student in _students(assignment)
    ]
    return lambda epochs: [_run(student, epochs) for student in students]


def parallel(assignment: Assignment) -> Epochs:
    """Students side by side, each by the plain loop."""
    students = _students(assignment)
    return _taking_turns(students)


def parallel_compiled(assignment: Assignment) -> Epochs:
    """Students side by side, their step compiled for one thread."""
    ready = side_by_side(
        lambda student, _: CompiledStudent(student, compiled_step(assignment, student)),
        _students(assignment),
    )
    return _taking_turns(ready)


def vectorised(assignment: Assignment) -> Epochs:
    """Students as one program."""
    students = Together(_students(assignment))
    return lambda epochs: _run(students, epochs)


class _InTraining(Protocol):
    """Students in training, however."""

    def run_epoch(self) -> Tensor:
        """Train one epoch."""


def _run(student: _InTraining, epochs: int) -> list[Tensor]:
    return [student.run_epoch() for _ in range(epochs)]


def _taking_turns(students: Sequence[_InTraining]) -> Epochs:
    def train(epochs: int) -> list[None]:
        def alone(student: _InTraining, give_way: GiveWay) -> None:
            for _ in range(epochs):
                student.run_epoch()
                give_way()

        return side_by_side(alone, students)

    return train


STRATEGIES: dict[str, Callable[[Assignment], Epochs]] = {
    "reference": reference,
    "compiled": compiled,
    "parallel": parallel,
    "parallel-compiled": parallel_compiled,
    "vectorised": vectorised,
}


def _students(assignment: Assignment) -> list[Training]:
    return [
        start_training(
            assignment.source,
            assignment.network,
            assignment.recipe,
            assignment.test,
            ("student", seed),
        )
        for seed in range(STUDENTS)
    ]


class DDRanking:
    """The package ddranking in a process of its own environment; it trains when it is told to."""

    def __init__(self, case: Case, device: torch.device) -> None:
        script = Path(__file__).with_name("ddranking_epochs.py")
        command = [os.environ[DDRANKING_PYTHON], str(script), str(case.ipc), device.type]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> DDRanking:
        return self

    def seconds(self, epochs: int) -> float:
        """Train every student for some epochs there; how long it took."""
        return sum(self._seconds_of_one() for _ in range(epochs))

    def _seconds_of_one(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("epoch\n")
        self._process.stdin.flush()
        return float(json.loads(self._process.stdout.readline())["seconds"])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()  # closes its input, upon which it ends
