"""The framework's loop around every method: clock, progress, checkpoints, divergence, cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bench import cards, checkpoints
from bench.data import Header, RealSet, SyntheticSet, SyntheticSource
from bench.errors import BadFile, ContractError, Diverged
from bench.experts import Experts
from bench.files import digest
from bench.measure import Peak, synchronize
from bench.randomness import generator
from bench.task import AnyMethod, Task
from bench.trials import Distillation

log = logging.getLogger(__name__)

StepReport = Callable[[int, int, Mapping[str, float]], None]
"""Called as ``report(steps_done, steps, metrics)``."""

CURVE_POINTS = 100
"""Metrics are read off the device about this many times in a run: each read is a sync."""


@dataclass(frozen=True, kw_only=True)
class PhaseCost:
    """Seconds and peak bytes of a phase."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """What a method handed over and what it cost.

    Attributes:
        source: the synthetic source (the training set itself for the ceiling row).
        prepare: experts and initialisation; experts count in full, also when they were cached.
        distill: the steps and the hand-over.
        curve: metrics along the run, each with its ``step``.
    """

    source: SyntheticSource
    prepare: PhaseCost
    distill: PhaseCost
    curve: list[dict[str, float]]


@dataclass(kw_only=True)
class _Progress:
    """The framework's own part of a checkpoint."""

    done: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


PhaseReport = Callable[[str, int, int, Mapping[str, float]], None]
"""Called as ``report(phase, done, total, metrics)``."""


def make(
    plan: Distillation,
    train: RealSet,
    *,
    experts: Path,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30.0,
    report: PhaseReport | None = None,
) -> Distilled:
    """Build the method and the task of ``plan`` and run them.

    Args:
        plan: what to make; its seed decides every draw.
        train: the training images, on the device to work on.
        experts: folder of expert buffers.
        checkpoint: see :func:`distill`.
        checkpoint_seconds: see :func:`distill`.
        report: called along experts and steps.

    Returns:
        What was made, on the CPU and with its header if it is a synthetic set.

    Raises:
        Diverged: a metric or the result holds NaN or infinity.
        ContractError: the method breaks the contract.
    """
    tell: PhaseReport = report or (lambda phase, done, total, metrics: None)
    service = Experts(
        folder=experts, real=train, report=lambda what, done, total: tell(what, done, total, {})
    )
    task = Task(
        real=train,
        budget=plan.budget,
        network=plan.network,
        seed=plan.seed,
        rng=generator("distill", plan.method, plan.seed),
        experts=service,
    )
    result = distill(
        cards.build(plan.method, plan.parameters),
        task,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        report=lambda done, total, metrics: tell("distill", done, total, metrics),
    )
    if not isinstance(result.source, SyntheticSet):
        return result
    return replace(result, source=replace(result.source.to("cpu"), header=_header(plan, train)))


def _header(plan: Distillation, train: RealSet) -> Header:
    return Header(
        dataset=plan.dataset,
        classes=train.spec.classes,
        budget=plan.budget,
        preprocessing=train.preprocessing.header(),
        method=plan.method,
        parameters=plan.parameters,
        created={
            "key": plan.key,
            "version": plan.version,
            "network": plan.network,
            "seed": plan.seed,
            "split": plan.split,
            "checksum": plan.checksum,
        },
    )


def distill(
    method: AnyMethod,
    task: Task,
    *,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30.0,
    report: StepReport | None = None,
) -> Distilled:
    """Run a method to its end, resuming from ``checkpoint`` where one is left.

    The result of an interrupted and resumed run equals that of an undisturbed one.

    Args:
        method: the adapter.
        task: what it is given.
        checkpoint: file for checkpoints; removed at the end.
        checkpoint_seconds: time between two checkpoints.
        report: called about a hundred times along the run.

    Raises:
        Diverged: a metric or the result holds NaN or infinity.
        ContractError: the result does not fit the dataset.
    """
    prepared = Peak(task.device)
    start = time.perf_counter()
    with prepared.sample():
        state = method.prepare(task)
    synchronize(task.device)
    prepare = _with_experts(time.perf_counter() - start, prepared.bytes, task)

    progress = _resume(checkpoint, method, state, task)
    peak = Peak(task.device)
    _run(method, state, task, progress, peak, checkpoint, checkpoint_seconds, report)
    start = time.perf_counter()
    source = _check(method.result(state), task)
    synchronize(task.device)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return Distilled(
        source=source,
        prepare=prepare,
        distill=PhaseCost(
            seconds=progress.seconds + time.perf_counter() - start,
            peak_bytes=max(progress.peak_bytes, peak.bytes),
        ),
        curve=progress.curve,
    )


