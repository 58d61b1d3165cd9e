"""Memory and time of distilling as papers print them; they stand in columns of their own.

What a paper does not state about its setting, a work here may have in any form. Its method's own
gradient is part of what it states: with another one it is another work.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from bench.specs import Budget
from leaderboard import reported
from leaderboard.works import Work

Metric = Literal["peak_memory", "runtime"]

_METRICS: dict[str, Metric] = {
    "peak_memory": "peak_memory",
    "memory_ratio": "peak_memory",
    "runtime": "runtime",
    "runtime_ratio": "runtime",
}
"""What is printed, by what the files call it."""

_PARAMETERS = {"matching-steps": "matching_steps", "batch-size": "batch_syn"}
"""Our names of settings that the files call otherwise."""

_VALUES = {("segment", "minimum"): "1"}
"""Values that stand for numbers: the fewest images that can be processed at once."""

_GRADIENTS = {"mtt": "unrolled", "tesla": "two-pass"}
"""What a method is by its paper, where ours can be told to do it otherwise."""

_BYTES = {"MB": 2**20, "GB": 1000 * 2**20}
"""TESLA's table 5 rounds the 17,093 MB of table 4 to 17.1 GB, and these are the driver's MiB."""

_ITERATIONS = re.compile(r"\b(\d+) iterations\b")
_RATIO = re.compile(r"([a-z-]+)-over-([a-z-]+)")
_WHOLE_RUN = "whole run"


@dataclass(frozen=True, kw_only=True)
class PrintedRun:
    """What a paper states about a distillation.

    Attributes:
        method: what was run.
        dataset: on which data.
        budget: ``None`` where the paper does not state it.
        network: what it distilled with.
        settings: what is stated of the parameters, by our names.
    """

    method: str
    dataset: str
    budget: Budget | None
    network: str
    settings: Mapping[str, str]

    def is_of(self, work: Work, free: str | None = None) -> bool:
        """Whether ``work`` is a distillation with everything that the paper states.

        A setting that the method has no parameter for is another method's.

        Args:
            work: what was profiled.
            free: a parameter that may differ.
        """
        return (
            work.phase == "distill"
            and (work.method, work.place.dataset, work.place.network)
            == (self.method, self.dataset, self.network)
            and self.budget in (None, work.place.budget)
            and all(
                name == free or name not in work.parameters or _same(work.parameters[name], stated)
                for name, stated in self.settings.items()
            )
        )


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A number in a paper.

    Attributes:
        paper: short name of the paper that printed it.
        table: where in the paper.
        metric: ``peak_memory`` or ``runtime``.
        printed: as it is printed, with its unit.
        value: bytes, seconds of one iteration, or a ratio.
        remarks: what the paper leaves open, doubts.
    """

    paper: str
    table: str
    metric: Metric
    printed: str
    value: float
    remarks: str

    @property
    def source(self) -> str:
        """``tesla, table-4``."""
        return f"{self.paper}, {self.table}"


@dataclass(frozen=True, kw_only=True)
class PrintedCost(Printed):
    """What one run takes."""

    run: PrintedRun


@dataclass(frozen=True, kw_only=True)
class PrintedRatio(Printed):
    """How many times as much as one run another takes.

    Attributes:
        above: the run whose cost is divided.
        below: the run that it is divided by.
        whole_run: whether times are of all iterations, not of one.
    """

    above: PrintedRun
    below: PrintedRun
    whole_run: bool


@cache
def printed_costs() -> tuple[PrintedCost, ...]:
    """Every printed peak, and every printed time whose number of iterations is stated."""
    found = (_cost(row) for row in reported.lines())
    return tuple(cost for cost in found if cost)


@cache
def printed_ratios() -> tuple[PrintedRatio, ...]:
    """Every printed ratio of two methods' costs; other ratios are of no two runs here."""
    found = (_ratio(row) for row in reported.lines())
    return tuple(ratio for ratio in found if ratio)


def _cost(row: Mapping[str, str]) -> PrintedCost | None:
    iterations = _ITERATIONS.search(row["notes"])
    if row["metric"] == "peak_memory":
        value = float(row["mean"]) * _BYTES[row["unit"]]
    elif row["metric"] == "runtime" and row["unit"] == "seconds" and iterations:
        value = float(row["mean"]) / int(iterations.group(1))
    else:
        return None
    return PrintedCost(**_number(row, row["unit"], value), run=_run(row, row["method"]))


def _ratio(row: Mapping[str, str]) -> PrintedRatio | None:
    methods = _RATIO.search(row["variant"])
    if row["unit"] != "ratio" or row["metric"] not in _METRICS:
        return None
    if not methods or row["method"] not in methods.groups():  # of two parts of one run
        return None
    return PrintedRatio(
        **_number(row, "×", float(row["mean"])),
        above=_run(row, methods.group(1)),
        below=_run(row, methods.group(2)),
        whole_run=_WHOLE_RUN in row["notes"],
    )


def _number(row: Mapping[str, str], unit: str, value: float) -> dict[str, Any]:
    """The fields of :class:`Printed`."""
    spread = f" ± {row['std']}" if row["std"] else ""
    return {
        "paper": row["paper"],
        "table": row["table"],
        "metric": _METRICS[row["metric"]],
        "printed": f"{row['mean']}{spread} {unit}",
        "value": value,
        "remarks": row["notes"],
    }


def _run(row: Mapping[str, str], method: str) -> PrintedRun:
    parts = [part for part in row["variant"].split(";") if not _RATIO.fullmatch(part)]
    stated = dict(part.partition("=")[::2] for part in parts if part)
    own = {"gradient": _GRADIENTS[method]} if method in _GRADIENTS else {}
    return PrintedRun(
        method=method,
        dataset=row["dataset"],
        budget=reported.budget_of(row),
        network=row["distill_arch"],
        settings=own | dict(_setting(name, value) for name, value in stated.items()),
    )


def _setting(name: str, value: str) -> tuple[str, str]:
    """A stated setting by our names."""
    return _PARAMETERS.get(name, name), _VALUES.get((name, value), value)


def _same(parameter: Any, stated: str) -> bool:
    """Whether a parameter has the value that a file states as text."""
    return not isinstance(parameter, bool) and str(parameter) == stated
