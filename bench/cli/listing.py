"""``bench list``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bench import cards, plugins
from bench.cli import options as shared
from bench.cli.options import JsonOption
from bench.plugins import Group

Row = dict[str, str]


def _methods() -> list[Row]:
    rows = []
    for name in plugins.names("methods"):
        card = cards.card(name)
        rows.append(
            {
                "name": name,
                "title": card.title,
                "budget": ", ".join(card.budgets),
                "labels": card.labels,
                "default in": ", ".join(card.tiers),
                "paper": card.paper,
            }
        )
    return rows


def _protocols() -> list[Row]:
    groups: tuple[Group, ...] = ("protocols", "profiles")
    return [
        {
            "name": name,
            "version": f"v{rules.version}",
            "tier": tier,
            "datasets": ", ".join(rules.default_datasets),
        }
        for group in groups
        for name in plugins.names(group)
        for tier, rules in plugins.load(group, name).items()
    ]


def _datasets() -> list[Row]:
    from bench import datasets

    rows = []
    for name in plugins.names("datasets"):
        spec = datasets.describe(name)
        shape = "×".join(map(str, spec.shape))
        rows.append({"name": name, "classes": str(spec.num_classes), "shape": shape})
    return rows


def _networks() -> list[Row]:
    return [{"name": name} for name in plugins.names("networks")]


def _devices() -> list[Row]:
    from bench.profiling import catalogue

    return [
        {
            "name": name,
            "title": device.title,
            "memory GiB": f"{device.memory_gib.value:g}",
            "fp32 TFLOPS": f"{device.fp32_tflops.value:g}",
            "GB/s": f"{device.bandwidth_gb_s.value:g}",
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
        table.add_row(*(escape(value) for value in row.values()))
    Console().print(table)
