"""What a board was made of: its date, commits and the versions of everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.records import SCHEMA, Record


@dataclass(frozen=True, kw_only=True)
class State:
    """Facts about the records behind a board; every list is sorted and without repetitions.

    Attributes:
        records: how many records there are, those that do not count included.
        newest: time of the latest record, ``""`` without any: the board's date.
        record_schema: the schema that the records follow.
        protocols: name, version, tier and hash of the rules, as ``ipc-grid v1 quick 9d0d85f3d31b``.
        commits: commits that made the records.
        packages: versions of this package.
        torch: versions of torch.
        python: versions of Python.
        devices: processors.
    """

    records: int
    newest: str
    record_schema: int
    protocols: tuple[str, ...]
    commits: tuple[str, ...]
    packages: tuple[str, ...]
    torch: tuple[str, ...]
    python: tuple[str, ...]
    devices: tuple[str, ...]


def state(records: Iterable[Record]) -> State:
    """Gather what some records say of their making."""
    found = list(records)
    ran = [record.environment for record in found]
    return State(
        records=len(found),
        newest=max((record.time for record in found), default=""),
        record_schema=SCHEMA,
        protocols=_distinct(_rules(record) for record in found),
        commits=_distinct(environment.commit for environment in ran),
        packages=_distinct(environment.package for environment in ran),
        torch=_distinct(environment.torch for environment in ran),
        python=_distinct(environment.python for environment in ran),
        devices=_distinct(environment.device for environment in ran),
    )


def _rules(record: Record) -> str:
    where = record.trial
    return f"{where.protocol} v{where.version} {where.tier} {record.protocol_hash[:12]}"


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))
