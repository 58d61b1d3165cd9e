"""From the records of one table to its rows: one a method, set of parameters and architecture."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

from bench.files import canonical_json
from bench.recipes import LEFT_OUT
from bench.records import Cost, Record, Status
from bench.statistics import Summary, summarize
from leaderboard.provenance import SELF_REPORTED, Provenance, provenance

Changes = tuple[tuple[str, str], ...]


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
        rank: rank group in its table and architecture; ``None`` for ceilings and where fewer than
            two values allow no test.
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
    records: Iterable[Record], metric: str, measured: Measured, recipe: Mapping[str, Any]
) -> list[Row]:
    """The rows that these records of one table fill, ordered by method and architecture.

    Args:
        records: one record a trial.
        metric: which of the records' metrics is tabulated.
        measured: all good records of these trials, for the provenance.
        recipe: what the rules train students by, unless they vary it; ``{}`` where it is not known.
    """
    entries: dict[tuple[str, str], dict[_Settings, list[Record]]] = defaultdict(dict)
    for record in records:
        variants = entries[record.method.name, record.trial.architecture]
        variants.setdefault(_settings(record), []).append(record)
    return [
        _row(members, changes, metric, measured)
        for _, variants in sorted(entries.items())
        for members, changes in zip(variants.values(), _changes(variants, recipe), strict=True)
    ]


_Settings = tuple[tuple[str, str], ...]
"""Everything but the seed that decides a method's result in a table, as sorted texts."""


def _settings(record: Record) -> _Settings:
    values: dict[str, Any] = dict(record.method.parameters)
    values |= {f"recipe.{name}": value for name, value in (LEFT_OUT | record.recipe).items()}
    values["adapter-version"] = record.method.version
    values["distilled-with"] = record.trial.network
    values["pixels"] = record.dataset.preprocessing
    values["distilled-for"] = str(record.trial.distilled_for or "")
    values["merged-sets"] = 1 + len(record.trial.merged_seeds)
    return _texts(canonical_json(values))


@lru_cache(maxsize=4096)  # the trials of a row share one text
def _texts(values: str) -> _Settings:
    return tuple(sorted((name, _text(value)) for name, value in json.loads(values).items()))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _changes(
    variants: Mapping[_Settings, Sequence[Record]], recipe: Mapping[str, Any]
) -> list[Changes]:
    """For each variant of a method, what tells it from the preset and from the other variants.

    Of several presets (an adapter's versions, students whose recipe the rules vary, merged sets)
    *the* preset is that of the newest version, by ``recipe``, of the fewest sets, and last made.
    Where no record comes from an unchanged preset, the changes that the records state are shown.
    """
    stated = {settings: _stated_changes(members) for settings, members in variants.items()}
    presets = [settings for settings in variants if not stated[settings]]
    presets.sort(key=lambda settings: _precedence(variants[settings], recipe))
    preset = dict(presets[-1]) if presets else {}
    varying = _varying([dict(settings) for settings in variants])
    changes = []
    for settings in variants:
        own = dict(settings)
        if preset:
            names = {name for name in varying if own.get(name) != preset.get(name)}
        else:
            names = varying | stated[settings]
        changes.append(tuple((name, own.get(name, "unset")) for name in sorted(names)))
    return changes


def _precedence(members: Sequence[Record], recipe: Mapping[str, Any]) -> tuple[Any, ...]:
    """Orders presets; *the* preset is last."""
    first = members[0]
    newest = max(record.time for record in members)
    return first.method.version, first.recipe == recipe, -len(first.trial.merged_seeds), newest


def _varying(settings: Sequence[Mapping[str, str]]) -> set[str]:
    names = {name for own in settings for name in own}
    return {name for name in names if len({own.get(name) for own in settings}) > 1}


def _stated_changes(members: Sequence[Record]) -> set[str]:
    """Parameters that ``preset`` says were changed; none if any trial used the preset as it is."""
    stated = [
        {word.partition("=")[0] for word in record.method.preset.split() if "=" in word}
        & record.method.parameters.keys()
        for record in members
    ]
    return set.union(*stated) if all(stated) else set()


def _row(members: Sequence[Record], changes: Changes, metric: str, measured: Measured) -> Row:
    ordered = sorted(members, key=lambda r: (r.trial.evaluation_seed, r.trial.distillation_seed))
    good = [record for record in ordered if record.status == "ok" and metric in record.metrics]
    values = tuple(record.metrics[metric] for record in good)
    costs = [record.cost for record in good]
    first = ordered[0]
    summary = summarize(values) if values else None
    trials = [[r for r in measured[record.id] if metric in r.metrics] for record in good]
    return Row(
        method=first.method.name,
        changes=changes,
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
