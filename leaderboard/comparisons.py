"""Two methods tested against each other wherever both have results.

Protocols and tracks may share students: the same pair of samples then stands in several tables. It
is tested once, and counts once among the tests that are Holm-corrected together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.errors import InvalidValue, UnknownName
from bench.records import Record
from bench.statistics import Comparison, holm, welch
from leaderboard.images import Correct, compare_images
from leaderboard.rows import Row
from leaderboard.tables import Table, TableKey
from leaderboard.validation import trial_of


@dataclass(frozen=True, kw_only=True)
class CellComparison:
    """Two samples of one architecture, compared.

    Attributes:
        keys: every table that holds the two, the first one first.
        a: the first row, as the first of these tables has it.
        b: the second row.
        test: Welch's t-test of their values.
        images: a paired bootstrap over the test images, where their correctness is stored.
        adjusted_p: the larger p-value of the two, Holm-corrected over the family.
        family: how many tests were corrected together.
    """

    keys: tuple[TableKey, ...]
    a: Row
    b: Row
    test: Comparison
    images: Comparison | None
    adjusted_p: float | None
    family: int

    @property
    def key(self) -> TableKey:
        """The first table that holds the two."""
        return self.keys[0]

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of both samples."""
        return (*self.a.records, *self.b.records)


Meeting = tuple[TableKey, Row, Row]
"""A table with its rows of both methods."""


def check_apart(a: str, b: str) -> None:
    """Check that two titles are two.

    Raises:
        InvalidValue: they are one.
    """
    if a == b:
        raise InvalidValue(f"{a!r} cannot be compared with itself; name another method.")


def of_methods(records: Iterable[Record], a: str, b: str) -> list[Record]:
    """The records of the two methods alone, of all their variants.

    Args:
        records: any records.
        a: a row's title: a method, or a method with its changes as the tables show them.
        b: another.

    Raises:
        UnknownName: no record is of such a method; of the names that are known only methods'
            stand in the message, none with changes.
    """
    records = list(records)
    known = {record.method.name for record in records}
    methods = {_method(title) for title in (a, b)}
    for name in sorted(methods - known):
        raise UnknownName("method with records", name, known)
    return [record for record in records if record.method.name in methods]


def compare(
    found: Iterable[Table], a: str, b: str, correct: Correct | None = None
) -> list[CellComparison]:
    """Test two methods against each other, each pair of samples once.

    Args:
        found: the tables.
        a: a row's title: a method, or a method with its changes as the tables show them.
        b: another.
        correct: packed per-image correctness by trial id.

    Raises:
        UnknownName: no row has that title.
        InvalidValue: ``a`` is ``b``, or no table holds both on one architecture.
    """
    check_apart(a, b)
    found = list(found)
    rows = [row for table in found for row in table.rows]
    for name in (a, b):
        _check_title(name, rows)
    pairs = _pairs(found, a, b)
    if not pairs:
        raise InvalidValue(
            f"No table holds results of both {a!r} and {b!r}; run both on one dataset and budget."
        )
    tests = [welch(first.values, second.values) for (_, first, second), *_ in pairs]
    images = [compare_images(first, second, correct or {}) for (_, first, second), *_ in pairs]
    larger = [_larger(test, over) for test, over in zip(tests, images, strict=True)]
    tested = [p for p in larger if p is not None]
    adjusted = iter(holm(tested))
    return [
        CellComparison(
            keys=tuple(key for key, _, _ in meetings),
            a=meetings[0][1],
            b=meetings[0][2],
            test=test,
            images=over,
            adjusted_p=None if p is None else next(adjusted),
            family=len(tested),
        )
        for meetings, test, over, p in zip(pairs, tests, images, larger, strict=True)
    ]


def _method(title: str) -> str:
    """The method of a row's title."""
    return title.partition(" (")[0]


def _check_title(title: str, rows: Sequence[Row]) -> None:
    """Of an unknown variant its method's variants are told, of an unknown method the methods."""
    if any(row.title == title for row in rows):
        return
    variants = {row.title for row in rows if row.method == _method(title)}
    raise UnknownName("method with records", title, variants or {row.method for row in rows})


def _pairs(found: Iterable[Table], a: str, b: str) -> list[list[Meeting]]:
    """Where both methods have results on one architecture, by pair of samples."""
    pairs: dict[object, list[Meeting]] = {}
    for table in found:
        named = {(row.title, row.architecture): row for row in table.rows if row.values}
        for (title, architecture), first in named.items():
            second = named.get((b, architecture))
            if title == a and second is not None:
                meetings = pairs.setdefault((_sample(first), _sample(second)), [])
                meetings.append((table.key, first, second))
    return list(pairs.values())


def _sample(row: Row) -> object:
    """What tells a row's sample from others: which students they are, and how well they did."""
    trials = ((record, trial_of(record)) for record in row.records if record.status == "ok")
    return row.values, tuple(trial.evaluation_key if trial else own.id for own, trial in trials)


def _larger(test: Comparison, images: Comparison | None) -> float | None:
    """The p-value of a difference that must pass both tests."""
    if test.p is None or images is None or images.p is None:
        return test.p
    return max(test.p, images.p)
