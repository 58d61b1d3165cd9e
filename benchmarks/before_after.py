"""``python -m benchmarks.before_after OLD_CHECKOUT [page.md]``: every method's step, then and now.

Both checkouts run the same steps (same seeds, same draws) in processes of their own, which take
turns in every round. Where a process's memory lies can change its times by a third, so several
pairs of processes are timed. Times are processor time of one thread, which waiting for a core does
not change. One case is also run with the old checkout in both places: how far its ratio is from 1
is how far any other's may be. The table is printed, or put between its markers of a page.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import cards, plugins
from bench.profiling.rules import load_rules
from bench.profiling.subject import Subject
from benchmarks.stepping import KINDS
from benchmarks.table import Row, as_time, into, markdown

NEW = Path(__file__).parents[1]
PAIRS = 3
"""Of fresh processes, one of each checkout."""

ROUNDS = 3
"""Of each pair."""

SECONDS = 0.05
"""A round takes at least about this long."""

IMAGES = "cifar10"
"""Steps on this shape too, for methods of every kind."""

ON_IMAGES = ("dsa", "mtt")
EXPERTS = ("mtt", "ftd")
"""Plain and sharpness-aware: an epoch of an expert of each."""

CONTROL = "dsa"
"""Run with the same checkout in both places."""


@dataclass(frozen=True)
class Case:
    """What is stepped: arguments of :mod:`benchmarks.stepping`."""

    method: str
    phase: str
    dataset: str


@dataclass(frozen=True)
class Measured:
    """A case in one checkout.

    Attributes:
        seconds: the least processor time of one step.
        operators: of one step, on average over a cycle of them.
        shares: of a step's time by kind.
    """

    seconds: float
    operators: float
    shares: dict[str, float]


def cases() -> Iterator[Case]:
    """Every method that has steps, then some on larger images, then experts."""
    rules = load_rules("efficiency", "quick")
    for method in plugins.names("methods"):
        if cards.build(method, Subject.of(rules, method).parameters).steps:
            yield Case(method, "distill", "digits")
    yield from (Case(method, "prepare", "digits") for method in EXPERTS)
    yield from (Case(method, "distill", IMAGES) for method in ON_IMAGES)
    yield from (Case(method, "prepare", IMAGES) for method in EXPERTS)


class Stepper:
    """A case in a process that runs one checkout."""

    def __init__(self, checkout: Path, case: Case) -> None:
        script = NEW / "benchmarks" / "stepping.py"
        self.process = subprocess.Popen(
            [sys.executable, str(script), case.method, case.phase, case.dataset],
            env=os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
            cwd=checkout,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str, cycles: int = 1) -> Any:
        """The answer to one line."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(command, cycles, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def __enter__(self) -> Stepper:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(case: Case, checkouts: list[Path]) -> list[Measured]:
    """The case in each checkout, all of them in turn in every round."""
    rounds: list[list[float]] = []
    for _ in range(PAIRS):
        with ExitStack() as stack:
            steppers = [stack.enter_context(Stepper(checkout, case)) for checkout in checkouts]
            operators = [stepper.ask("count") for stepper in steppers]
            cycles = math.ceil(SECONDS / max(stepper.ask("time") for stepper in steppers))
            rounds += [[stepper.ask("time", cycles) for stepper in steppers] for _ in range(ROUNDS)]
            shares = [stepper.ask("profile", cycles) for stepper in steppers]
    least = [min(seconds) for seconds in zip(*rounds, strict=True)]
    return [Measured(*facts) for facts in zip(least, operators, shares, strict=True)]


def row(case: Case, old: Measured, new: Measured) -> Row:
    """A line of the table."""
    what = case.method if case.phase == "distill" else f"{case.method}, an expert's epoch"
    return (
        what,
        case.dataset,
        as_time(old.seconds),
        as_time(new.seconds),
        f"{old.seconds / new.seconds:.2f}",
        f"{old.operators:,.0f} → {new.operators:,.0f}",
        *(f"{100 * old.shares[kind]:.0f} → {100 * new.shares[kind]:.0f}" for kind in old.shares),
    )


def commit(checkout: Path) -> str:
    """The commit of a checkout, with a mark if it has been changed."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty=, changed"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main(old: Path, page: Path | None = None) -> None:
    """Print the table, or write it into a page."""
    checkouts = [old.resolve(), NEW]
    kinds = (f"{kind}, %" for kind in (*KINDS, "other"))
    header = ("step", "data", "before", "after", "×", "operators", *kinds)
    control = Case(CONTROL, "distill", "digits")
    rows = [("the same twice: " + CONTROL, *row(control, *measure(control, [old, old]))[1:])]
    for case in cases():
        rows.append(row(case, *measure(case, checkouts)))
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    found = (
        f"Before: {commit(checkouts[0])}; after: {commit(checkouts[1])}. Processor time of one "
        f"thread, the least of {ROUNDS} interleaved rounds of each of {PAIRS} pairs of processes."
        f"\n\n{markdown(header, rows)}\n"
    )
    if page is None:
        print(found, end="")
    else:
        text = into(page.read_text(encoding="utf-8"), found, "before-after")
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
