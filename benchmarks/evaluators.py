"""Ways to train five students for one epoch: the field's, the reference loop, the engine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from bench import augment, networks
from bench.evaluation import Assignment, Strategy, start_training
from bench.evaluation.compiled import CompiledStudent, compiled_step
from bench.evaluation.engine import choose
from bench.evaluation.parallel import side_by_side
from bench.evaluation.vectorised import Together
from bench.randomness import generator
from bench.training import Training
from benchmarks.cases import STUDENTS, Case

Epoch = Callable[[], object]
"""Trains every student for one more epoch."""

DDRANKING_PYTHON = "DDRANKING_PYTHON"
"""Environment variable: the Python of an environment that has the package ddranking."""


def usual(assignment: Assignment) -> Epoch:
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

    def epoch() -> tuple[float, int]:
        total, right = 0.0, 0
        for student, optimizer in zip(students, optimizers, strict=True):
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

    return epoch


def reference(assignment: Assignment) -> Epoch:
    """The oracle."""
    students = _students(assignment)
    return lambda: [student.run_epoch() for student in students]


def engine(assignment: Assignment) -> tuple[Strategy, Epoch]:
    """What ``auto`` chooses for the whole training, and one epoch of it."""
    chosen = choose(assignment, STUDENTS)
    return chosen, STRATEGIES[chosen](assignment)


def compiled(assignment: Assignment) -> Epoch:
    """Students one after the other, their step compiled."""
    students = [
        CompiledStudent(student, compiled_step(assignment, student))
        for student in _students(assignment)
    ]
    return lambda: [student.run_epoch() for student in students]


def parallel(assignment: Assignment) -> Epoch:
    """Students side by side, each by the plain loop."""
    students = _students(assignment)
    return lambda: side_by_side(lambda seed: students[seed].run_epoch(), range(STUDENTS))


def parallel_compiled(assignment: Assignment) -> Epoch:
    """Students side by side, their step compiled for one thread."""
    students = _students(assignment)
    ready = side_by_side(
        lambda seed: CompiledStudent(students[seed], compiled_step(assignment, students[seed])),
        range(STUDENTS),
    )
    return lambda: side_by_side(lambda seed: ready[seed].run_epoch(), range(STUDENTS))


def vectorised(assignment: Assignment) -> Epoch:
    """Students as one program."""
    return Together(_students(assignment)).run_epoch


STRATEGIES: dict[str, Callable[[Assignment], Epoch]] = {
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

    def seconds(self) -> float:
        """Train every student for one epoch there; how long it took."""
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
