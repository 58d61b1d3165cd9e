"""Where a row's numbers come from, derived from its records alone.

The *report* of a trial is its oldest good record. A *machine* is a device, a platform and a torch
version; an *origin* is a machine and a commit. Records of uncommitted code say nothing here, as a
report or as a repetition. A row is

- ``reproduced`` once for every machine, other than that of the reports, that repeated at least two
  of its trials and agreed: the mean of the absolute differences from the reports, trial by trial,
  is no larger than one point. How far the row's seeds lie apart is no excuse: a repeated trial has
  the seed of its report;
- ``re-run`` where other machines repeated a trial and none agreed on two, or where other commits
  did so on the machine of the reports;
- ``repeated`` where no other machine tried, and other commits agreed on the machine of the reports:
  that shows that the code still does the same, not that others find the same;
- ``self-reported`` where nothing was repeated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal

from bench.records import Record

Machine = tuple[str, str, str]
Origin = tuple[str, str, str, str]

LEAST_TRIALS = 2
"""Trials that a reproduction repeats at least."""

TOLERANCE = 0.01
"""Mean absolute differences up to one point agree."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a row's numbers come from.

    Attributes:
        kind: see the top of this module.
        times: how often the row was reproduced.
        repeated: how many other commits agreed on the machine of the reports, whatever the kind.
    """

    kind: Literal["self-reported", "repeated", "re-run", "reproduced"] = "self-reported"
    times: int = 0
    repeated: int = 0


SELF_REPORTED = Provenance()

ANY = ""
"""Stands for the commit where it does not matter."""


def machine(record: Record) -> Machine:
    """What must differ for a repetition to count as independent."""
    ran = record.environment
    return ran.torch, ran.device, ran.platform


def origin(record: Record) -> Origin:
    """What must differ for a repetition to be a measurement of its own."""
    return record.environment.commit, *machine(record)


def provenance(trials: Iterable[Sequence[Record]], metric: str) -> Provenance:
    """Derive a row's provenance.

    Args:
        trials: for each trial its good records, all of them.
        metric: which of their metrics is compared.
    """
    differences: dict[Origin, list[float]] = defaultdict(list)
    for measured in trials:
        committed = [record for record in measured if record.environment.committed]
        if not committed:
            continue
        report, *later = sorted(committed, key=lambda record: record.time)
        latest = {_from(report, record): record.metrics[metric] for record in later}
        for where, value in latest.items():
            if where != origin(report):
                differences[where].append(value - report.metrics[metric])
    agreed = [where[0] == ANY for where, found in differences.items() if _agrees(found)]
    times, repeated = agreed.count(True), agreed.count(False)
    if times:
        return Provenance(kind="reproduced", times=times, repeated=repeated)
    if repeated and all(commit != ANY for commit, *_ in differences):
        return Provenance(kind="repeated", repeated=repeated)
    return Provenance(kind="re-run" if differences else "self-reported", repeated=repeated)


def _from(report: Record, record: Record) -> Origin:
    """A record's origin as its report sees it: of other machines the commit does not matter."""
    same = machine(record) == machine(report)
    return (record.environment.commit if same else ANY, *machine(record))


def _agrees(differences: Sequence[float]) -> bool:
    enough = len(differences) >= LEAST_TRIALS
    return enough and fsum(map(abs, differences)) / len(differences) <= TOLERANCE
