"""Numbers printed in papers, as ``reported/*.csv`` keeps them; never mixed with measured ones.

Each row names its paper and table. A cell that is hard to read or that another table of the same
paper contradicts says so in its notes.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from bench.specs import Budget

_Key = tuple[str, Budget, str, str]
_ANY = ""
"""The network of a line whose paper distils with none, or does not say with which."""


@dataclass(frozen=True, kw_only=True)
class ReportedValue:
    """One accuracy printed in a paper.

    Attributes:
        paper: short name of the paper that printed it, not always the method's own.
        table: where in the paper.
        network: what the method distils with; ``""`` for none, or where the paper does not say.
        mean: fraction in [0, 1].
        std: fraction; ``None`` where none is printed.
        printed: the number as the paper prints it, in percent.
        variant: ``key=value`` pairs or flags that tell it from the table's other rows.
        labels: ``hard``, ``soft``, or ``""`` where the paper does not say.
        notes: doubts and remarks.
    """

    paper: str
    table: str
    network: str
    mean: float
    std: float | None
    printed: str
    variant: str
    labels: str
    notes: str


def reported(
    dataset: str, budget: Budget, method: str, architecture: str, network: str
) -> tuple[ReportedValue, ...]:
    """What papers print for exactly this cell, in the order of paper and table.

    Args:
        dataset: the training data.
        budget: how many images.
        method: what distilled or chose them.
        architecture: the students' network.
        network: what the method distils with; lines that name none fit any.
    """
    values = _values().get((dataset, budget, method, architecture), ())
    return tuple(value for value in values if value.network in (_ANY, network))


def lines() -> Iterator[dict[str, str]]:
    """Every line of every file as it stands there, in the order of papers."""
    folder = files("leaderboard") / "reported"
    for source in sorted(folder.iterdir(), key=lambda source: source.name):
        if source.name.endswith(".csv"):
            yield from csv.DictReader(source.read_text(encoding="utf-8").splitlines())


def budget_of(row: Mapping[str, str]) -> Budget | None:
    """The budget of a line; ``None`` where the paper does not state it."""
    if row["budget_kind"] == "full":
        return Budget.parse("full")
    return Budget.parse(f"{row['budget_kind']} {row['budget']}") if row["budget_kind"] else None


@cache
def _values() -> dict[_Key, tuple[ReportedValue, ...]]:
    found: dict[_Key, list[ReportedValue]] = defaultdict(list)
    for row in lines():
        budget = budget_of(row)
        if row["metric"] == "accuracy" and row["mean"] and budget:
            found[row["dataset"], budget, row["method"], row["eval_arch"]].append(_value(row))
    return {key: tuple(values) for key, values in found.items()}


def _value(row: dict[str, str]) -> ReportedValue:
    mean, std = row["mean"], row["std"]
    return ReportedValue(
        paper=row["paper"],
        table=row["table"],
        network=row["distill_arch"],
        mean=float(mean) / 100,
        std=float(std) / 100 if std else None,
        printed=f"{mean} ± {std}" if std else mean,
        variant=row["variant"],
        labels=row["labels"],
        notes=row["notes"],
    )
