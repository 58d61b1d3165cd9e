"""What stands above and below tables about recipes and machines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.recipes import Recipe
from bench.records import Record
from leaderboard import facts, remarks
from leaderboard.tables import Table, tables
from tests.records import COSTS, ENVIRONMENT

Sample = Callable[..., list[Record]]
USUAL, FASTER, LONGER = Recipe(epochs=300), Recipe(epochs=300, lr=0.03), Recipe(epochs=600)


def other(*found: list[Record]) -> str:
    (table,) = tables([record for some in found for record in some])
    return facts.other_recipes(table, facts.usual_recipe([table]))


def test_recipes_are_told_of_rows_of_architectures_or_of_both(sample: Sample) -> None:
    def rows(method: str, *recipes: Recipe) -> list[Record]:
        return [
            record
            for architecture, recipe in zip(("mlp", "vit", "lenet"), recipes, strict=True)
            for record in sample(method, [0.5, 0.6], architecture=architecture, recipe=recipe)
        ]

    usual = rows("dm", USUAL, FASTER, USUAL)
    assert other(usual, rows("random", USUAL, FASTER, USUAL)) == (
        "Other recipes: all on vit: lr 0.03."
    )
    same = rows("herding", USUAL, USUAL, USUAL)
    assert other(usual, same, rows("random", LONGER, LONGER, LONGER)) == (
        "Other recipes: random: epochs 600; dm on vit: lr 0.03."
    )
    assert other(rows("dm", USUAL, USUAL, USUAL)) == ""


def test_what_a_title_says_of_a_recipe_is_not_said_again(sample: Sample) -> None:
    names = ("dm", "random")
    usual = [record for name in names for record in sample(name, [0.5, 0.6], recipe=USUAL)]
    assert other(usual, sample("dm", [0.4], recipe=FASTER, time="2025-01-01T00:00:00Z")) == ""


def speeds(sample: Sample, students: float, distilled: float) -> Table:
    """Beside a usual machine, a row whose students and set come from others."""
    made = ENVIRONMENT.model_copy(update={"calibration_seconds": distilled})
    (table,) = tables(
        sample("random", [0.4, 0.5])
        + sample(
            "dm",
            [0.5, 0.6],
            environment={"calibration_seconds": students},
            cost=COSTS.model_copy(update={"distilled_on": (made,)}),
        )
    )
    return table


@pytest.mark.parametrize(
    ("students", "distilled", "told"),
    [
        (0.59, 0.5, ""),
        (0.5, 0.42, ""),
        (0.75, 0.5, "750 ms beside students of dm"),
        (0.5, 0.75, "750 ms when dm was distilled"),
    ],
)
def test_machines_that_differ_by_more_than_a_fifth_are_told(
    sample: Sample, students: float, distilled: float, told: str
) -> None:
    note = remarks.uneven_machines(speeds(sample, students, distilled))
    assert told in note
    assert bool(note) == bool(told)


def test_facts_state_how_fast_the_machines_were(sample: Sample) -> None:
    table = speeds(sample, 0.75, 0.5)
    stated = facts.facts([table], facts.usual_recipe([table]))
    assert stated["Calibration kernel"] == "median 625 ms, 500 ms to 750 ms"
