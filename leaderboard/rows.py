"""From the records of one table to its rows: one a method, set of parameters and architecture."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.files import canonical_json
from bench.planning import Rules
from bench.recipes import LEFT_OUT
from bench.records import Cost, Record, Status
from bench.statistics import Summary, summarize
from leaderboard.changes import RULED, Changes, Settings, changes, is_ruled, settings
from leaderboard.provenance import SELF_REPORTED, Provenance, provenance


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Cost of one phase over a row's trials: median seconds, greatest peak."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Mishap:
    """Trials that ended in the same way, other than well."""

    status: Status
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method with one set of parameters on one architecture.

    Attributes:
        method: the method's name.
        changes: settings that differ from the method's preset, with their values as texts; ``()``
            for the preset itself.
        architecture: the students' network.
        network: what the method distils with.
        ceiling: trained on the whole training set: a reference, never ranked.
        seeds: evaluation seeds of the trials with a result, ascending.
        values: their results, in the order of ``seeds``; unrounded.
        summary: statistics of ``values``; ``None`` where there are none.
        labels: kinds of labels handed over.
        stored_bytes: bytes to keep in order to train from the result again.
        prepare: cost ahead of the distillation, for example of expert buffers.
        distill: cost of the distillation.
        evaluate: cost of one student.
        mishaps: what ended other than well.
        records: the records that count, whatever their status.
        provenance: whether anybody else has measured the same.
        rank: rank group in its table and league; ``None`` for ceilings, for variants, where fewer
            than two values allow no test, and without a rival.
    """

    method: str
    changes: Changes
    architecture: str
    network: str
    ceiling: bool
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    summary: Summary | None
    labels: tuple[str, ...]
    stored_bytes: int | None
    prepare: Phase | None
    distill: Phase | None
    evaluate: Phase | None
    mishaps: tuple[Mishap, ...]
    records: tuple[Record, ...]
    provenance: Provenance = SELF_REPORTED
    rank: int | None = None

    @property
    def title(self) -> str:
        """The method and its changes; no two rows of a table and architecture share one."""
        changed = ", ".join(f"{name}={value}" for name, value in self.changes)
        return f"{self.method} ({changed})" if changed else self.method

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The method's full parameters."""
        return self.records[0].method.parameters

    @property
    def recipe(self) -> Mapping[str, Any]:
        """How the students were trained."""
        return self.records[0].recipe

    @property
    def is_variant(self) -> bool:
        """Whether anything but the rules changed the method; variants are never ranked."""
        return not all(is_ruled(name) for name, _ in self.changes)

    @property
    def league(self) -> str:
        """What rows that are ranked together share: network, recipe and number of merged sets.

        In the native track every method has a recipe of its own, so there only those fields count
        that the rules change.
        """
        shared: dict[str, Any] = {name: value for name, value in self.changes if is_ruled(name)}
        if self.records[0].trial.track == "standard":
            beside = {name: value for name, value in shared.items() if name in RULED}
            shared = {**LEFT_OUT, **self.recipe, **beside}
        shared.pop("precision", None)  # another one makes a variant
        return canonical_json([self.architecture, shared])

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices that the trials ran on, sorted."""
        return tuple(sorted({record.environment.device for record in self.records}))

    @property
    def distilled_on(self) -> tuple[str, ...]:
        """Devices that preparation and distillation were timed on, as far as known, sorted."""
        costs = (record.cost for record in self.records)
        return tuple(sorted({where.device for cost in costs for where in cost.distilled_on}))


Measured = Mapping[str, Sequence[Record]]
"""Every record of a trial that went well, by trial id."""


def rows(
    records: Iterable[Record], metric: str, measured: Measured, rules: Rules | None
) -> list[Row]:
    """The rows that these records of one table fill, ordered by method and architecture.

    Args:
        records: one record a trial.
        metric: which of the records' metrics is tabulated.
        measured: all good records of these trials, for the provenance.
        rules: those that the records were made under; ``None`` where they are not at hand.
    """
    entries: dict[tuple[str, str], dict[Settings, list[Record]]] = defaultdict(dict)
    for record in records:
        variants = entries[record.method.name, record.trial.architecture]
        variants.setdefault(settings(record), []).append(record)
    return [
        _row(members, changed, metric, measured)
        for _, variants in sorted(entries.items())
        for members, changed in zip(variants.values(), changes(variants, rules), strict=True)
    ]


def _row(members: Sequence[Record], changed: Changes, metric: str, measured: Measured) -> Row:
    ordered = sorted(members, key=lambda r: (r.trial.evaluation_seed, r.trial.distillation_seed))
    good = [record for record in ordered if record.status == "ok" and metric in record.metrics]
    values = tuple(record.metrics[metric] for record in good)
    costs = [record.cost for record in good]
    first = ordered[0]
    summary = summarize(values) if values else None
    trials = [[r for r in measured[record.id] if metric in r.metrics] for record in good]
    return Row(
        method=first.method.name,
        changes=changed,
        architecture=first.trial.architecture,
        network=first.trial.network,
        ceiling=first.trial.budget.kind == "full",
        seeds=tuple(record.trial.evaluation_seed for record in good),
        values=values,
        summary=summary,
        labels=tuple(sorted({record.labels for record in good if record.labels})),
        stored_bytes=max(
            (cost.stored_bytes for cost in costs if cost.stored_bytes is not None), default=None
        ),
        prepare=_phase(cost.prepare for cost in costs),
        distill=_phase(cost.distill for cost in costs),
        evaluate=_phase(cost.evaluate for cost in costs),
        mishaps=_mishaps(ordered),
        records=tuple(ordered),
        provenance=provenance(trials, metric),
    )


def _phase(costs: Iterable[Cost | None]) -> Phase | None:
    known = [cost for cost in costs if cost is not None]
    if not known:
        return None
    return Phase(
        seconds=median(cost.seconds for cost in known),
        peak_bytes=max(cost.peak_bytes for cost in known),
    )


def _mishaps(records: Sequence[Record]) -> tuple[Mishap, ...]:
    ends = Counter((record.status, record.reason) for record in records if record.status != "ok")
    return tuple(
        Mishap(status=status, reason=reason, count=count)
        for (status, reason), count in sorted(ends.items())
    )