def _with_experts(seconds: float, peak_bytes: int, task: Task) -> PhaseCost:
    """Preparation without the wait for experts, plus what training them costs."""
    experts = task.experts
    own = max(0.0, seconds - experts.waited_seconds)
    return PhaseCost(seconds=own + experts.seconds, peak_bytes=max(peak_bytes, experts.peak_bytes))


def _run(
    method: AnyMethod,
    state: Any,
    task: Task,
    progress: _Progress,
    peak: Peak,
    checkpoint: Path | None,
    checkpoint_seconds: float,
    report: StepReport | None,
) -> None:
    steps, every = method.steps, max(1, method.steps // CURVE_POINTS)
    start = saved = time.perf_counter()
    before = progress.seconds
    while progress.done < steps:
        with peak.sample():
            metrics = method.step(state)
        progress.done += 1
        if progress.done % every == 0 or progress.done == steps:
            numbers = _numbers(metrics, progress.done)
            progress.curve.append({"step": progress.done, **numbers})
            if report:
                report(progress.done, steps, numbers)
        now = time.perf_counter()
        progress.seconds = before + now - start
        progress.peak_bytes = max(progress.peak_bytes, peak.bytes)
        if checkpoint is not None and now - saved >= checkpoint_seconds:
            _save(checkpoint, method, state, task, progress)
            saved = time.perf_counter()
    synchronize(task.device)
    progress.seconds = before + time.perf_counter() - start


def _numbers(metrics: Mapping[str, Tensor], step: int) -> dict[str, float]:
    """Metrics as numbers.

    Raises:
        Diverged: one of them is NaN or infinite.
    """
    numbers = {name: float(value) for name, value in metrics.items()}
    for name, value in numbers.items():
        if not -float("inf") < value < float("inf"):
            raise Diverged(f"{name} became {value} at step {step}")
    return numbers


def _check(source: SyntheticSource, task: Task) -> SyntheticSource:
    if isinstance(source, SyntheticSet):
        if not bool(source.images.isfinite().all()):
            raise Diverged("the synthetic images hold NaN or infinity")
        source.check(task.spec)
        allowed = task.budget.count * task.spec.num_classes
        if task.budget.kind == "ipc" and len(source) > allowed:
            raise ContractError(
                f"The method handed over {len(source)} images; "
                f"a budget of {task.budget} allows {allowed}."
            )
    return source


def _identity(method: AnyMethod) -> str:
    """A checkpoint belongs to one method with one set of parameters."""
    return digest(repr(method))


def _save(path: Path, method: AnyMethod, state: Any, task: Task, progress: _Progress) -> None:
    tree = {
        "method": _identity(method),
        "rng": task.rng.get_state(),
        "state": checkpoints.capture(state),
        "progress": vars(progress),
    }
    checkpoints.save(path, tree)


def _resume(path: Path | None, method: AnyMethod, state: Any, task: Task) -> _Progress:
    """Continue where ``path`` left off; a damaged or foreign checkpoint is left aside."""
    if path is None or not path.exists():
        return _Progress()
    try:
        saved = checkpoints.load(path)
        if saved["method"] != _identity(method):
            return _Progress()
        checkpoints.restore(state, saved["state"])
    except BadFile as error:
        log.warning("%s Distillation starts again.", error)
        return _Progress()
    task.rng.set_state(saved["rng"])
    return _Progress(**saved["progress"])
