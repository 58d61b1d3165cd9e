"""Where a row's numbers come from, derived from its records alone.

The *report* of a trial is its oldest good record. An *origin* is a commit, a torch version, a
device and a platform. A row is

- ``self-reported`` while no trial has a good record of another origin than its report;
- ``reproduced`` once for every other origin that repeated at least two of its trials and agreed:
  the mean of the differences from the reports, trial by trial, is no larger than one point. How far
  the row's seeds lie apart is no excuse: a repeated trial has the seed of its report;
- ``re-run`` where another origin repeated a trial and none agreed on two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal

from bench.records import Record

Origin = tuple[str, str, str, str]

LEAST_TRIALS = 2
"""Trials that a reproduction repeats at least."""

TOLERANCE = 0.01
"""Mean differences up to one point agree."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a row's numbers come from.

    Attributes:
        kind: see the top of this module.
        times: how often the row was reproduced.
    """

    kind: Literal["self-reported", "re-run", "reproduced"] = "self-reported"
    times: int = 0


SELF_REPORTED = Provenance()


def origin(record: Record) -> Origin:
    """What must differ for a repetition to count as independent."""
    ran = record.environment
    return ran.commit, ran.torch, ran.device, ran.platform


def provenance(trials: Iterable[Sequence[Record]], metric: str) -> Provenance:
    """Derive a row's provenance.

    Args:
        trials: for each trial its good records, all of them.
        metric: which of their metrics is compared.
    """
    differences: dict[Origin, list[float]] = defaultdict(list)
    for measured in trials:
        report, *later = sorted(measured, key=lambda record: record.time)
        repeated = {origin(record): record.metrics[metric] for record in later}
        for where, value in repeated.items():
            if where != origin(report):
                differences[where].append(value - report.metrics[metric])
    times = sum(map(_agrees, differences.values()))
    if times:
        return Provenance(kind="reproduced", times=times)
    return Provenance(kind="re-run" if differences else "self-reported")


def _agrees(differences: Sequence[float]) -> bool:
    enough = len(differences) >= LEAST_TRIALS
    return enough and abs(fsum(differences)) / len(differences) <= TOLERANCE
