"""``python -m benchmarks.table results.json [page.md]``: results as Markdown tables.

Printed, or put between the two markers of a page.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = tuple[str, ...]


def tables(results: dict[str, Any]) -> str:
    """Every table of one run of the benchmarks.

    Args:
        results: what pytest-benchmark wrote.
    """
    timed = results["benchmarks"]
    evaluated = [one["extra_info"] for one in timed if "flops" in one["extra_info"]]
    parts = [
        _machine(results["machine_info"], evaluated),
        markdown(_EVALUATION, [row for facts in evaluated for row in _evaluation(facts)]),
        markdown(_STEPS, [_step(one) for one in timed if "phase" in one["extra_info"]]),
        markdown(_WAITS, [_wait(one) for one in timed if "test_startup" in one["fullname"]]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_EVALUATION = (
    "five students, one epoch",
    "usual loop",
    "way",
    "strategy",
    "time",
    "× usual",
    "of the matrix-multiply rate",
)
_STEPS = ("method", "phase", "one step", "steps")
_WAITS = ("command", "time")


def _machine(machine: dict[str, Any], evaluated: list[dict[str, Any]]) -> str:
    lines = [
        f"{machine['cpu'].get('brand_raw', machine['machine'])}, {machine['threads']} threads, "
        f"Python {machine['python_version']}, torch {machine['torch']}, load {machine['load']}; "
        f"best of {machine['rounds']} interleaved rounds."
    ]
    for facts in evaluated[:1]:
        rates = ", ".join(
            f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in facts["matmul"].items()
        )
        copies = f"copies {facts['copy'] / 1e9:.1f} GB/s"
        lines.append(f"Device {facts['device']}: matrix products {rates}, {copies}.")
    return " ".join(lines)


def _evaluation(facts: dict[str, Any]) -> Iterator[Row]:
    seconds = {name: found["min"] for name, found in facts["seconds"].items()}
    for name, taken in seconds.items():
        if name == "usual":
            continue
        precision = "bf16" if "bf16" in name else "fp32"
        reached = facts["flops"] / taken / facts["matmul"][precision]
        yield (
            facts["case"],
            as_time(seconds["usual"]),
            name,
            facts["strategies"].get(name, ""),
            as_time(taken),
            f"{seconds['usual'] / taken:.2f}",
            f"{100 * reached:.0f} %",
        )


def _step(one: dict[str, Any]) -> Row:
    facts = one["extra_info"]
    return facts["method"], facts["phase"], as_time(one["stats"]["median"]), str(facts["steps"])


def _wait(one: dict[str, Any]) -> Row:
    return one["name"].removeprefix("test_"), as_time(one["stats"]["median"])


def markdown(header: Row, rows: list[Row]) -> str:
    """A Markdown table; nothing without rows."""
    lines = [header, ("---",) * len(header), *rows] if rows else []
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_time(seconds: float) -> str:
    """Seconds, or milliseconds below one."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def into(page: str, found: str, name: str = "benchmarks") -> str:
    """``page`` with ``found`` between the two markers of this name."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, rest = page.split(begin)
    return f"{before}{begin}\n\n{found}\n{end}{rest.split(end)[1]}"


def main(results: Path, page: Path | None = None) -> None:
    """Print the tables, or write them into a page."""
    found = tables(json.loads(results.read_text(encoding="utf-8")))
    if page is None:
        print(found, end="")
    else:
        page.write_text(into(page.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
