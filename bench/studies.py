"""A protocol's own tables, as plain data: torch is not imported here.

A study is made of records by a pure function, also of some of them while a run goes on. Pages, the
terminal and files show the same cells; :func:`text` writes one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from bench.cards import preset_of
from bench.statistics import Interval, Summary, cut, is_cut, summarize

if TYPE_CHECKING:
    from bench.records import Record

Kind = Literal["text", "percent", "points", "number", "seconds", "bytes"]

NONE = "–"

UNEVEN = 1.2
"""How many times as fast as another a machine may be without a word."""

CUT = "95 % intervals are cut to [0, 100]."
"""Said where a reader sees less of an interval than was computed."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's head and how its cells are written.

    Attributes:
        name: the head.
        kind: ``percent`` for fractions shown in percent, ``points`` for differences of fractions
            shown with their sign in percentage points, ``number`` for plain numbers, ``seconds``
            and ``bytes`` for what is shown in the unit that suits its size.
    """

    name: str
    kind: Kind = "text"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with what is known of its error.

    Attributes:
        value: the estimate.
        std: population standard deviation of what it is the mean of; ``None`` where it is no mean.
        interval: 95 %; ``None`` where it cannot be had.
        n: how many independent values it rests on.
    """

    value: float
    std: float | None = None
    interval: Interval | None = None
    n: int = 1

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate | None:
        """Mean, deviation and t-interval of repetitions; ``None`` of none."""
        return cls.from_summary(summarize(values)) if values else None

    @classmethod
    def from_summary(cls, summary: Summary) -> Estimate:
        """The same numbers."""
        return cls(value=summary.mean, std=summary.std, interval=summary.interval, n=summary.n)


Cell = Estimate | float | str | None


