"""Whether a record is of a trial that its protocol's rules ask for: they plan it once more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import get_args

from bench import datasets, planning, plugins
from bench.errors import BenchError
from bench.files import canonical_json
from bench.planning import Request, Rules, Sweep
from bench.recipes import Precision
from bench.records import Record
from bench.specs import Budget
from bench.trials import Split, Tier
from leaderboard.installed import has_method, installed_rules

MOST_SETS = 20
"""Sets that one set is compared with, together as large, at most (see the protocol ``merge``)."""


def unplanned(record: Record) -> str:
    """What is wrong with a record's place in its grid, as the rest of a sentence, or ``""``.

    Seeds, networks, recipe and merged sets must be what the installed rules plan for the record's
    method with its parameters. Nothing is said where the protocol under the record's rules is not
    installed, or what :func:`not_here` names.
    """
    where = record.trial
    rules = installed_rules(where.protocol, where.version, record.protocol_hash, where.tier)
    if rules is None or not_here(record):
        return ""
    if any(record.id in _trials(cell) for cell in _cells(record)):
        return ""
    return (
        f"is no trial that the rules of {rules.name} v{rules.version} ({rules.tier}) plan: seeds, "
        f"networks or recipe are others; run it with `bench run`."
    )


def not_here(record: Record) -> str:
    """Dataset, method or version of a record that is not installed; ``""`` if all are."""
    dataset, method = record.trial.dataset, record.method
    if dataset not in plugins.names("datasets"):  # images of somebody's own
        return f"dataset {dataset!r}"
    if method.name not in plugins.names("methods"):
        return f"method {method.name!r}"
    if not has_method(method.name, method.version):
        return f"version {method.version} of method {method.name!r}"
    return ""


@dataclass(frozen=True)
class _Cell:
    """What may have been asked for to get a record; ``parameters`` are canonical JSON."""

    protocol: str
    tier: Tier
    split: Split
    dataset: str
    checksum: str
    network: str
    method: str
    parameters: str
    budget: Budget
    precision: Precision

    @classmethod
    def of(cls, record: Record, budget: Budget) -> _Cell:
        where = record.trial
        return cls(
            protocol=where.protocol,
            tier=where.tier,
            split=where.split,
            dataset=where.dataset,
            checksum=record.dataset.checksum,
            network=where.network,
            method=record.method.name,
            parameters=canonical_json(record.method.parameters),
            budget=budget,
            precision=_precision(record),
        )

    def request(self, rules: Rules) -> Request:
        """The request for this cell with all published seeds."""
        heeds: frozenset[str] = getattr(rules, "heeds", frozenset())
        changes = json.loads(self.parameters)
        sweeps: tuple[Sweep, ...] = ()
        if "sweeps" in heeds and changes:  # a swept value is one of the parameters, whichever
            swept, value = changes.popitem()
            sweeps = (Sweep(method=self.method, parameter=swept, values=(value,)),)
        return Request(
            methods=(self.method,),
            specs={self.dataset: datasets.describe(self.dataset)},
            checksums={self.dataset: self.checksum},
            budgets=(self.budget,),
            seeds=len(getattr(rules, "report_seeds", ())) or rules.default_seeds,
            split=self.split,
            changes={self.method: changes},
            sweeps=sweeps,
            networks=(self.network,) if "networks" in heeds else (),
            precision=self.precision,
        )


def _precision(record: Record) -> Precision:
    """What the record's students were trained in; an unknown one is no planned trial's anyway."""
    stated = record.recipe.get("precision")
    return next((name for name in get_args(Precision) if name == stated), "fp32")


def _cells(record: Record) -> Iterator[_Cell]:
    """The likely cell first; then smaller ones, of which a protocol may make a set as large."""
    budget = record.trial.budget
    yield _Cell.of(record, budget)
    for sets in range(2, MOST_SETS + 1):
        if budget.count and budget.count % sets == 0:
            yield _Cell.of(record, Budget(budget.kind, budget.count // sets))


@cache
def _trials(cell: _Cell) -> frozenset[str]:
    """The ids of every trial that is planned for a cell; none where the rules refuse it."""
    rules = planning.load_rules(cell.protocol, cell.tier)
    try:
        return frozenset(trial.id for trial in rules.plan(cell.request(rules)))
    except BenchError:
        return frozenset()
