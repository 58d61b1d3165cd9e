"""Commands bring a table or a row back as far as an option goes; the rest is said in a sentence."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from bench import datasets, planning, plugins
from bench.cli import app, options
from bench.planning import Request
from bench.recipes import Recipe
from bench.records import Record
from bench.specs import Budget
from bench.trials import TRACKS, Tier
from leaderboard import reading
from leaderboard.installed import has_method, installed_rules
from leaderboard.reproduce import remarks, row_command, table_commands
from leaderboard.rows import Row
from leaderboard.tables import Table, TableKey, tables
from tests.records import make, record_of


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


def test_an_adapter_that_is_not_the_installed_one_is_told_where_no_other_row_stands() -> None:
    table = only([make("dm", method_version=99)])
    assert table.rows[0].title == "dm"
    (told,) = remarks(table.key, table.rows[0])
    assert "adapter-version=99" in told
    table = only([make("stranger", method_version=99)])
    assert remarks(table.key, table.rows[0]) == []


def test_images_of_somebodys_own_need_their_path() -> None:
    table = only([make("dm", dataset="mine")])
    (told,) = remarks(table.key, table.rows[0])
    assert "give --dataset mine=PATH instead" in told


RESULTS = Path(__file__).parents[2] / "leaderboard/results"
RUN: Any = typer.main.get_command(app)


@cache
def planned(command: str, checksum: str) -> frozenset[str]:
    """The ids of every trial that a ``bench run`` asks for, of data with this checksum."""
    _, run, *words = shlex.split(command)
    asked = RUN.commands[run].make_context(run, words).params
    rules = planning.load_rules(asked["protocol"], options.tier(asked["tier"]))
    (dataset,) = asked["dataset"]
    methods = options.names(asked["method"])
    request = Request(
        methods=methods,
        specs={dataset: datasets.describe(dataset)},
        checksums={dataset: checksum},
        budgets=options.budgets(asked["budget"]),
        seeds=asked["seeds"] or rules.default_seeds,
        tracks=tuple(track for track in TRACKS if track in asked["track"]),
        changes=options.changes(asked["change"], methods),
        sweeps=options.sweeps(asked["sweep"], methods),
        networks=options.names(asked["network"]),
        precision=options.precision(asked["precision"]),
    )
    return frozenset(trial.id for trial in rules.plan(request))


def is_installed(key: TableKey, row: Row) -> bool:
    """Whether everything that made a row is what is installed here."""
    rules = installed_rules(key.protocol, key.version, key.protocol_hash, key.tier)
    data = key.dataset in plugins.names("datasets")
    return bool(rules) and data and has_method(row.method, row.records[0].method.version)


def test_the_command_of_every_published_row_plans_its_trials() -> None:
    lost, checked = [], 0
    for table in tables(reading.read([RESULTS]).records):
        for row in filter(lambda row: is_installed(table.key, row), table.rows):
            command = row_command(table.key, row)
            checked += 1
            if not {record.id for record in row.records} <= planned(command, table.key.checksum):
                lost.append(f"{row.title}, {row.architecture}: {command}")
    assert not lost
    assert checked > 500


def test_rules_that_sweep_are_asked_for_one_value_of_one_parameter() -> None:
    rules = planning.load_rules("ablation", "quick")
    request = Request(
        methods=("dm",),
        specs={"digits": datasets.describe("digits")},
        checksums={"digits": "d" * 64},
        seeds=1,
        tracks=("standard",),
        changes={"dm": {"iterations": 7}},
    )
    table = only([record_of(trial, 0.5) for trial in rules.plan(request)])
    commands = [row_command(table.key, row) for row in table.rows]
    for row, command in zip(table.rows, commands, strict=True):
        assert {record.id for record in row.records} == planned(command, "d" * 64)
    assert [option(command, "--sweep") for command in commands] == 3 * ["dm.iterations=7"]
    assert [option(command, "--set") for command in commands] == [
        None,
        "dm.lr_images=0.1",
        "dm.lr_images=10.0",
    ]
