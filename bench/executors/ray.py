"""The Ray executor: every node of a run is a Ray task, and what it waits for are object references.

The store is a folder that every machine of the cluster sees under the same path: artefacts, experts
and checkpoints lie there, written as by the local executor and under the same locks. Ray carries
nodes to workers and outcomes back; this process alone writes records. Work that was lost with its
machine is done again on another one, from its last checkpoint.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench.errors import BenchError, StoreError
from bench.executors.graph import Examine, Node
from bench.executors.local import Handle, Perform, overdue
from bench.executors.resources import Claim
from bench.failures import Failed, first_line

if TYPE_CHECKING:
    from bench.worker import Event, Finished, Settings

log = logging.getLogger(__name__)

TRIES_AFTER_LOSS = 3
"""How often work is done again that was lost with its worker or its machine."""

LOOK_SECONDS = 0.5
"""Time between two looks at what is at work, and for how long."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What comes back from a node.

    Attributes:
        finished: trials that have ended.
        failure: how it went wrong, for what waits for it.
        fault: what the user must put right; it ends the run.
    """

    finished: tuple[Finished, ...] = ()
    failure: Failed | None = None
    fault: BenchError | None = None


def run(
    nodes: Sequence[Node],
    settings: Settings,
    perform: Perform,
    handle: Handle,
    *,
    claim: Callable[[Node], Claim],
    timeout: float | None = None,
) -> None:
    """Do all ``nodes`` on the cluster that this process is connected to.

    Args:
        nodes: each after those that it needs, in the order in which they are handed to Ray.
        settings: how a worker works.
        perform: what a worker does with a node.
        handle: called in this process with all events.
        claim: what of a machine a node occupies.
        timeout: seconds after which a node at work is given up, and its process killed.

    Raises:
        BenchError: what a worker met and the user must put right; the others are stopped.
    """
    work = _Run(nodes, settings, perform, handle, claim, timeout)
    try:
        work.go()
    finally:
        work.take_up()


@dataclass(eq=False)
class _Run:
    """One graph at work: the arguments of :func:`run`, and what has become of each node."""

    nodes: Sequence[Node]
    settings: Settings
    perform: Perform
    handle: Handle
    claim: Callable[[Node], Claim]
    timeout: float | None
    refs: dict[str, Any] = field(default_factory=dict)
    begun: dict[str, tuple[_Begun, float]] = field(default_factory=dict)
    failures: dict[str, Failed] = field(default_factory=dict)
    handed_back: set[str] = field(default_factory=set)
    finished: list[Event] = field(default_factory=list)
    ended: queue.SimpleQueue[Node] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        self.by_key = {node.key: node for node in self.nodes}
        here = ray.get_runtime_context().get_node_id()
        news: Any = ray.remote(_News)
        strategy = NodeAffinitySchedulingStrategy(here, soft=False)
        self.news = news.options(num_cpus=0, scheduling_strategy=strategy).remote()
        self.shared = ray.put((self.settings, self.perform, self.news, Path.cwd()))

    def go(self) -> None:
        """Hand every node to Ray; take up what comes back until nothing is left."""
        for node in self.nodes:
            self.submit(node, {key: self.refs[key] for key in node.needs})
        left, looked = len(self.nodes), time.monotonic()
        while left:
            with suppress(queue.Empty):
                left -= self.conclude(self.ended.get(timeout=LOOK_SECONDS))
                while True:  # whatever else has ended by now
                    left -= self.conclude(self.ended.get_nowait())
            self.take_up()
            if time.monotonic() - looked >= LOOK_SECONDS:
                self.look()
                looked = time.monotonic()

    def take_up(self) -> None:
        """Pass on the trials that have ended since the last time."""
        finished, self.finished = self.finished, []  # first: nothing is taken up twice
        if finished:
            self.handle(finished)

    def submit(self, node: Node, waits_for: Mapping[str, Any]) -> None:
        """Hand a node to Ray, to be begun when all of ``waits_for`` is there, by key."""
        claim = self.claim(node)
        ref = _work.options(
            name=f"{type(node).__name__} {node.key}",
            num_cpus=claim.cpus,
            num_gpus=claim.gpus,
            memory=claim.memory_bytes or None,
            max_retries=TRIES_AFTER_LOSS,
        ).remote(node, self.shared, tuple(waits_for), *waits_for.values())
        self.refs[node.key] = ref
        ref.future().add_done_callback(lambda _: self.ended.put(node))

    def conclude(self, node: Node) -> bool:
        """Take up what came back from a node; false if it was handed to Ray once more."""
        self.begun.pop(node.key, None)
        try:
            done: Done = ray.get(self.refs[node.key])
        except RayError as error:
            failure = self.failures[node.key] = self.why(node, error)
            if not isinstance(node, Examine):
                return True
            if node.key in self.handed_back:
                raise StoreError(
                    f"No worker can record what went wrong: {failure.reason}"
                ) from None
            self.handed_back.add(node.key)
            # a worker makes the records of its trials: it knows the machine that they state
            self.submit(node, {node.key: ray.put(Done(failure=failure))})
            return False
        self.finished += done.finished  # also those that ended before a fault
        if done.fault is not None:
            raise done.fault
        return True

    def why(self, node: Node, error: RayError) -> Failed:
        """How a node went wrong of which nothing came back: perhaps with one that it needs."""
        if node.key in self.failures:
            return self.failures[node.key]
        for key in node.needs:
            try:
                ray.get(self.refs[key])
            except RayError as earlier:
                return self.why(self.by_key[key], earlier)
        if isinstance(error, OutOfMemoryError):
            return Failed("oom", "Ray ended the worker process for lack of memory")
        if isinstance(error, RayTaskError):
            log.error("A worker failed.", exc_info=error)
            cause = error.cause
            return Failed("failed", f"{type(cause).__name__}: {first_line(cause)}")
        return Failed(
            "failed", f"ChildProcessError: the worker process was lost ({type(error).__name__})"
        )

    def look(self) -> None:
        """Pass progress on, and give up what has been at work for too long."""
        progress: list[Event] = []
        for news in ray.get(self.news.take.remote()):
            if isinstance(news, _Begun):
                self.begun[news.key] = (news, time.monotonic())
            else:
                progress.append(news)
        self.handle(progress)
        if self.timeout is None:
            return
        now = time.monotonic()
        late = [
            work
            for work, since in self.begun.values()
            if now - since >= self.timeout * self.by_key[work.key].pieces
        ]
        for work in late:
            del self.begun[work.key]
            if work.goes_on():  # else Ray is about to begin it again, elsewhere
                self.failures[work.key] = overdue(self.timeout)
                ray.cancel(self.refs[work.key], force=True)


@dataclass(frozen=True)
class _Begun:
    """A node has been begun by a process of a machine."""

    key: str
    machine: str
    process: int

    def goes_on(self) -> bool:
        """Whether that process still lives."""
        strategy = NodeAffinitySchedulingStrategy(self.machine, soft=False)
        look = _lives.options(num_cpus=0, scheduling_strategy=strategy, max_retries=0)
        try:
            return bool(ray.get(look.remote(self.process), timeout=60))
        except RayError:  # with its machine
            return False


@ray.remote
def _lives(process: int) -> bool:
    """Whether a process of this machine lives."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


