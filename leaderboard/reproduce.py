"""The commands that produce tables and rows again, and what no command brings back."""

from __future__ import annotations

from collections.abc import Iterable

from bench import plugins
from leaderboard import wording
from leaderboard.installed import installed_rules
from leaderboard.rows import Row
from leaderboard.tables import Table, TableKey

_OPTIONS = frozenset({"distilled-with", "recipe.precision"})
"""Changes beside parameters that an option of ``bench run`` asks for."""

_CODE = "adapter-version"


def table_commands(table: Table) -> list[str]:
    """The commands that fill a table: one for the presets, one for each changed method."""
    key = table.key
    words = ["bench", "run", "--protocol", key.protocol, "--tier", key.tier]
    words += ["--dataset", key.dataset, *_budgets(table.rows)]
    changed = {row.title: row for row in table.rows if row.changes and not row.ceiling}
    methods = [
        ["--method", row.method, *settings]
        for _, row in sorted(changed.items())
        if (settings := _settings(row))
    ]
    return [wording.command(*words, *more) for more in ([], *methods)]


def row_command(key: TableKey, row: Row) -> str:
    """``bench run ...`` with everything that an option asks for, for this row alone."""
    words = ["bench", "run", "--protocol", key.protocol, "--tier", key.tier, "--track", key.track]
    words += ["--dataset", key.dataset, *_budgets([row]), "--method", row.method, *_settings(row)]
    if "distilled-with" in dict(row.changes):
        words += ["--network", row.network]
    if (precision := row.recipe.get("precision", "fp32")) != "fp32":
        words += ["--precision", precision]
    return wording.command(*words, *_seeds(key, row))


def remarks(key: TableKey, row: Row) -> list[str]:
    """What the command of a row does not say, as sentences."""
    found = []
    fixed = {name: value for name, value in row.changes if name not in row.parameters}
    if _CODE in fixed:
        found.append(f"No option sets {_CODE}={fixed[_CODE]}: it takes the version that ran then.")
    ruled = [f"{name}={fixed[name]}" for name in fixed if name not in _OPTIONS | {_CODE}]
    if ruled:
        found.append(f"No option sets {', '.join(ruled)}: the rules do, beside other rows.")
    if key.dataset not in plugins.names("datasets"):
        found.append(
            f"{key.dataset} is no registered dataset: give --dataset {key.dataset}=PATH instead."
        )
    return found


def _budgets(rows: Iterable[Row]) -> list[str]:
    """Of merged sets the budget of each; none for ceilings, which have all images."""
    asked = {record.trial.budget for row in rows if not row.ceiling for record in row.records}
    texts = [str(budget).removeprefix("ipc ") for budget in sorted(asked)]
    return [word for text in texts for word in ("--budget", text)]


def _settings(row: Row) -> list[str]:
    """Options that change a method's parameters; other changes are none of the method's."""
    pairs = [(name, value) for name, value in row.changes if name in row.parameters]
    return [word for name, value in pairs for word in ("--set", f"{row.method}.{name}={value}")]


def _seeds(key: TableKey, row: Row) -> list[str]:
    """So many that the row's are among them; none where the rules give it seeds of its own."""
    own = {record.trial.evaluation_seed for record in row.records}
    rules = installed_rules(key.protocol, key.version, key.protocol_hash, key.tier)
    published: tuple[int, ...] | None = getattr(rules, "report_seeds", None)
    if published is None:
        return ["--seeds", str(1 + max(own))]
    if not own <= set(published):
        return []
    return ["--seeds", str(1 + max(map(published.index, own)))]
