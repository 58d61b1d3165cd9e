"""The command that produces a row again, and what no command can set."""

from __future__ import annotations

from bench import plugins
from leaderboard import wording
from leaderboard.rows import Row
from leaderboard.tables import TableKey


def command(key: TableKey, row: Row) -> str:
    """``bench run ...`` with the protocol, tier, track, dataset, budget, method and its changes."""
    words = ["bench", "run", "--protocol", key.protocol, "--tier", key.tier, "--track", key.track]
    words += ["--dataset", key.dataset]
    if not row.ceiling:
        words += ["--budget", str(key.budget).removeprefix("ipc ")]
    words += ["--method", row.method]
    for name, value in row.changes:
        if name in row.parameters:
            words += ["--set", f"{row.method}.{name}={value}"]
    seeds = 1 + max(record.trial.evaluation_seed for record in row.records)
    return wording.command(*words, "--seeds", str(seeds))


def remarks(key: TableKey, row: Row) -> list[str]:
    """What the command cannot bring back, as sentences."""
    fixed = [f"{name}={value}" for name, value in row.changes if name not in row.parameters]
    found = []
    if fixed:
        found.append(f"No option sets {', '.join(fixed)}: it takes the version that ran then.")
    if key.dataset not in plugins.names("datasets"):
        found.append(
            f"{key.dataset} is no registered dataset: give --dataset {key.dataset}=PATH instead."
        )
    return found
