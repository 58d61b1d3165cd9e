"""Who is ranked with whom in a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.recipes import Recipe
from bench.records import Record
from leaderboard.tables import tables
from protocols.ipc_grid import IPC_GRID

MakeRecord = Callable[..., Record]
MakeSample = Callable[..., list[Record]]


def test_ranks_are_made_within_an_architecture(sample: MakeSample) -> None:
    records = [
        *sample("dm", [0.90, 0.91, 0.92], architecture="mlp"),
        *sample("random", [0.80, 0.81, 0.82], architecture="mlp"),
        *sample("dm", [0.50, 0.51, 0.52]),
        *sample("random", [0.10, 0.11, 0.12]),
    ]
    (table,) = tables(records)
    assert [(row.architecture, row.method, row.rank) for row in table.rows] == [
        ("convnet-d2-w32", "dm", 1),
        ("convnet-d2-w32", "random", 2),
        ("mlp", "dm", 1),
        ("mlp", "random", 2),
    ]


def test_a_method_without_a_rival_has_no_rank(sample: MakeSample, record: MakeRecord) -> None:
    records = [*sample("dm", [0.5, 0.6]), record("random", 0.4)]
    (table,) = tables(records)
    assert [row.rank for row in table.rows] == [None, None]


FEWER = {"parameters": {"iterations": 5, "lr_images": 1.0}, "preset": "quick iterations=5"}
OLD = {"method_version": 1}


@pytest.mark.parametrize("other", [FEWER, {"recipe": Recipe(epochs=300, precision="bf16")}, OLD])
def test_what_is_no_preset_has_no_rank_and_moves_nobodys(
    other: dict[str, Any], sample: MakeSample
) -> None:
    presets = [
        *sample("dm", [0.50, 0.52, 0.54], method_version=2),
        *sample("random", [0.57, 0.59, 0.60], method_version=2),
    ]
    others = [
        record
        for method in ("dm", "random")
        for record in sample(method, [0.9, 0.91, 0.92], **({"method_version": 2} | other))
    ]
    (alone,), (table,) = tables(presets), tables([*presets, *others])
    ranks = {row.title: row.rank for row in table.rows}
    assert {row.title: row.rank for row in alone.rows} == {"dm": 2, "random": 1}
    assert [ranks.pop("dm"), ranks.pop("random")] == [2, 1]
    assert list(ranks.values()) == [None, None]


def test_rows_of_another_recipe_are_ranked_among_themselves(sample: MakeSample) -> None:
    rules = IPC_GRID["quick"]
    other = {"recipe": replace(rules.recipe, augmentation="none")}
    records = [
        *sample("dm", [0.50, 0.51, 0.52], recipe=rules.recipe),
        *sample("random", [0.30, 0.31, 0.32], recipe=rules.recipe),
        *sample("dm", [0.10, 0.11, 0.12], **other),
        *sample("random", [0.20, 0.21, 0.22], **other),
        *sample("alone", [0.15, 0.25, 0.05], architecture="mlp", **other),
        *sample("usual", [0.15, 0.25, 0.05], architecture="mlp", recipe=rules.recipe),
    ]
    (table,) = tables(records, rules=lambda *_: rules)
    assert [(row.title, row.rank) for row in table.rows] == [
        ("dm", 1),
        ("random", 2),
        ("random (recipe.augmentation=none)", 1),
        ("dm (recipe.augmentation=none)", 2),
        ("alone", None),  # nobody knows the usual recipe of that network, but this is not it
        ("usual", None),
    ]


def test_in_the_native_track_every_method_is_ranked_by_its_own_recipe(sample: MakeSample) -> None:
    native = {"trial": {"track": "native"}}
    records = [
        *sample("dm", [0.50, 0.51, 0.52], **native),
        *sample("random", [0.30, 0.31, 0.32], recipe=Recipe(epochs=7), **native),
    ]
    (table,) = tables(records)
    assert [row.rank for row in table.rows] == [1, 2]


def test_merged_sets_are_ranked_among_themselves(sample: MakeSample) -> None:
    merged = {"trial": {"merged_seeds": (100, 200)}, "budget": 2}
    records = [
        *sample("dm", [0.50, 0.51, 0.52], budget=6),
        *sample("random", [0.30, 0.31, 0.32], budget=6),
        *sample("dm", [0.10, 0.11, 0.12], **merged),
        *sample("random", [0.20, 0.21, 0.22], **merged),
    ]
    (table,) = tables(records)
    assert [(row.title, row.rank) for row in table.rows] == [
        ("dm", 1),
        ("random", 2),
        ("random (merged-sets=3)", 1),
        ("dm (merged-sets=3)", 2),
    ]


def test_methods_that_share_their_students_share_the_rank(sample: MakeSample) -> None:
    same = [0.50, 0.52, 0.54]
    records = [*sample("pool", same), *sample("pool-kd", same), *sample("dm", [0.57, 0.59, 0.60])]
    (table,) = tables(records)
    # Welch's p of dm and either is 0.0118: of three pairs, two of them one, it is significant
    assert [(row.method, row.rank) for row in table.rows] == [
        ("dm", 1),
        ("pool", 2),
        ("pool-kd", 2),
    ]
