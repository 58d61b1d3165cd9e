"""Profile records as works: a phase of a method with all its parameters, and every figure of it.

Figures may be compared where they are of one work. The latest record of a work, kind and device
counts; measured and forecast figures stay apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

from bench.files import canonical_json
from bench.profiling import catalogue
from bench.profiling.records import PHASES, Kind, Phase, ProfileRecord
from bench.specs import Budget
from bench.trials import Tier
from leaderboard import wording

_Key = tuple["Place", str, int, str, Phase]
"""Place, method, version, parameters as text, phase."""


@dataclass(frozen=True, kw_only=True, order=True)
class Place:
    """Where figures may stand side by side: one set of rules, one cell."""

    protocol: str
    version: int
    protocol_hash: str
    tier: Tier
    dataset: str
    budget: Budget
    network: str

    @property
    def title(self) -> str:
        """``efficiency v1, paper tier: cifar100, ipc 50, convnet-d3``."""
        rules = f"{self.protocol} v{self.version}, {self.tier} tier"
        return f"{rules}: {self.dataset}, {self.budget}, {self.network}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """One phase of one method in one place.

    Attributes:
        place: rules, dataset, budget and network.
        method: the method's name.
        version: of its adapter.
        parameters: all of them.
        changes: those in which the works of the method differ in this place.
        phase: ``prepare``, ``distill`` or ``evaluate``.
        figures: the record that counts by kind and device.
    """

    place: Place
    method: str
    version: int
    parameters: Mapping[str, Any]
    changes: tuple[tuple[str, Any], ...]
    phase: Phase
    figures: Mapping[tuple[Kind, str], ProfileRecord]

    @property
    def title(self) -> str:
        """``tesla (matching_steps=10)``; safe for a terminal."""
        return named(self.method, self.version, self.changes)

    @property
    def forecast_peak(self) -> int | None:
        """Bytes of the allocator's peak on any CUDA device, by the latest forecast."""
        made = [record for (kind, _), record in self.figures.items() if kind == "forecast"]
        return max(made, key=_age).peak_bytes if made else None


def works(records: Iterable[ProfileRecord]) -> list[Work]:
    """The works that records are figures of, in a fixed order whatever the order of the records."""
    figures: dict[_Key, dict[tuple[Kind, str], ProfileRecord]] = defaultdict(dict)
    for record in sorted(records, key=_age):
        figures[_key(record)][record.kind, device(record)] = record
    found: list[Work] = []
    for _, group in groupby(sorted(figures), key=lambda key: key[:3]):
        members = [figures[key] for key in group]
        differing = varying([_any(counting).parameters for counting in members])
        found += sorted((_work(counting, differing) for counting in members), key=_order)
    return found


def devices(members: Iterable[Work], kind: Kind) -> list[str]:
    """The devices that works have figures of a kind for, by name."""
    return sorted({name for work in members for own, name in work.figures if own == kind})


def named(method: str, version: int, changes: Sequence[tuple[str, Any]]) -> str:
    """A method as a row or a curve names it; safe for a terminal, and of bounded length."""
    name = method if version == 1 else f"{method} v{version}"
    settings = ", ".join(f"{key}={value}" for key, value in changes)
    return wording.plain(f"{name} ({settings})" if settings else name)


def varying(members: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names whose values are not the same in all members; one that is missing differs."""
    texts = [{name: canonical_json(value) for name, value in m.items()} for m in members]
    names = {name for member in texts for name in member}
    return sorted(name for name in names if len({member.get(name) for member in texts}) > 1)


def device(record: ProfileRecord) -> str:
    """The device by its name in the catalogue where it has one, and what it was capped to."""
    name = _catalogued().get(record.device, record.device)
    return f"{name} capped to {record.emulated}" if record.emulated else name


@cache
def _catalogued() -> dict[str, str]:
    """Names of the catalogue by what drivers call the devices."""
    return {d.cuda_name: name for name, d in catalogue.devices().items() if d.cuda_name}


def _key(record: ProfileRecord) -> _Key:
    place = Place(
        protocol=record.protocol,
        version=record.version,
        protocol_hash=record.protocol_hash,
        tier=record.tier,
        dataset=record.dataset,
        budget=record.budget,
        network=record.network,
    )
    parameters = canonical_json(record.parameters)
    return place, record.method, record.method_version, parameters, record.phase


def _work(counting: Mapping[tuple[Kind, str], ProfileRecord], differing: Iterable[str]) -> Work:
    """The work of records that share everything but kind and device."""
    one = _any(counting)
    return Work(
        place=_key(one)[0],
        method=one.method,
        version=one.method_version,
        parameters=one.parameters,
        changes=tuple((n, one.parameters[n]) for n in differing if n in one.parameters),
        phase=one.phase,
        figures=dict(sorted(counting.items())),
    )


def _any(counting: Mapping[tuple[Kind, str], ProfileRecord]) -> ProfileRecord:
    return next(iter(counting.values()))


def _age(record: ProfileRecord) -> tuple[str, str]:
    """Latest last; two of one second in an order of their own."""
    return record.time, canonical_json(record.as_dict())


def _order(work: Work) -> tuple[list[tuple[bool, float, str]], int]:
    """By changed values, numbers by size, then by phase."""
    values = [value for _, value in work.changes]
    numeric = [isinstance(value, int | float) for value in values]
    keys = [
        (not is_number, value if is_number else 0.0, "" if is_number else str(value))
        for value, is_number in zip(values, numeric, strict=True)
    ]
    return keys, PHASES.index(work.phase)
