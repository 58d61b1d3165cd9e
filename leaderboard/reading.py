"""Record files as a board needs them: what stands, with the correctness of single images.

A record that a newer one of its trial supersedes stays in its file and counts no longer. What a
store holds counts beside what is published, with two exceptions: a copy of a published record is
that record, and a record of uncommitted code replaces no published one. Damaged lines are collected
with their place, and everything else is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import records
from bench.errors import BadFile
from bench.records import Record
from leaderboard import supersession
from leaderboard.images import fitting
from leaderboard.supersession import Supersession
from leaderboard.tables import counted


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What some folders of record files say.

    Attributes:
        records: the records that stand, in the order in which they were written.
        correct: packed per-image correctness by trial id, of the record that counts, where it is
            stored.
        superseded: records that another one has replaced.
        local: those that stand and come from stores.
        left_out: records of stores, of uncommitted code, whose trials are published.
        faults: damaged lines and files, each with its place.
    """

    records: list[Record] = field(default_factory=list)
    correct: Mapping[str, bytes] = field(default_factory=dict)
    superseded: list[Record] = field(default_factory=list)
    local: list[Record] = field(default_factory=list)
    left_out: list[Record] = field(default_factory=list)
    faults: list[BadFile] = field(default_factory=list)


def read(published: Iterable[Path], stores: Iterable[Path] = ()) -> Reading:
    """Everything below some folders; one that does not exist holds nothing.

    Args:
        published: folders of published records.
        stores: folders of records of one's own.
    """
    found: list[Record] = []
    local: list[Record] = []
    correct: dict[str, list[bytes]] = defaultdict(list)
    log: list[Supersession] = []
    faults: list[BadFile] = []
    for root, kept in [*((root, found) for root in published), *((root, local) for root in stores)]:
        some, damaged = records.scan(root)
        kept += some
        faults += damaged
        for path in records.files(root):
            try:
                for trial, stored in records.read_correct(path).items():
                    correct[trial] += stored
                log += (entry for _, entry in supersession.read(path))
            except BadFile as fault:
                faults.append(fault)
    own, left_out = _beside(found, local)
    standing, superseded = _apart([*found, *own], log)
    ours = {id(record) for record in own}
    return Reading(
        records=standing,
        correct=_of_counted(standing, correct),
        superseded=superseded,
        local=[record for record in standing if id(record) in ours],
        left_out=left_out,
        faults=faults,
    )


def _beside(
    published: Iterable[Record], local: Iterable[Record]
) -> tuple[list[Record], list[Record]]:
    """Of a store's records those that count beside what is published, and those that do not."""
    known: dict[str, list[Record]] = defaultdict(list)
    for record in published:
        known[record.id].append(record)
    own: list[Record] = []
    left_out: list[Record] = []
    for record in local:
        standing = known.get(record.id, [])
        if record not in standing:
            counts = record.environment.committed or not standing
            (own if counts else left_out).append(record)
    return own, left_out


def _of_counted(
    standing: Iterable[Record], correct: Mapping[str, Sequence[bytes]]
) -> dict[str, bytes]:
    """For each trial the correctness that its counted record states the accuracy of."""
    found = (
        (record.id, fitting(correct.get(record.id, ()), record)) for record in counted(standing)
    )
    return {trial: bits for trial, bits in found if bits is not None}


def _apart(
    found: Sequence[Record], log: Sequence[Supersession]
) -> tuple[list[Record], list[Record]]:
    """Records that stand, and those replaced by a newer one of their trial that is there."""
    if not log:
        return list(found), []
    names = [supersession.name(record) for record in found]
    known = dict(zip(names, found, strict=True))
    replaced = {entry.replaced for entry in log if not supersession.objection(entry, known)}
    standing: list[Record] = []
    superseded: list[Record] = []
    for record, name in zip(found, names, strict=True):
        (superseded if name in replaced else standing).append(record)
    return standing, superseded
