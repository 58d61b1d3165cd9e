"""Reference rows: what the rows of a table are compared with, repetition by repetition.

A protocol whose scores need them plans them beside whatever was asked for. A seed decides a whole
repetition, distillation and student, in every row alike; so what is made of several results is made
within each repetition, and its interval rests on how these differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from operator import sub
from statistics import fmean
from typing import TYPE_CHECKING

from bench.errors import InvalidValue
from bench.planning import Request
from bench.specs import Budget
from bench.studies import Estimate, changed, variant

if TYPE_CHECKING:
    from bench.records import Record
    from bench.rules import GridRules

BySeed = Mapping[int, float]
"""Accuracy of each repetition, a fraction."""

Place = tuple[Budget, str]
"""A row of a table: its budget and the variant of its method."""


def with_references(
    rules: GridRules, request: Request, dataset: str, references: Iterable[str]
) -> list[tuple[str, Budget]]:
    """The methods asked for with their budgets, after the references for as many images per class.

    Args:
        rules: the protocol at its tier.
        request: what was asked for.
        dataset: one of its datasets.
        references: methods for real images, whether asked for or not.

    Raises:
        InvalidValue: the user changes a reference.
    """
    asked = [
        (method, budget)
        for method in request.methods
        for budget in rules.budgets(request, dataset, method)
    ]
    counts = sorted({budget.count for _, budget in asked if budget.kind != "full"})
    if not counts:
        return asked
    real = replace(request, budgets=tuple(Budget("ipc", count) for count in counts))
    needed = [
        (method, budget) for method in references for budget in rules.budgets(real, dataset, method)
    ]
    for method, budget in needed:
        resolved = request.resolve(rules, method, dataset, budget)
        if len(resolved.preset.split()) > 1:  # more than the tier: the user's changes
            raise InvalidValue(
                f"{rules.name} compares every method with {method} as it is, "
                f"so nothing of it can be changed; leave --set {method} out."
            )
    return list(dict.fromkeys([*needed, *asked]))


def table_rows(records: Iterable[Record]) -> dict[Place, list[Record]]:
    """Records by budget and variant of a method, in the order of both."""
    rows: dict[Place, list[Record]] = defaultdict(list)
    for record in records:
        rows[record.trial.budget, variant(record)].append(record)
    return dict(sorted(rows.items(), key=lambda row: (row[0][0].count, row[0])))


def reference(records: Iterable[Record], method: str, budget: Budget) -> list[Record]:
    """Records of a reference at a budget: its newest version, with nothing changed by the user."""
    unchanged = [
        record
        for record in records
        if (record.method.name, record.trial.budget) == (method, budget) and not changed(record)
    ]
    newest = max((record.method.version for record in unchanged), default=0)
    return [record for record in unchanged if record.method.version == newest]


def by_seed(records: Iterable[Record]) -> BySeed:
    """Accuracy of every repetition that ended well, in the order of seeds."""
    good = (record for record in records if record.status == "ok")
    return {
        record.trial.evaluation_seed: record.metrics["accuracy"]
        for record in sorted(good, key=lambda record: record.trial.evaluation_seed)
    }


SHARED_NOTE = (
    "All rows share the results of their references, so that overlapping intervals do not mean "
    "that two rows cannot be told apart."
)
GENERATED_NOTE = (
    "Rows of inpc budgets draw as many new images in every epoch, and are compared with references "
    "at as many stored images per class (ipc): they have seen more images than these."
)
BEST_NOTE = (
    "Minus the best: minus the row with the highest mean among those of as many images per class, "
    "repetition by repetition, so that the references cancel; 95 % t-interval. The same results "
    "chose the best row: an interval that only just leaves out 0 is weak evidence."
)


def each_repetition(formula: Callable[..., float], *parts: BySeed) -> list[float]:
    """``formula`` of the accuracies of each repetition that has them all, by seed."""
    return list(by_repetition(formula, *parts).values())


def by_repetition(formula: Callable[..., float], *parts: BySeed) -> dict[int, float]:
    """The same with the seeds."""
    shared = sorted(set.intersection(*(set(part) for part in parts)))
    return {seed: formula(*(part[seed] for part in parts)) for seed in shared}


def from_best(rows: Mapping[Place, BySeed]) -> dict[Place, Estimate | None]:
    """Each row's mean difference from the best row of its budget's count, over the seeds of both.

    The best row has exactly 0, without an interval; a row that shares no seed with it ``None``.
    """
    best: dict[int, BySeed] = {}
    for (budget, _), row in rows.items():
        if row and (budget.count not in best or _mean(row) > _mean(best[budget.count])):
            best[budget.count] = row
    return {
        place: Estimate(value=0.0, n=len(row))
        if row and row is best[place[0].count]
        else Estimate.of(each_repetition(sub, row, best.get(place[0].count, {})))
        for place, row in rows.items()
    }


def _mean(row: BySeed) -> float:
    return fmean(row.values())


def generated(records: Iterable[Record]) -> Iterator[str]:
    """What to say where rows of generated images are compared with stored ones."""
    if any(record.trial.budget.kind == "inpc" for record in records):
        yield GENERATED_NOTE


def unfinished(rows: Mapping[str, Mapping[str, BySeed]], wanted: int) -> Iterator[str]:
    """Sentences on what rests on fewer repetitions than wanted, or than the rest of the table.

    Args:
        rows: results by row and column.
        wanted: how many repetitions make a result.
    """
    most = max((len(results) for row in rows.values() for results in row.values()), default=0)
    if most < wanted:
        yield f"{most} of the {wanted} repetitions that make a result so far."
    for name, row in rows.items():
        few = [f"{column} {len(results)}" for column, results in row.items() if len(results) < most]
        if few:
            yield f"{name}: {', '.join(few)} of {most} repetitions so far."
