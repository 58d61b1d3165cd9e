"""Where the records behind some tables come from: the published results, or stores of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.records import Record
from bench.studies import counted
from leaderboard.reading import Reading
from leaderboard.tables import Table


@dataclass(frozen=True, kw_only=True)
class Sources:
    """How many of the records that count come from where.

    Attributes:
        published: from the published results.
        local: from stores.
        uncommitted: of the local ones, those whose code was of no commit.
        left_out: local records of such code that do not count, for their trials are published.
    """

    published: int
    local: int
    uncommitted: int
    left_out: int


def behind(found: Iterable[Table]) -> Iterator[Record]:
    """The records that some tables show; those of a ceiling in many tables come several times."""
    return (record for table in found for row in table.rows for record in row.records)


def sources(records: Iterable[Record], reading: Reading) -> Sources:
    """The sources of those records of a reading that some tables show."""
    shown = {id(record): record for record in records}.values()
    own = {id(record) for record in reading.local}
    local = [record for record in shown if id(record) in own]
    trials = {record.id for record in shown}
    return Sources(
        published=len(shown) - len(local),
        local=len(local),
        uncommitted=sum(not record.environment.committed for record in local),
        left_out=sum(record.id in trials for record in reading.left_out),
    )


def sentence(found: Sources, stores: Sequence[Path]) -> str:
    """The sources as one line."""
    if not (found.local or found.left_out):
        return "Source: published results."
    names = ["published results"] * bool(found.published) + [str(store) for store in stores]
    said = f"{counted(found.local, 'local record')}, {found.uncommitted or 'none'} of them"
    more = f"; {found.left_out} more left out, as their trials are published"
    rest = more if found.left_out else ""
    return f"Sources: {' and '.join(names)}: {said} from uncommitted code{rest}."
