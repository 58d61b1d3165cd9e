"""Signs of life for logs: a line when a phase begins, and now and then how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.studies import duration

CALM_SECONDS = 10.0
"""A phase that begins sooner than this after another line is told of later, if it still goes on."""

PULSE_SECONDS = 180.0
"""No longer than this without a line, as long as there is news."""


@dataclass
class _Phase:
    """Where a phase was when it was first heard of: its pace is counted from there."""

    began: float
    first: int
    last: int
    told: bool = False


class Pulse:
    """Decides which progress deserves a line.

    Args:
        clock: seconds since any moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phases: dict[tuple[str, str], _Phase] = {}
        self._spoke = -float("inf")

    def spoke(self) -> None:
        """Note that some other line was written now."""
        self._spoke = self._clock()

    def line(self, job: str, phase: str, done: int, total: int) -> str | None:
        """What to say of this progress: ``distill, 300/1000, about 4.2 min left``; mostly nothing.

        Args:
            job: what the phase belongs to.
            phase: what is being done.
            done: of ``total`` steps; fewer than before where a phase is done once more.
            total: steps of the whole phase.
        """
        now = self._clock()
        found = self._phases.get((job, phase))
        if found is None or done < found.last:
            told = found is not None and found.told
            found = self._phases[job, phase] = _Phase(now, done, done, told)
        found.last = done
        if now - self._spoke < (PULSE_SECONDS if found.told else CALM_SECONDS):
            return None
        found.told, self._spoke = True, now
        return f"{phase}, {done}/{total}{_left(found, now, total)}"


def _left(phase: _Phase, now: float, total: int) -> str:
    done = phase.last - phase.first
    if done == 0 or phase.last >= total:
        return ""
    return f", about {duration((now - phase.began) / done * (total - phase.last))} left"