@dataclass(frozen=True, kw_only=True)
class Study:
    """One table.

    Attributes:
        title: what it shows, with what its rows have in common.
        columns: the heads.
        rows: one cell a column.
        notes: sentences below it: how it was made, what is missing.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Everything that a reader is told below the table."""
        cells = (pair for row in self.rows for pair in zip(row, self.columns, strict=True))
        shown_cut = any(_is_cut(cell, column.kind) for cell, column in cells)
        return (*self.notes, CUT) if shown_cut else self.notes

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: unrounded numbers, estimates as objects."""
        return {
            "title": self.title,
            "columns": [{"name": column.name, "kind": column.kind} for column in self.columns],
            "rows": [[_plain(cell) for cell in row] for row in self.rows],
            "notes": list(self.notes),
        }

    def texts(self) -> list[list[str]]:
        """The rows as a reader sees them."""
        return [
            [text(cell, column.kind) for cell, column in zip(row, self.columns, strict=True)]
            for row in self.rows
        ]


@dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """What a protocol ranks architectures against.

    Attributes:
        title: where it comes from, as a phrase: ``6 epochs on the whole training set``.
        accuracies: fractions in [0, 1], by architecture.
    """

    title: str
    accuracies: Mapping[str, float]


def _plain(cell: Cell) -> Any:
    if not isinstance(cell, Estimate):
        return cell
    interval = list(cell.interval) if cell.interval else None
    return {"value": cell.value, "std": cell.std, "interval": interval, "n": cell.n}


def _is_cut(cell: Cell, kind: Kind) -> bool:
    """Whether :func:`text` shows less of an interval than there is."""
    return isinstance(cell, Estimate) and kind == "percent" and is_cut(cell.interval)


def text(cell: Cell, kind: Kind) -> str:
    """A cell as a reader sees it: ``71.2 ± 7.4 [64.0, 78.4]``.

    In percent, the interval is cut to what a fraction can be.
    """
    if cell is None:
        return NONE
    if isinstance(cell, str):
        return cell
    if not isinstance(cell, Estimate):
        return _number(cell, kind)
    parts = [_number(cell.value, kind)]
    if cell.std is not None and cell.n > 1:
        parts.append(f"± {_number(cell.std, _unsigned(kind))}")
    if cell.interval is not None:
        bounds = cut(cell.interval) if kind == "percent" else cell.interval
        low, high = (_number(end, kind) for end in bounds)
        parts.append(f"[{low}, {high}]")
    return " ".join(parts)


def _unsigned(kind: Kind) -> Kind:
    return "percent" if kind == "points" else kind


def _number(value: float, kind: Kind) -> str:
    if kind == "percent":
        return f"{100 * value:.1f}"
    if kind == "points":
        return f"{100 * value:+.1f}"
    if kind == "seconds":
        return duration(value)
    if kind == "bytes":
        return size(value)
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def duration(seconds: float) -> str:
    """A time in the largest unit that leaves a number of at least one: ``4.2 min``."""
    for unit, length in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= length:
            return f"{_short(seconds / length)} {unit}"
    if seconds == 0:
        return "0 s"
    return f"{_short(1000 * seconds)} ms" if seconds >= 0.001 else "< 1 ms"


def size(count: float) -> str:
    """Bytes in decimal units: ``1.2 MB``."""
    for unit, length in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= length:
            return f"{_short(count / length)} {unit}"
    return f"{count:.0f} B"


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 trial``, ``2 trials``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def variant(record: Record) -> str:
    """The method as a study's rows name it: what a user changed makes it another one.

    ``dm``, ``dm (lr_images=5.0)``, ``dm v2`` for the second version of the adapter. Presets for
    tiers, datasets and budgets belong to the method and are not told apart.
    """
    method, changes = record.method, changed(record)
    name = method.name if method.version == 1 else f"{method.name} v{method.version}"
    return f"{name} ({', '.join(changes)})" if changes else name


def changed(record: Record) -> list[str]:
    """What is not the preset's, ``name=value``: parameters, and a precision other than ``fp32``.

    Where the method is not installed as it was then, those that the record states were changed.
    """
    own, preset = record.method.parameters, preset_of(record)
    if preset is None:
        changes = record.method.preset.split()[1:]  # the first word is the tier
    else:
        changes = [f"{name}={own[name]}" for name in sorted(own) if own[name] != preset[name]]
    precision = record.recipe.get("precision", "fp32")
    return changes if precision == "fp32" else [*changes, f"precision={precision}"]


def accuracies(records: Iterable[Record]) -> list[float]:
    """Accuracy of every trial that ended well."""
    return [record.metrics["accuracy"] for record in records if record.status == "ok"]


def mishaps(records: Iterable[Record]) -> tuple[str, ...]:
    """A sentence for each way in which trials ended other than well: ``dm: 2 × diverged, …``."""
    ends = Counter(
        (variant(record), record.status, record.reason)
        for record in records
        if record.status != "ok"
    )
    return tuple(
        f"{name}: {count} × {status}{f', {reason}' if reason else ''}."
        for (name, status, reason), count in sorted(ends.items())
    )


def machines(records: Iterable[Record]) -> tuple[str, ...]:
    """A sentence where distillations were timed on machines whose times do not compare.

    These are several devices, or one that was not equally fast for all methods: its calibration
    kernel tells. Records that do not say where stand for the machine that trained their student.
    """
    kernels: dict[str, list[float]] = defaultdict(list)
    devices: set[str] = set()
    made = [record for record in records if record.cost.distill]
    for record in made:
        for place in record.cost.distilled_on or (record.environment,):
            devices.add(place.device)
            kernels[variant(record)].append(place.calibration_seconds)
    if len(devices) > 1:
        return (f"Distillations were timed on several devices: {', '.join(sorted(devices))}.",)
    told = unequal((median(found), f"when {name} was distilled") for name, found in kernels.items())
    return (f"Distillations were timed on an unequally loaded machine: {told}",) if told else ()


def unequal(kernels: Iterable[tuple[float, str]]) -> str:
    """How far calibration kernels lie apart, one fixed piece of work timed in every run.

    Args:
        kernels: median seconds, each with when it was timed.

    Returns:
        The rest of a sentence; ``""`` where no machine was much faster than another.
    """
    found = sorted(kernels)
    if not found or found[-1][0] <= UNEVEN * found[0][0]:
        return ""
    fast, slow = (f"{duration(time)} {when}" for time, when in (found[0], found[-1]))
    return f"the calibration kernel took {fast} and {slow} (medians)."
