"""From records to tables: pure functions on plain data; numbers stay unrounded fractions.

A table holds what may be compared: one protocol version with one hash, one tier, one track, one
dataset with one checksum, one budget. Records of the validation split enter none.

Of a trial that was run more than once one record counts: the latest that is ``ok``, or the latest
of all where none is; the others tell where a row's numbers come from. Every trial is one
repetition, so n is the number of trials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, get_args

from bench.records import Record
from bench.specs import Budget, BudgetKind
from bench.statistics import rank_groups
from bench.trials import TIERS, TRACKS, Tier, Track
from leaderboard.images import Correct, compare_images
from leaderboard.installed import LoadRules, installed_rules
from leaderboard.rows import Row, rows

FULL = Budget("full", 0)
BUDGET_KINDS = get_args(BudgetKind)


@dataclass(frozen=True, kw_only=True)
class TableKey:
    """What the rows of a table have in common."""

    protocol: str
    version: int
    protocol_hash: str
    tier: Tier
    track: Track
    dataset: str
    checksum: str
    budget: Budget

    @property
    def order(self) -> tuple[Any, ...]:
        """Where the table stands among others: newest version first, small before large."""
        return (
            self.protocol,
            -self.version,
            TIERS.index(self.tier),
            TRACKS.index(self.track),
            self.protocol_hash,
            self.dataset,
            self.checksum,
            BUDGET_KINDS.index(self.budget.kind),
            self.budget.count,
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that may be compared: best first within an architecture, ceilings last.

    Attributes:
        key: what the rows have in common.
        rows: the rows.
        warnings: sentences on what stands in another table although it bears the same name.
    """

    key: TableKey
    rows: tuple[Row, ...]
    warnings: tuple[str, ...] = ()


def counted(records: Iterable[Record]) -> list[Record]:
    """Of each trial of the test split the one record that counts; ties go to the later one."""
    best: dict[str, Record] = {}
    for record in records:
        if record.trial.split != "test":
            continue
        known = best.get(record.id)
        if known is None or _merit(record) >= _merit(known):
            best[record.id] = record
    return list(best.values())


def _merit(record: Record) -> tuple[bool, str]:
    return record.status == "ok", record.time


def keys(records: Iterable[Record]) -> list[TableKey]:
    """What the tables are that these records fill, in a fixed order; no table is made for that."""
    return _filled(map(_key, counted(records)))


def tables(
    records: Iterable[Record],
    metric: str = "accuracy",
    correct: Correct | None = None,
    rules: LoadRules | None = None,
    wanted: Callable[[TableKey], bool] | None = None,
) -> list[Table]:
    """Every table that these records fill, in a fixed order.

    The rows of the budget ``full`` are ceilings: they stand below every budget of the same dataset,
    tier, track and architecture, and in a table of their own only where there is no other.

    Args:
        records: any records, in the order in which they were written.
        metric: which of their metrics is tabulated; larger is better.
        correct: packed per-image correctness by trial id: where it is known of two methods, ranks
            ask for a difference that other test images would show as well.
        rules: finds a protocol's rules, whose recipe and network are those of a method with
            nothing changed; the installed ones unless given.
        wanted: whether a table is made; all are unless given. What is said of a table does not
            depend on which others are made.
    """
    records, load = list(records), rules or installed_rules
    measured: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "ok":
            measured[record.id].append(record)
    by_key: dict[TableKey, list[Record]] = defaultdict(list)
    for record in counted(records):
        by_key[_key(record)].append(record)

    @cache
    def rows_of(key: TableKey) -> list[Row]:
        own = load(key.protocol, key.version, key.protocol_hash, key.tier)
        return rows(by_key.get(key, ()), metric, measured, own)

    def table(key: TableKey) -> Table:
        own = rows_of(key) if key.budget != FULL else []
        arranged = _arrange(own, rows_of(replace(key, budget=FULL)), correct or {})
        return Table(key=key, rows=arranged, warnings=warnings[key])

    filled = _filled(by_key)
    warnings = _warnings(filled)
    return [table(key) for key in filled if wanted is None or wanted(key)]


def _filled(keys: Iterable[TableKey]) -> list[TableKey]:
    """Keys of tables in order; ceilings have one of their own only where there is no other."""
    found = set(keys)
    below = {replace(key, budget=FULL) for key in found if key.budget != FULL}
    return sorted(found - below, key=lambda key: key.order)


def _key(record: Record) -> TableKey:
    """Merged sets stand where their images in all put them."""
    where = record.trial
    sets = 1 + len(where.merged_seeds)
    return TableKey(
        protocol=where.protocol,
        version=where.version,
        protocol_hash=record.protocol_hash,
        tier=where.tier,
        track=where.track,
        dataset=where.dataset,
        checksum=record.dataset.checksum,
        budget=replace(where.budget, count=sets * where.budget.count),
    )


def _arrange(own: Sequence[Row], ceilings: Sequence[Row], correct: Correct) -> tuple[Row, ...]:
    """Ranked rows, best first within an architecture, then the ceilings of these architectures."""
    ranks: dict[tuple[str, str], int] = {}
    for members in leagues(own).values():
        found = _ranks({row.title: row for row in members}, correct)
        ranks |= {(members[0].architecture, title): rank for title, rank in found.items()}
    arranged = sorted(
        (replace(row, rank=ranks.get((row.architecture, row.title))) for row in own), key=_place
    )
    shown = {row.architecture for row in own or ceilings}
    return (*arranged, *(row for row in ceilings if row.architecture in shown))


def leagues(own: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows that compete, by what they must share to be ranked together.

    Neither ceilings compete nor variants: whatever somebody sets moves nobody's rank.
    """
    found: dict[str, list[Row]] = defaultdict(list)
    for row in own:
        if row.values and not row.ceiling and not row.is_variant:
            found[row.league].append(row)
    return found


def _ranks(peers: Mapping[str, Row], correct: Correct) -> dict[str, int]:
    def over_images(better: str, worse: str) -> float | None:
        test = compare_images(peers[better], peers[worse], correct)
        return test.p if test else None

    return rank_groups({title: row.values for title, row in peers.items()}, second=over_images)


def _place(row: Row) -> tuple[str, float, str]:
    return row.architecture, -row.summary.mean if row.summary else 1.0, row.title


def _warnings(keys: Iterable[TableKey]) -> dict[TableKey, tuple[str, ...]]:
    """What to say below each table of these about rules or data that share a name only."""
    keys = list(keys)
    hashes: dict[Any, set[str]] = defaultdict(set)
    checksums: dict[Any, set[str]] = defaultdict(set)
    for key in keys:
        hashes[key.protocol, key.version, key.tier].add(key.protocol_hash)
        checksums[key.protocol_hash, key.tier, key.dataset].add(key.checksum)
    found = {}
    for key in keys:
        rules = f"{key.protocol} v{key.version} ({key.tier})"
        found[key] = (
            *_apart(hashes[key.protocol, key.version, key.tier], "rules", rules),
            *_apart(checksums[key.protocol_hash, key.tier, key.dataset], "data", key.dataset),
        )
    return found


def _apart(digests: set[str], what: str, name: str) -> Iterable[str]:
    if len(digests) > 1:
        short = ", ".join(value[:12] or "none" for value in sorted(digests))
        yield (
            f"The {what} of {name} differ between records although the name is the same "
            f"(SHA-256 {short}); they are shown apart."
        )
