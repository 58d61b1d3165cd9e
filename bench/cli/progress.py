"""What ``bench run`` shows on stderr while it works: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from bench.cli.outcome import console
from bench.cli.pulse import Pulse
from bench.planning import Job
from bench.records import Record
from bench.studies import counted, duration

if TYPE_CHECKING:
    from bench.worker import Event


INTERIM_SECONDS = 60.0
"""Time between two tables where there are no bars to see that something happens."""

CALM_SECONDS = 10.0
"""No table sooner than this after another, or after the start."""


class Display:
    """One bar for the whole run and one for each job at work, with time left and metrics.

    Args:
        jobs: what is to be done.
        weights: expected seconds of each trial by id; time left follows these.
        so_far: makes the tables of what has come in; they are shown when a method is done, now and
            then where there is no terminal, and when the user interrupts the run.
    """

    def __init__(
        self,
        jobs: tuple[Job, ...],
        weights: Mapping[str, float],
        so_far: Callable[[list[Record]], RenderableType] | None = None,
    ) -> None:
        self.console = console(stderr=True)
        self._jobs = {job.distillation.key: job for job in jobs}
        self._weights = weights
        self._so_far = so_far
        self._left = {key: len(job.trials) for key, job in self._jobs.items()}
        self._left_of = Counter(trial.method for job in jobs for trial in job.trials)
        self._bars: dict[str, TaskID] = {}
        self._trials = sum(self._left.values())
        self._records: list[Record] = []
        self._start = self._last_tables = time.monotonic()
        self._pulse = Pulse()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TimeLeftColumn(),
            TextColumn("[dim]{task.fields[metrics]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        total = sum(self._weight(trial.id) for job in jobs for trial in job.trials)
        self._all = self._progress.add_task(counted(self._trials, "trial"), total=total, metrics="")

    def _weight(self, trial_id: str) -> float:
        return max(self._weights.get(trial_id, 1.0), 0.01)  # never nothing: a bar of zeros is full

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        if kind is KeyboardInterrupt and self._records:
            self._show_tables()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        from bench.worker import Finished

        if isinstance(event, Finished):
            self._finished(event.job, event.record)
            return
        if not self.console.is_terminal:
            said = self._pulse.line(event.job, event.phase, event.done, event.total)
            if said:
                self._say(f"{self._title(event.job)}: {escape(said)}")
            return
        bar = self._bar(event.job)
        metrics = "  ".join(f"{name} {value:.4g}" for name, value in event.metrics.items())
        self._progress.update(
            bar,
            description=f"  {self._title(event.job)}: {escape(event.phase)}",
            completed=event.done,
            total=event.total,
            metrics=metrics,
        )

    @property
    def ended(self) -> int:
        """How many trials have ended so far."""
        return len(self._records)

    def _count(self) -> str:
        return f"{self.ended}/{counted(self._trials, 'trial')}"

    def _say(self, what: str) -> None:
        """A line for a log."""
        elapsed = duration(time.monotonic() - self._start)
        self.console.print(f"{self._count()}, {elapsed}: {what}", highlight=False, soft_wrap=True)
        self._pulse.spoke()

    def _title(self, key: str) -> str:
        plan = self._jobs[key].distillation
        return escape(f"{plan.method} {plan.dataset} {plan.budget} seed {plan.seed}")

    def _bar(self, key: str) -> TaskID:
        if key not in self._bars:
            self._bars[key] = self._progress.add_task(f"  {self._title(key)}", metrics="")
        return self._bars[key]

    def _finished(self, key: str, record: Record) -> None:
        self._records.append(record)
        self._left[key] -= 1
        self._left_of[record.method.name] -= 1
        self._progress.update(
            self._all,
            advance=self._weight(record.id),
            description=self._count(),
        )
        if not self._left[key] and key in self._bars:
            self._progress.remove_task(self._bars.pop(key))
        if record.status != "ok":
            self.console.print(
                f"[yellow]{record.status}[/] {self._title(key)}: {escape(record.reason)}"
            )
        elif not self.console.is_terminal and not self._left[key]:
            accuracy = 100 * record.metrics.get("accuracy", float("nan"))
            self._say(f"{self._title(key)}: {accuracy:.1f} %")
        if self.ended < self._trials and self._tables_are_due(record.method.name):
            self._show_tables()

    def _tables_are_due(self, method: str) -> bool:
        """Whether the trial that just ended, one of ``method``, calls for tables."""
        calm = time.monotonic() - self._last_tables
        overdue = not self.console.is_terminal and calm >= INTERIM_SECONDS
        return overdue or (not self._left_of[method] and calm >= CALM_SECONDS)

    def _show_tables(self) -> None:
        if self._so_far is not None:
            self.console.print(self._so_far(self._records))
            self._last_tables = time.monotonic()


@contextmanager
def students(count: int, epochs: int) -> Iterator[Callable[[str, int, int], None]]:
    """A bar over ``count`` students of ``epochs`` each, for calls that report by epoch."""
    out = console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TimeLeftColumn(),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    ) as progress:
        bar = progress.add_task(counted(count, "student"), total=count * epochs)
        pulse = Pulse()

        def report(what: str, done: int, total: int) -> None:
            progress.advance(bar)
            ended = int(progress.tasks[bar].completed)
            said = pulse.line("", f"epochs of {counted(count, 'student')}", ended, count * epochs)
            if said and not out.is_terminal:
                out.print(said, highlight=False)

        yield report
