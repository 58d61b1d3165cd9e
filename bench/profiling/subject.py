"""What is profiled: one method with all its parameters in one cell; torch is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import cards, datasets
from bench.errors import MissingData, UnknownName
from bench.profiling.rules import ProfileRules
from bench.specs import Budget, DatasetSpec

BUDGET = "budget"
"""What a sweep over images per class is called; every other key is a parameter of the method."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One method in one cell under one set of rules.

    Attributes:
        rules: the protocol.
        method: entry-point name.
        spec: the dataset; its images need not be on this machine.
        train_count: how many training images it has.
        budget: how much the method may hand over.
        network: what it distils with, and what students are.
        changes: parameters changed by the user.
    """

    rules: ProfileRules
    method: str
    spec: DatasetSpec
    train_count: int
    budget: Budget
    network: str
    changes: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        rules: ProfileRules,
        method: str,
        *,
        dataset: str | None = None,
        budget: Budget | None = None,
        changes: Mapping[str, Any] | None = None,
        data_root: Path | None = None,
    ) -> Subject:
        """The subject that a user asks for; the rules fill in what is left open.

        Raises:
            UnknownName: no such method, dataset or parameter.
            MissingData: a dataset of the user's own that has not been read yet.
        """
        name = dataset or rules.dataset
        spec = datasets.describe(name, data_root=data_root)
        train_count = datasets.facts(name, data_root=data_root).train_count
        if train_count is None:
            raise MissingData(
                f"It is not known how many images {name} has. Read it once: `bench data verify`."
            )
        subject = cls(
            rules=rules,
            method=method,
            spec=spec,
            train_count=train_count,
            budget=_in_kind(method, budget or rules.budget),
            network=rules.network(spec.size_px),
            changes=dict(changes or {}),
        )
        _ = subject.parameters  # says now what is wrong with the changes
        return subject

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Every parameter: the card's preset for this cell, then the changes."""
        rules = self.rules
        return cards.resolve(
            self.method, rules.tier, self.spec.name, self.budget, self.changes
        ).parameters

    @property
    def cycle(self) -> int:
        """Steps after which their work repeats."""
        return max([1, *(int(self.parameters.get(key, 1)) for key in self.rules.cycles)])

    def value(self, key: str) -> Any:
        """The value of a parameter, or the number of images of the budget.

        Raises:
            UnknownName: the method has no such parameter.
        """
        if key == BUDGET:
            return self.budget.count
        if key not in self.parameters:
            raise UnknownName(f"parameter of {self.method}", key, [*self.parameters, BUDGET])
        return self.parameters[key]

    def at(self, key: str, value: Any) -> Subject:
        """The same subject with another parameter, or another budget."""
        self.value(key)
        if key == BUDGET:
            return replace(self, budget=_in_kind(self.method, Budget.parse(value)))
        changed = replace(self, changes={**self.changes, key: value})
        _ = changed.parameters
        return changed


def _in_kind(method: str, budget: Budget) -> Budget:
    """A number of images counts in the method's own kind, as in a run."""
    kinds = cards.card(method).budgets
    if budget.kind in kinds:
        return budget
    return Budget(kinds[0], 0 if kinds[0] == "full" else budget.count)
