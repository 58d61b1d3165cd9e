"""Run one contributed trial again, the cheapest there is, and hold the two results together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.records import Record
from leaderboard.validation import trial_of

if TYPE_CHECKING:
    from bench.worker import Event


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """A trial's result as it was stated, and as it came out here.

    Attributes:
        stated: the contributed record.
        measured: the record of this machine.
    """

    stated: Record
    measured: Record

    @property
    def difference(self) -> float | None:
        """Accuracy measured here minus accuracy stated; ``None`` where either has none."""
        new = self.measured.metrics.get("accuracy")
        old = self.stated.metrics.get("accuracy")
        return None if new is None or old is None else new - old


def cheapest(records: Iterable[Record]) -> Record | None:
    """The good record that states the least seconds; ``None`` where none is good.

    What is stated may be wrong: it decides what is run again, never what is believed.
    """
    good = (record for record in records if record.status == "ok")
    return min(good, key=lambda record: (_seconds(record), record.id), default=None)


def _seconds(record: Record) -> float:
    cost = record.cost
    phases = (cost.prepare, cost.distill, cost.evaluate)
    return sum(phase.seconds for phase in phases if phase is not None)


def rerun(stated: Record, data_root: Path | None = None) -> Repetition:
    """Run the trial of a record from nothing, on this machine's CPU.

    Args:
        stated: a record whose id fits its coordinates.
        data_root: where real data lie.

    Raises:
        BenchError: its dataset, method or protocol is not here.
        ValueError: its coordinates are no trial's.
    """
    from bench.executors import run_here
    from bench.planning import jobs
    from bench.worker import Finished, Settings

    trial = trial_of(stated)
    if trial is None:
        raise ValueError(f"The coordinates of record {stated.id} are no trial's.")
    ended: list[Record] = []

    def handle(event: Event) -> None:
        if isinstance(event, Finished):
            ended.append(event.record)

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            store=Path(folder),
            data_root=data_root,
            references={stated.trial.dataset: stated.trial.dataset},
            device="cpu",
            threads=1,
        )
        run_here(jobs([trial]), settings, handle)
    (measured,) = ended
    return Repetition(stated=stated, measured=measured)
