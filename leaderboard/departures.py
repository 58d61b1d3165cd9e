"""Why a measured number may differ from a printed one: what was not set as the paper sets it.

A paper's settings are those of the method's card at the paper tier, in the native track.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

from bench import cards
from bench.errors import UnknownName
from bench.planning import load_rules
from bench.recipes import LEFT_OUT, Recipe
from bench.specs import Budget
from bench.trials import Tier
from leaderboard.rows import Row
from leaderboard.tables import FULL, TableKey

PAPER: Tier = "paper"

SPREAD = 2.0
"""Gaps of fewer combined deviations than this are what repetitions differ by anyway."""


def likely_reason(key: TableKey, row: Row, units: float | None) -> str:
    """One phrase on why this row and a paper's number for its cell may differ.

    Args:
        key: the row's table.
        row: what was measured, with the method's presets.
        units: measured minus reported over the combined standard deviation, where it has a value.
    """
    if units is not None and abs(units) < SPREAD:
        return "no more than repetitions differ by"
    found = departures(key, row)
    if not found:
        return "none known: every setting is the paper's as far as its text and release tell"
    return f"not as in the paper: {'; '.join(found)}"


def departures(key: TableKey, row: Row) -> tuple[str, ...]:
    """Every setting of a row that differs from the paper's, as ``name ours, not theirs``."""
    budget = FULL if row.ceiling else key.budget
    try:
        parameters, recipe = _paper_settings(row.method, key.protocol, key.dataset, budget)
    except UnknownName:  # records may be of methods and protocols that are not installed here
        return ()
    pixels = {"pixels": row.records[0].dataset.preprocessing}
    return (
        *_different(row.parameters, parameters, ""),
        *_different({**LEFT_OUT, **row.recipe, **pixels}, recipe, "students' "),
    )


@cache
def _paper_settings(
    method: str, protocol: str, dataset: str, budget: Budget
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Parameters, and the recipe with its pixel space, of the paper tier's native track.

    How long a paper trains on the whole training set is no setting of a card.

    Raises:
        UnknownName: no such method or protocol here.
    """
    resolved = cards.resolve(method, PAPER, dataset, budget)
    rules = cast(Any, load_rules(protocol, PAPER))
    standard: Recipe = rules.recipe
    recipe, pixels = cards.recipe_for(method, "native", standard, PAPER, dataset, budget)
    settings = LEFT_OUT | recipe.as_dict() | {"pixels": pixels}
    if budget == FULL:
        del settings["epochs"]
    return resolved.parameters, settings


def _different(ours: Mapping[str, Any], theirs: Mapping[str, Any], of: str) -> Iterator[str]:
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name] != theirs[name]:
            yield f"{of}{name} {_plain(ours[name])}, not {_plain(theirs[name])}"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value or "none")
