"""``bench list``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from bench import cards, plugins
from bench.cli import options as shared
from bench.cli.options import JsonOption
from bench.plugins import Group

Value = str | float | Sequence[str] | Sequence[int]
Row = dict[str, Value]


def _methods() -> list[Row]:
    rows: list[Row] = []
    for name in plugins.names("methods"):
        card = cards.card(name)
        rows.append(
            {
                "name": name,
                "title": card.title,
                "budget": card.budgets,
                "labels": card.labels,
                "default in": card.tiers,
                "paper": card.paper,
            }
        )
    return rows


def _protocols() -> list[Row]:
    groups: tuple[Group, ...] = ("protocols", "profiles")
    return [
        {
            "name": name,
            "version": rules.version,
            "tier": tier,
            "datasets": rules.default_datasets,
        }
        for group in groups
        for name in plugins.names(group)
        for tier, rules in plugins.load(group, name).items()
    ]


def _datasets() -> list[Row]:
    from bench import datasets

    found = [(name, datasets.describe(name)) for name in plugins.names("datasets")]
    return [
        {"name": name, "classes": spec.num_classes, "shape": spec.shape} for name, spec in found
    ]


def _networks() -> list[Row]:
    return [{"name": name} for name in plugins.names("networks")]


def _devices() -> list[Row]:
    from bench.profiling import catalogue

    return [
        {
            "name": name,
            "title": device.title,
            "memory GiB": device.memory_gib.value,
            "fp32 TFLOPS": device.fp32_tflops.value,
            "GB/s": device.bandwidth_gb_s.value,
        }
        for name, device in catalogue.devices().items()
    ]


KINDS = {
    "methods": _methods,
    "protocols": _protocols,
    "datasets": _datasets,
    "networks": _networks,
    "devices": _devices,
}


def listing(
    kind: Annotated[
        str,
        typer.Argument(
            help="methods, protocols, datasets, networks or devices.",
            autocompletion=lambda: list(KINDS),
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """List what is installed, ours and strangers' alike.

    Example: `bench list methods`
    """
    shared.known("kind", [kind], KINDS)
    rows = KINDS[kind]()
    if as_json:
        typer.echo(json.dumps({"kind": kind, "rows": rows}))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table()
    for column in rows[0] if rows else ["name"]:
        table.add_column(column, no_wrap=column == "name", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_text(value)) for value in row.values()))
    Console().print(table)


def _text(value: Value) -> str:
    """A value as a reader sees it: ``quick, lite``, ``3×32×32``, ``23.64``."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        numbers = all(isinstance(one, int) for one in value)
        return ("×" if numbers else ", ").join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
