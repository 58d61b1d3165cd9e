"""What ``bench run`` shows on stderr while it works: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from bench.planning import Job
from bench.records import Record

if TYPE_CHECKING:
    from bench.worker import Event


class Display:
    """One bar for the whole run and one for each job at work, with time left and metrics.

    Args:
        jobs: what is to be done.
        weights: expected seconds of each job by key; time left follows these.
    """

    def __init__(self, jobs: tuple[Job, ...], weights: Mapping[str, float]) -> None:
        self.console = Console(stderr=True)
        self._jobs = {job.distillation.key: job for job in jobs}
        self._weights = weights
        self._left = {key: len(job.trials) for key, job in self._jobs.items()}
        self._bars: dict[str, TaskID] = {}
        self._trials = sum(self._left.values())
        self._ended = 0
        self._start = time.monotonic()
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
        self._all = self._progress.add_task(
            f"{self._trials} trials", total=sum(map(self._weight, self._jobs)), metrics=""
        )

    def _weight(self, key: str) -> float:
        return self._weights.get(key) or 1.0

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

    def __call__(self, event: Event) -> None:
        """Show an event."""
        from bench.worker import Finished

        if isinstance(event, Finished):
            self._finished(event.job, event.record)
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

    def _title(self, key: str) -> str:
        plan = self._jobs[key].distillation
        return escape(f"{plan.method} {plan.dataset} {plan.budget} seed {plan.seed}")

    def _bar(self, key: str) -> TaskID:
        if key not in self._bars:
            self._bars[key] = self._progress.add_task(f"  {self._title(key)}", metrics="")
        return self._bars[key]

    def _finished(self, key: str, record: Record) -> None:
        self._ended += 1
        self._left[key] -= 1
        share = self._weight(key) / len(self._jobs[key].trials)
        self._progress.update(
            self._all, advance=share, description=f"{self._ended}/{self._trials} trials"
        )
        if not self._left[key] and key in self._bars:
            self._progress.remove_task(self._bars.pop(key))
        if record.status != "ok":
            self.console.print(
                f"[yellow]{record.status}[/] {self._title(key)}: {escape(record.reason)}"
            )
        elif not self.console.is_terminal and not self._left[key]:
            accuracy = 100 * record.metrics.get("accuracy", float("nan"))
            elapsed = time.monotonic() - self._start
            self.console.print(
                f"{self._ended}/{self._trials} trials, {elapsed:.0f} s: {self._title(key)}: "
                f"{accuracy:.1f} %",
                highlight=False,
            )


@contextmanager
def students(count: int, epochs: int) -> Iterator[Callable[[str, int, int], None]]:
    """A bar over ``count`` students of ``epochs`` each, for calls that report by epoch."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TimeLeftColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task(f"{count} students", total=count * epochs)

        def report(what: str, done: int, total: int) -> None:
            progress.advance(bar)

        yield report