class _News:
    """What workers tell while they work: nodes that are begun, and progress."""

    def __init__(self) -> None:
        self.told: list[_Begun | Event] = []

    def tell(self, news: _Begun | Event) -> None:
        """Add some news."""
        self.told.append(news)

    def take(self) -> list[_Begun | Event]:
        """Everything that was told since the last time."""
        told, self.told = self.told, []
        return told


@ray.remote
def _work(
    node: Node, shared: tuple[Settings, Perform, Any, Path], keys: Sequence[str], *before: Done
) -> Done:
    """Do one node in a worker process of the cluster, after those with ``keys``."""
    from bench.worker import Finished

    settings, perform, news, here = shared
    for done in before:
        if done.fault is not None:
            return Done(fault=done.fault)
    if not (here / settings.store).is_dir():
        fault = f"{socket.gethostname()} does not see the store {here / settings.store}; "
        return Done(fault=StoreError(fault + "give a --store in a folder that all machines share."))
    with suppress(OSError):  # paths may be relative to where the run was started
        os.chdir(here)
    machine = ray.get_runtime_context().get_node_id()
    news.tell.remote(_Begun(node.key, machine, os.getpid()))
    finished: list[Finished] = []

    def emit(event: Event) -> None:
        if isinstance(event, Finished):
            finished.append(event)
        else:
            news.tell.remote(event)

    ended = zip(keys, before, strict=True)
    failures = {key: done.failure for key, done in ended if done.failure is not None}
    try:
        failure = perform(node, settings, emit, failures)
    except BenchError as error:
        return Done(finished=tuple(finished), fault=error)
    return Done(finished=tuple(finished), failure=failure)
