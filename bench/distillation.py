"""The framework's loop around every method: clock, progress, checkpoints, divergence, cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from bench import cards, checkpoints
from bench.data import RealSet, SyntheticSet, SyntheticSource
from bench.environment import package_version
from bench.errors import BadFile, ContractError, Diverged
from bench.experts import Experts
from bench.files import digest
from bench.generators import SyntheticGenerator
from bench.measure import Peak, synchronize
from bench.randomness import generator
from bench.specs import Budget, Header
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
        What was made, on the CPU and with its header if it is a synthetic set or generator.

    Raises:
        Diverged: a metric or the result holds NaN or infinity.
        ContractError: the method breaks the contract.
    """
    tell: PhaseReport = report or (lambda phase, done, total, metrics: None)
    service = Experts(
        folder=experts,
        real=train,
        report=lambda what, done, total: tell(what, done, total, {}),
        checkpoint_seconds=checkpoint_seconds,
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
    if not isinstance(result.source, SyntheticSet | SyntheticGenerator):
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
        checkpoint: file for checkpoints; the caller removes it when the result is kept.
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
    peak = Peak(task.device, progress.peak_bytes)
    _run(method, state, task, progress, peak, checkpoint, checkpoint_seconds, report)
    start = time.perf_counter()
    with peak.sample():  # a method without steps does its work here
        source = method.result(state)
    synchronize(task.device)
    seconds = progress.seconds + time.perf_counter() - start
    _check(source, task)
    return Distilled(
        source=source,
        prepare=prepare,
        distill=PhaseCost(seconds=seconds, peak_bytes=peak.bytes),
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
    saved = time.perf_counter()
    start = saved - progress.seconds
    while progress.done < steps:
        with peak.sample():
            metrics = method.step(state)
        progress.done += 1
        if progress.done % every == 0 or progress.done == steps:
            numbers = _numbers(metrics, progress.done)
            progress.curve.append({"step": progress.done, **numbers})
            if report:
                report(progress.done, steps, numbers)
        if checkpoint is not None and time.perf_counter() - saved >= checkpoint_seconds:
            synchronize(task.device)
            progress.seconds = time.perf_counter() - start
            progress.peak_bytes = peak.bytes
            _save(checkpoint, method, state, task, progress)
            saved = time.perf_counter()
            start = saved - progress.seconds  # writing it is not the method's time
    synchronize(task.device)
    progress.seconds = time.perf_counter() - start


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


def _check(source: SyntheticSource, task: Task) -> None:
    if isinstance(source, SyntheticSet):
        _check_finite([source.images], "synthetic images")
        source.check(task.spec)
    if isinstance(source, SyntheticGenerator):
        _check_finite(source.weights.values(), "generator's weights")
        source.check(task.spec)
        if task.budget != Budget("inpc", source.per_class):
            raise ContractError(f"The method handed over {source!r} for a budget of {task.budget}.")
    allowed = task.budget.count * task.spec.num_classes
    stored = len(source) if isinstance(source, SyntheticSet | RealSet) else 0
    if task.budget.kind == "ipc" and stored > allowed:
        raise ContractError(
            f"The method handed over {stored} images; a budget of {task.budget} allows {allowed}."
        )


def _check_finite(values: Iterable[Tensor], what: str) -> None:
    if not all(bool(value.isfinite().all()) for value in values):
        raise Diverged(f"the {what} hold NaN or infinity")


def _identity(method: AnyMethod, task: Task) -> str:
    """A checkpoint belongs to one method with its parameters, one task and one version of us."""
    real = task.real
    return digest(
        {
            "package": package_version(),
            "method": repr(method),
            "dataset": [real.spec.name, real.checksum, real.preprocessing.digest],
            "budget": task.budget.as_dict(),
            "network": task.network,
            "seed": task.seed,
        }
    )


def _save(path: Path, method: AnyMethod, state: Any, task: Task, progress: _Progress) -> None:
    tree = {
        "identity": _identity(method, task),
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
        if saved.get("identity") != _identity(method, task):
            return _Progress()
        checkpoints.restore(state, saved["state"])
    except BadFile as error:
        log.warning("%s Distillation starts again.", error)
        return _Progress()
    task.rng.set_state(saved["rng"])
    return _Progress(**saved["progress"])
