"""What is behind several tables of one set of rules: recipe, seeds, machines, versions, dates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from bench.files import canonical_json
from leaderboard import columns, remarks, wording
from leaderboard.rows import Row
from leaderboard.tables import Table
from leaderboard.wording import NONE


def facts(found: Sequence[Table], usual: Mapping[str, Any]) -> dict[str, str]:
    """What ran, by name, as plain texts.

    Args:
        found: tables that share their rules.
        usual: the recipe to state, :func:`usual_recipe` of them.
    """
    key = found[0].key
    rows = [row for table in found for row in table.rows]
    records = [record for row in rows for record in row.records]
    ran = [record.environment for record in records]
    counts = [len(row.values) for row in rows if not row.ceiling] or [0]
    return {
        "Protocol": f"{key.protocol}, version {key.version}, rules {key.protocol_hash[:12]}",
        "Recipe": wording.recipe(usual),
        "Seeds": wording.numbers([seed for row in rows for seed in row.seeds]) or NONE,
        "n": f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(counts[0]),
        "Devices": columns.devices(rows),
        "Calibration kernel": _kernel([environment.calibration_seconds for environment in ran]),
        "Versions": f"bench {_list(e.package for e in ran)}; torch {_list(e.torch for e in ran)}; "
        f"Python {_list(e.python for e in ran)}",
        "Commits": _list(wording.commit(environment.commit) for environment in ran),
        "Newest record": max(record.time for record in records).partition("T")[0],
    }


def _kernel(times: Sequence[float]) -> str:
    """How fast the machines were, by one fixed piece of work."""
    least, usual, most = (wording.seconds(f(times)) for f in (min, median, max))
    return f"median {usual}" + (f", {least} to {most}" if least != most else "")


def _list(values: Iterable[str]) -> str:
    return ", ".join(sorted({value for value in values if value})) or NONE


def usual_recipe(found: Sequence[Table]) -> Mapping[str, Any]:
    """The recipe of most rows."""
    recipes = [row.recipe for table in found for row in table.rows]
    uses = Counter(map(canonical_json, recipes))
    return max(recipes, key=lambda recipe: uses[canonical_json(recipe)])


def notes(table: Table, usual: Mapping[str, Any]) -> tuple[str, ...]:
    """Sentences below a table: what it cannot show, and what its rows do not share."""
    return tuple(filter(None, (*remarks.below(table), other_recipes(table, usual))))


def other_recipes(table: Table, usual: Mapping[str, Any]) -> str:
    """What other recipes of this table change, and whose they are; ``""`` where there is nothing.

    Rows whose titles say it already are left out.
    """
    groups: dict[str, list[Row]] = {}
    for row in table.rows:
        changed = {name: value for name, value in row.recipe.items() if value != usual.get(name)}
        if not changed.keys() <= {name.removeprefix("recipe.") for name, _ in row.changes}:
            groups.setdefault(wording.recipe(changed), []).append(row)
    told = (f"{_whose(rows, table)}: {changed}" for changed, rows in groups.items())
    return f"Other recipes: {'; '.join(told)}." if groups else ""


def _whose(rows: Sequence[Row], table: Table) -> str:
    """Rows by title or by architecture where all of these are meant, by both where not."""
    titles = _complete(rows, table.rows, lambda row: row.title)
    rest = [row for row in rows if row.title not in titles]
    architectures = _complete(rest, table.rows, lambda row: row.architecture)
    single = [row for row in rest if row.architecture not in architectures]
    return ", ".join(
        [
            *titles,
            *(f"all on {name}" for name in architectures),
            *(f"{row.title} on {row.architecture}" for row in single),
        ]
    )


def _complete(rows: Iterable[Row], every: Iterable[Row], of: Callable[[Row], str]) -> list[str]:
    """Names, each once, of which no row is missing."""
    ours, all_of = Counter(map(of, rows)), Counter(map(of, every))
    return [name for name in ours if ours[name] == all_of[name]]
