"""The command in processes that may be struck down: a server that forks one for every request.

Importing torch takes seconds, a fork milliseconds. Requests and outcomes are JSON lines on stdin
and stdout. Before it starts, a child arranges what befalls it (:mod:`tests.reliability.knocks`).
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.reliability.knocks import Operations, tear_writes_at, turn_the_clock_back

IMPORTS = (
    *("bench.cli.outcome", "bench.cli.progress", "bench.exchange", "bench.worker"),
    *("leaderboard.command", "tests.reliability.methods", "torch._dynamo"),
)
"""What a run imports, so that children need not; no tensor is made in the server."""


@dataclass(kw_only=True)
class Request:
    """One call of the command, and what befalls it.

    Attributes:
        folder: operations on files below it count; the cache is put there.
        arguments: of the command.
        knock: one of :mod:`tests.reliability.knocks`; ``""`` for none.
        at: at which operation, from 1.
        delay_seconds: SIGKILL from outside after this time.
        limit_bytes: largest file; the write that would exceed it is torn and kills the process.
        at_once: how many processes do the same at the same time.
        environment: variables to set, or, with ``None``, to remove.
    """

    folder: str
    arguments: list[str]
    knock: str = ""
    at: int = 0
    delay_seconds: float | None = None
    limit_bytes: int | None = None
    at_once: int = 1
    environment: dict[str, str | None] = field(default_factory=dict)


@dataclass(kw_only=True)
class Outcome:
    """How one process ended.

    Attributes:
        code: its exit code, or minus the signal that ended it.
        told: trials that were told to be recorded, in their order.
        operations: on files below the folder, where the process lived to count them.
        folders: names of the folders in which they were.
        seconds: how long it took.
        errors: what it wrote to stderr.
    """

    code: int
    told: list[str]
    operations: int
    folders: list[str]
    seconds: float
    errors: str


def main() -> None:
    """Serve until stdin ends."""
    for module in IMPORTS:
        import_module(module)
    for line in sys.stdin:
        request = Request(**json.loads(line))
        children = [_Child(request) for _ in range(request.at_once)]
        outcomes = [asdict(child.outcome()) for child in children]
        print(json.dumps(outcomes), flush=True)


class _Child:
    """A forked process, as its parent sees it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.start = time.monotonic()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        self.told, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.told)
            _suffer(request, tell, self.errors.fileno())
        os.close(tell)

    def outcome(self) -> Outcome:
        """Wait for its end."""
        *told, last = self._listen().decode().split("\n") or [""]
        count, *folders = last.split() or ["0"]
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self.start
        os.close(self.told)
        self.errors.seek(0)
        return Outcome(
            code=os.waitstatus_to_exitcode(status),
            told=told,
            operations=int(count),
            folders=folders,
            seconds=seconds,
            errors=self.errors.read().decode(errors="replace"),
        )

    def _listen(self) -> bytes:
        """Everything it tells until it ends, or is ended when its time has come."""
        heard, delay = b"", self.request.delay_seconds
        while True:
            left = None if delay is None else max(0.0, self.start + delay - time.monotonic())
            if not select.select([self.told], [], [], left)[0]:
                os.kill(self.pid, signal.SIGKILL)
                delay = None
            elif chunk := os.read(self.told, 65536):
                heard += chunk
            else:
                return heard


def _suffer(request: Request, tell: int, errors: int) -> None:
    """Be the command, and never return."""
    code = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 1)
        os.dup2(errors, 2)
        for name, value in request.environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        operations = Operations(Path(request.folder).resolve(), request.knock, request.at)
        _patch(tell)
        if request.knock == "clock":
            turn_the_clock_back()
        if request.limit_bytes is not None:
            tear_writes_at(request.limit_bytes)
        sys.argv = ["bench", *request.arguments]
        operations.watch()
        code = _command()
        operations.watched = False
        os.write(tell, " ".join([str(operations.count), *operations.folders]).encode())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _command() -> int:
    from bench.cli import main as command

    try:
        command()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _patch(tell: int) -> None:
    """Checkpoints after every step and epoch; what the run says to be recorded is told."""
    from bench import runner, worker

    defaults = worker.Settings.__init__.__kwdefaults__
    assert defaults is not None
    defaults["checkpoint_seconds"] = 0.0
    execute = runner.execute

    def telling(plan: Any, handle: Callable[[Any], None], *more: Any) -> Any:
        told = set()

        def note(record: Any) -> None:
            told.add(record.id)
            os.write(tell, f"{record.id}\n".encode())

        def handled(event: Any) -> None:
            if isinstance(event, worker.Finished):
                note(event.record)
            handle(event)

        made = execute(plan, handled, *more)
        for record in made:  # those that share an outcome are no events
            if record.id not in told:
                note(record)
        return made

    runner.execute = telling  # type: ignore[assignment]


if __name__ == "__main__":
    main()
