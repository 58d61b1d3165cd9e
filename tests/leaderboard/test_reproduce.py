"""Commands bring a table or a row back as far as an option goes; the rest is said in a sentence."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import pytest

from bench import planning
from bench.recipes import Recipe
from bench.records import Record
from bench.specs import Budget
from bench.trials import Tier
from leaderboard.reproduce import remarks, row_command, table_commands
from leaderboard.rows import Row
from leaderboard.tables import Table, tables
from tests.records import make


def only(records: Sequence[Record]) -> Table:
    (table,) = tables(records)
    return table


def row_of(table: Table, title: str) -> Row:
    (row,) = [row for row in table.rows if row.title == title]
    return row


def option(command: str, name: str) -> str | None:
    """The value that a command gives to an option."""
    words = shlex.split(command)
    return words[words.index(name) + 1] if name in words else None


def of(protocol: str, tier: Tier = "quick") -> dict[str, str]:
    """Coordinates of a protocol as it is installed."""
    rules = planning.load_rules(protocol, tier)
    return {"protocol": protocol, "protocol_hash": planning.rules_hash(rules)}


def test_a_table_has_a_command_for_its_presets_and_one_for_each_changed_method() -> None:
    changed = {"parameters": {"iterations": 7, "lr_images": 1.0}, "preset": "quick iterations=7"}
    table = only([make("dm"), make("dm", **changed), make("random"), make("whole", budget="full")])
    presets = "bench run --protocol ipc-grid --tier quick --dataset digits --budget 1"
    assert table_commands(table) == [presets, f"{presets} --method dm --set dm.iterations=7"]


def test_of_merged_sets_the_budget_of_each_is_asked_for() -> None:
    merged = make("dm", budget=2, trial=of("merge") | {"merged_seeds": (100, 200)})
    table = only([merged])
    assert table.key.budget == Budget("ipc", 6)
    assert option(row_command(table.key, table.rows[0]), "--budget") == "2"
    assert option(table_commands(table)[0], "--budget") == "2"


@pytest.mark.parametrize(
    ("seeds", "asked"), [((0, 1, 2), "3"), ((4,), "5"), ((10_000, 10_001), None)]
)
def test_seeds_of_the_rules_own_need_no_option(seeds: Sequence[int], asked: str | None) -> None:
    table = only([make("whole", seed=seed, budget="full", trial=of("nas201")) for seed in seeds])
    assert option(row_command(table.key, table.rows[0]), "--seeds") == asked


def test_of_rules_that_are_not_at_hand_seeds_are_counted() -> None:
    table = only([make("dm", seed=30)])  # under another hash than the installed rules have
    assert option(row_command(table.key, table.rows[0]), "--seeds") == "31"


def test_networks_and_precisions_have_options() -> None:
    older = make("dm", recipe=Recipe(epochs=300, precision="bf16"), time="2025-01-01T00:00:00Z")
    other = older.model_copy(update={"trial": older.trial.model_copy(update={"network": "mlp"})})
    table = only([make("dm"), other.model_copy(update={"id": "e" * 64})])
    row = row_of(table, "dm (distilled-with=mlp, recipe.precision=bf16)")
    command = row_command(table.key, row)
    assert (option(command, "--network"), option(command, "--precision")) == ("mlp", "bf16")
    assert remarks(table.key, row) == []


def test_what_no_option_sets_is_told_with_who_does() -> None:
    hard = make("dm", recipe=Recipe(epochs=300, labels="hard"), time="2025-01-01T00:00:00Z")
    old = make("dm", method_version=1, time="2024-01-01T00:00:00Z")
    table = only([make("dm", method_version=2), hard, old])
    (told,) = remarks(table.key, row_of(table, "dm (adapter-version=1)"))
    assert told == "No option sets adapter-version=1: it takes the version that ran then."
    sentences = remarks(table.key, row_of(table, "dm (adapter-version=1, recipe.labels=hard)"))
    assert sentences[1:] == ["No option sets recipe.labels=hard: the rules do, beside other rows."]


def test_images_of_somebodys_own_need_their_path() -> None:
    table = only([make("dm", dataset="mine")])
    (told,) = remarks(table.key, table.rows[0])
    assert "give --dataset mine=PATH instead" in told
