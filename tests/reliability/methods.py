"""Methods for disturbed runs: one that needs an expert, and ones that go wrong in every way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data import RealSet, SyntheticSet
from bench.recipes import Recipe
from bench.task import Task
from tests import fakes
from tests.fakes import Walk, WalkState

EXPERT = Recipe(epochs=2, lr=0.05, batch=32)


@dataclass(frozen=True, kw_only=True)
class Taught(Walk):
    """A walk that starts where an expert's parameters say, so that a buffer takes part."""

    def prepare(self, task: Task) -> WalkState:
        state = super().prepare(task)
        trajectory = task.experts.trajectory(task.network, EXPERT, task.seed % 2)
        with torch.no_grad():
            state.images.add_(trajectory[-1].mean())
        return state


PHASES = ("prepare", "step", "metric", "result")
FAULTS = ("nan", "infinity", "bug", "memory", "torch-memory", "recursion", "key", "exit")


@dataclass(frozen=True, kw_only=True)
class Faulty(Walk):
    """Goes wrong in one phase, in one way.

    Attributes:
        phase: one of ``PHASES``.
        fault: one of ``FAULTS``.
    """

    phase: str = "step"
    fault: str = "bug"

    def prepare(self, task: Task) -> WalkState:
        state = super().prepare(task)
        return self._spoil("prepare", state)

    def step(self, state: WalkState) -> Mapping[str, Tensor]:
        metrics = super().step(state)
        self._spoil("step", state)
        if self.phase == "metric":
            metrics = {"loss": self._number()}
        return metrics

    def result(self, state: WalkState) -> SyntheticSet | RealSet:
        return super().result(self._spoil("result", state))

    def _spoil(self, phase: str, state: WalkState) -> WalkState:
        if self.phase == phase:
            with torch.no_grad():
                state.images.fill_(self._number())
        return state

    def _number(self) -> Tensor:
        """NaN or infinity, unless the fault is an exception."""
        if self.fault in ("nan", "infinity"):
            return torch.tensor(float(self.fault))
        if self.fault == "bug":
            raise ZeroDivisionError("a bug\nwith a second line and \ud800 half a character")
        if self.fault == "memory":
            raise MemoryError
        if self.fault == "torch-memory":
            return torch.empty(2**58)
        if self.fault == "recursion":
            return -self._number()
        if self.fault == "exit":
            raise SystemExit(0)
        raise KeyError(self.fault)


ENTRY_POINTS = {
    **fakes.ENTRY_POINTS,
    "methods": {
        **fakes.ENTRY_POINTS["methods"],
        "taught": "tests.reliability.methods:Taught",
        "faulty": "tests.reliability.methods:Faulty",
    },
}
"""The fakes of all tests and these."""
