"""The local executor: worker processes of this machine, each on its own device."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from bench.executors.graph import Agenda, Node
from bench.failures import Failed
from bench.planning import Job

if TYPE_CHECKING:
    from bench.worker import Emit, Event, Settings

Handle = Callable[[Sequence["Event"]], None]
"""Takes up events that have come in together, in their order: they are recorded at one go."""

Perform = Callable[[Node, "Settings", "Emit", Mapping[str, Failed]], Failed | None]
"""What a worker does with a node: :func:`bench.worker.perform`."""

Lost = Callable[[Node, Failed], None]

QUIET_SECONDS = 0.005
"""After this time without news, what has come is taken up."""

LONGEST_SECONDS = 0.1
"""Time between two takings while news keep coming."""


def run_here(jobs: Sequence[Job], settings: Settings, handle: Emit) -> None:
    """Run every job in this process, one after the other."""
    from bench.worker import run_job

    for job in jobs:
        run_job(job, settings, handle)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Worker processes.

    Attributes:
        workers: how many.
        masks: what ``CUDA_VISIBLE_DEVICES`` says to one worker after the other, in turn; ``()`` to
            leave it alone.
        timeout: seconds after which a piece of work that has not ended is given up, and its process
            killed.
    """

    workers: int
    masks: tuple[str, ...] = ()
    timeout: float | None = None

    def run(
        self, agenda: Agenda, settings: Settings, perform: Perform, handle: Handle, lost: Lost
    ) -> None:
        """Do everything on ``agenda``; each worker takes the next piece when it is free.

        Args:
            agenda: what to do.
            settings: how a worker works.
            perform: what a worker does with a node.
            handle: called in this process with all events.
            lost: called with a node whose worker was lost, and how.

        Raises:
            BenchError: what a worker met and the user must put right; the others are stopped.
        """
        pool = [_Worker(self, index, settings, perform) for index in range(self.workers)]
        inbox = _Inbox(handle)
        try:
            while agenda or any(worker.node for worker in pool):
                for worker in pool:
                    worker.take(agenda)
                busy = [worker for worker in pool if worker.node is not None]
                left = min(worker.seconds_left() for worker in busy)
                ready = _ready(busy, min(left, inbox.patience()))
                for worker in ready:
                    inbox.events.extend(worker.receive(agenda, lost))
                if not ready or inbox.patience() <= 0:
                    inbox.take_up()
                for worker in busy:
                    if worker.seconds_left() <= 0:
                        inbox.take_up()
                        worker.give_up(agenda, lost)
        finally:
            for worker in pool:
                worker.stop()
            inbox.take_up()


def _ready(busy: Sequence[_Worker], seconds: float) -> list[_Worker]:
    """Those who have something to say, after at most so long."""
    waiting = [worker.connection for worker in busy]
    found = set(wait(waiting, None if seconds == math.inf else seconds))
    return [worker for worker in busy if worker.connection in found]


class _Inbox:
    """Events on their way to the caller: what comes close together is taken up together.

    Making a record durable takes milliseconds, however many there are.
    """

    def __init__(self, handle: Handle) -> None:
        self.events: list[Event] = []
        self._handle = handle
        self._last = -math.inf

    def patience(self) -> float:
        """Seconds for which what has come may wait for more to come."""
        if not self.events:
            return math.inf
        return max(0.0, min(QUIET_SECONDS, self._last + LONGEST_SECONDS - time.monotonic()))

    def take_up(self) -> None:
        """Hand over what has come."""
        events, self.events = self.events, []  # first: nothing is taken up twice
        if events:
            self._handle(events)
        self._last = time.monotonic()


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self, pool: Pool, index: int, settings: Settings, perform: Perform) -> None:
        self.node: Node | None = None
        self.deadline = math.inf
        self._timeout = pool.timeout
        mask = pool.masks[index % len(pool.masks)] if pool.masks else None
        self._work = (settings, perform, mask, os.getpid())
        self._start()

    def _start(self) -> None:
        # spawned, not forked: torch's threads and CUDA do not survive a fork
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, *self._work), daemon=True)
        self.process.start()
        theirs.close()

    def seconds_left(self) -> float:
        """Seconds until the present piece of work is given up; infinite where none is at work."""
        return max(0.0, self.deadline - time.monotonic())

    def take(self, agenda: Agenda) -> None:
        """Give the worker its next piece of work if it is idle."""
        if self.node is None and agenda:
            if not self.process.is_alive():
                self.stop()
                self._start()
            self.node = agenda.take()
            with suppress(OSError):  # it died this moment: receive will find the pipe's end
                self.connection.send((self.node, agenda.failures_before(self.node)))

    def receive(self, agenda: Agenda, lost: Lost) -> tuple[Event, ...]:
        """Take in one message of the worker; an event is returned."""
        try:
            message = self.connection.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            self.process.join()
            reason = f"ChildProcessError: {_how_it_ended(self.process.exitcode)}"
            self._lose(Failed("failed", reason), agenda, lost)
            return ()
        if isinstance(message, _Begun):
            assert self.node is not None
            self.deadline = time.monotonic() + self.node.pieces * (self._timeout or math.inf)
        elif isinstance(message, _Ended):
            node, self.node, self.deadline = self.node, None, math.inf
            assert node is not None
            agenda.end(node, message.failure)
        elif isinstance(message, BaseException):
            raise message
        else:
            return (message,)
        return ()

    def give_up(self, agenda: Agenda, lost: Lost) -> None:
        """Kill the process, whose work has taken too long."""
        self.process.kill()
        self.process.join()
        assert self._timeout is not None
        self._lose(overdue(self._timeout), agenda, lost)

    def _lose(self, failure: Failed, agenda: Agenda, lost: Lost) -> None:
        node, self.node, self.deadline = self.node, None, math.inf
        if node is not None:
            lost(node, failure)
            agenda.end(node, failure)

    def stop(self) -> None:
        """End the process; trials whose end was not received yet will be done again."""
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()
        self.connection.close()


def overdue(timeout: float) -> Failed:
    """How work ended that took longer than ``timeout`` seconds."""
    return Failed("failed", f"TimeoutError: not done after {timeout:g} s (--timeout)")


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"the worker process ended with exit code {code}"
    name = signal.Signals(-code).name
    guess = ", perhaps for lack of memory" if name == "SIGKILL" else ""
    return f"the worker process was ended by {name}{guess}"


@dataclass(frozen=True)
class _Begun:
    """A worker begins a piece of work: from now on it can be late."""


@dataclass(frozen=True)
class _Ended:
    """A worker has ended a piece of work."""

    failure: Failed | None


def _serve(
    connection: Connection, settings: Settings, perform: Perform, mask: str | None, parent: int
) -> None:
    """The worker process: do what comes until the parent hangs up."""
    from bench.errors import BenchError

    if mask is not None:  # before CUDA starts
        os.environ["CUDA_VISIBLE_DEVICES"] = mask

    def tell(message: Event | BenchError | _Begun | _Ended) -> None:
        try:
            connection.send(message)
        except OSError:  # the parent is gone: nobody is left to work for, or to complain to
            os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    while True:
        try:
            node, failures = connection.recv()
        except EOFError:
            return
        try:
            tell(_Begun())
            tell(_Ended(perform(node, settings, tell, failures)))
        except BenchError as error:
            tell(error)


def _follow(parent: int) -> None:
    """End this process when its parent has died, even by SIGKILL."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
