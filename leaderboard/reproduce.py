"""The commands that produce tables and rows again, and what no command brings back."""

from __future__ import annotations

from collections.abc import Iterable

from bench import plugins
from bench.planning import Rules
from leaderboard import wording
from leaderboard.changes import CODE, NETWORK, PRECISION, is_ruled, text
from leaderboard.installed import installed_rules, is_other_version
from leaderboard.rows import Row
from leaderboard.tables import Table, TableKey


def table_commands(table: Table) -> list[str]:
    """The commands that fill a table: one for the presets, one for each changed method."""
    key = table.key
    words = ["bench", "run", "--protocol", key.protocol, "--tier", key.tier]
    words += ["--dataset", key.dataset, *_budgets(table.rows)]
    changed = {row.title: row for row in table.rows if row.changes and not row.ceiling}
    methods = {
        ("--method", row.method, *options): None  # students of several recipes share a command
        for _, row in sorted(changed.items())
        if row.is_variant and (options := _options(key, row))
    }
    return [wording.command(*words, *more) for more in ((), *methods)]


def row_command(key: TableKey, row: Row) -> str:
    """``bench run ...`` with everything that an option asks for, for this row alone."""
    words = ["bench", "run", "--protocol", key.protocol, "--tier", key.tier, "--track", key.track]
    words += ["--dataset", key.dataset, *_budgets([row])]
    words += ["--method", row.method, *_options(key, row)]
    return wording.command(*words, *_seeds(key, row))


def remarks(key: TableKey, row: Row) -> list[str]:
    """What the command of a row does not say, as sentences."""
    found = []
    fixed = {name: value for name, value in row.changes if name not in row.parameters}
    version = row.records[0].method.version
    if CODE in fixed or is_other_version(row.method, version):
        found.append(f"No option sets {CODE}={version}: it takes the version that ran then.")
    ruled = [f"{name}={fixed[name]}" for name in fixed if is_ruled(name)]
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
    return [word for budget in sorted(asked) for word in ("--budget", budget.word)]


def _options(key: TableKey, row: Row) -> list[str]:
    """Options that ask for a row's changes; those that the rules make have none."""
    changes, options = dict(row.changes), _settings(key, row)
    if NETWORK in changes:
        options += ["--network", row.network]
    if PRECISION in changes:
        options += ["--precision", changes[PRECISION]]
    return options


def _settings(key: TableKey, row: Row) -> list[str]:
    """Options that change a method's parameters; of rules that sweep, by a sweep of one value."""
    pairs = [(name, value) for name, value in row.changes if name in row.parameters]
    swept: list[tuple[str, str]] = []
    if "sweeps" in getattr(_rules(key), "heeds", ()):
        own = [(name, text(value)) for name, value in sorted(row.parameters.items())]
        swept, pairs = (pairs or own)[:1], pairs[1:]
    return [
        word
        for option, settings in (("--sweep", swept), ("--set", pairs))
        for name, value in settings
        for word in (option, f"{row.method}.{name}={value}")
    ]


def _seeds(key: TableKey, row: Row) -> list[str]:
    """So many that the row's are among them; none where the rules give it seeds of its own."""
    own = {record.trial.evaluation_seed for record in row.records}
    published: tuple[int, ...] | None = getattr(_rules(key), "report_seeds", None)
    if published is None:
        return ["--seeds", str(1 + max(own))]
    if not own <= set(published):
        return []
    return ["--seeds", str(1 + max(map(published.index, own)))]


def _rules(key: TableKey) -> Rules | None:
    return installed_rules(key.protocol, key.version, key.protocol_hash, key.tier)
