"""Executors: where jobs run. Both hand every event to the caller, who alone writes records."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from bench.planning import Job

if TYPE_CHECKING:
    from bench.worker import Event, Settings

Handle = Callable[["Event"], None]
Died = Callable[[Job, str], None]


def run_here(jobs: Sequence[Job], settings: Settings, handle: Handle) -> None:
    """Run every job in this process, one after the other."""
    from bench.worker import run_job

    for job in jobs:
        run_job(job, settings, handle)


def run_in_processes(
    jobs: Sequence[Job], settings: Settings, handle: Handle, died: Died, workers: int
) -> None:
    """Run jobs in ``workers`` processes; each takes the next job when it is free.

    Args:
        jobs: what to do.
        settings: how a worker works.
        handle: called in this process with every event.
        died: called when a worker process ends in the middle of a job, with the reason.
        workers: how many processes.

    Raises:
        BenchError: what a worker met and the user must put right; the other workers are stopped.
    """
    waiting = deque(jobs)
    pool = [_Worker(settings) for _ in range(min(workers, len(jobs)))]
    try:
        for worker in pool:
            worker.take(waiting)
        while busy := [worker for worker in pool if worker.job is not None]:
            ready = set(wait([worker.connection for worker in busy]))
            for worker in busy:
                if worker.connection in ready:
                    worker.receive(handle, died)
                    worker.take(waiting)
    finally:
        for worker in pool:
            worker.stop()


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.job: Job | None = None
        self._start()

    def _start(self) -> None:
        # spawned, not forked: torch's threads and CUDA do not survive a fork
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, self.settings, os.getpid())
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def take(self, waiting: deque[Job]) -> None:
        """Give the worker its next job if it is idle."""
        if self.job is None and waiting:
            if not self.process.is_alive():
                self.stop()
                self._start()
            self.job = waiting.popleft()
            with suppress(OSError):  # it died this moment: receive will find the pipe's end
                self.connection.send(self.job)

    def receive(self, handle: Handle, died: Died) -> None:
        """Pass on one message of the worker."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            self.process.join()
            job, self.job = self.job, None
            if job is not None:
                died(job, _how_it_ended(self.process.exitcode))
            return
        if message is None:
            self.job = None
        elif isinstance(message, BaseException):
            raise message
        else:
            handle(message)

    def stop(self) -> None:
        """End the process; trials whose end was not received yet will be done again."""
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()
        self.connection.close()


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the worker process ended with exit code {code}"
    name = signal.Signals(-code).name
    guess = ", perhaps for lack of memory" if name == "SIGKILL" else ""
    return f"the worker process was ended by {name}{guess}"


def _serve(connection: Connection, settings: Settings, parent: int) -> None:
    """The worker process: do jobs until the parent hangs up."""
    from bench.errors import BenchError
    from bench.worker import run_job

    def tell(message: Event | BenchError | None) -> None:
        try:
            connection.send(message)
        except OSError:  # the parent is gone: nobody is left to work for, or to complain to
            os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            run_job(job, settings, tell)
            tell(None)
        except BenchError as error:
            tell(error)


def _follow(parent: int) -> None:
    """End this process when its parent has died, even by SIGKILL."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
