"""One job from start to end: distil once, then train and test every student of it.

Whatever goes wrong inside a method or a student becomes a record with its reason; only faults that
the user must put right (a full disk, missing data) stop the run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import torch

from bench import artifacts, datasets, environment
from bench.data import RealSet, SyntheticSource, merge
from bench.datasets import RealPair
from bench.distillation import Distilled, make
from bench.errors import BadFile, BenchError, ContractError, Diverged, NotApplicable
from bench.evaluation import Outcome
from bench.exam import Exam
from bench.experts import Experts
from bench.generators import SyntheticGenerator
from bench.planning import Job, load_rules
from bench.records import Cost, Costs, Record, Status
from bench.specs import Budget
from bench.store import Store
from bench.trials import Distillation, Split, Trial

log = logging.getLogger(__name__)

MAX_REASON = 1000
"""Characters of an error's message that a record keeps."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a worker works; nothing in it changes a result's meaning.

    Attributes:
        store: root of the store.
        data_root: where real data lie; ``None`` for the usual places.
        references: for each dataset the text that loads it (its name, or ``name=path``).
        device: where tensors live.
        threads: CPU threads of this worker.
        fresh: distil again even if the store holds the result.
        checkpoint_seconds: time between two checkpoints.
    """

    store: Path
    data_root: Path | None
    references: Mapping[str, str]
    device: str
    threads: int
    fresh: bool = False
    checkpoint_seconds: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A job has come this far in one of its phases."""

    job: str
    phase: str
    done: int
    total: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A trial has ended, well or not."""

    job: str
    record: Record
    correct: bytes | None


Event = Progress | Finished
Emit = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A synthetic source with what is recorded of it."""

    source: SyntheticSource
    artifact: str | None
    prepare: Cost
    distill: Cost

    def serving(self, budget: Budget | None) -> _Made:
        """The same generator serving another budget.

        Raises:
            NotApplicable: the source is no generator.
        """
        if budget is None:
            return self
        if not isinstance(self.source, SyntheticGenerator):
            raise NotApplicable(f"only a generator serves {budget} without being distilled again")
        return replace(self, source=self.source.with_budget(budget.count))


def _merged(parts: Sequence[_Made]) -> _Made:
    """Several distillations as one source: their times added up, the greatest peak.

    Times are those of distillations made apart: expert buffers that they share count each time.
    """
    if len(parts) == 1:
        return parts[0]
    return _Made(
        source=merge([part.source for part in parts]),
        artifact=None,
        prepare=_sum([part.prepare for part in parts]),
        distill=_sum([part.distill for part in parts]),
    )


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(
        seconds=sum(cost.seconds for cost in costs), peak_bytes=max(c.peak_bytes for c in costs)
    )


def run_job(job: Job, settings: Settings, emit: Emit) -> None:
    """Distil and evaluate; emit progress, and one :class:`Finished` for every trial.

    Raises:
        BenchError: something the user must put right; trials finished so far stand.
    """
    torch.set_num_threads(settings.threads)
    environment.use_full_precision()
    device = environment.choose_device(settings.device)
    known: dict[str, _Made | Exception] = {}
    outcomes: dict[str, Outcome] = {}
    for trial in job.trials:
        made: _Made | None = None
        try:
            parts = [
                _distil_once(known, job, plan, settings, device, emit) for plan in trial.sources
            ]
            made = _merged(parts).serving(trial.deployed)
            outcome = outcomes.get(trial.evaluation_key) or _evaluate(
                job, trial, made.source, settings, device, emit
            )
        except Exception as error:
            emit(_failed(job, trial, error, device, made))
            continue
        outcomes[trial.evaluation_key] = outcome
        emit(_finished(job, trial, made, outcome, device))


def _distil_once(
    known: dict[str, _Made | Exception],
    job: Job,
    plan: Distillation,
    settings: Settings,
    device: torch.device,
    emit: Emit,
) -> _Made:
    """A synthetic source of the job; what went wrong once goes wrong for all its trials."""
    if plan.key not in known:
        try:
            known[plan.key] = _distil(job, plan, settings, device, emit)
        except Exception as error:
            known[plan.key] = error
            raise
    found = known[plan.key]
    if isinstance(found, Exception):
        raise found.with_traceback(None)  # it would grow with every trial
    return found


def _distil(
    job: Job, plan: Distillation, settings: Settings, device: torch.device, emit: Emit
) -> _Made:
    """A synthetic source: from the store if it was made before, else made now."""
    store = Store(settings.store)
    train = _real(settings, plan, device).train
    if settings.fresh:
        store.checkpoint(plan.key).unlink(missing_ok=True)
    elif known := _recall(store, plan.key):
        return known

    def report(phase: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        key = job.distillation.key
        emit(Progress(job=key, phase=phase, done=done, total=total, metrics=metrics))

    result = make(
        plan,
        train,
        experts=store.experts,
        checkpoint=store.checkpoint(plan.key),
        checkpoint_seconds=settings.checkpoint_seconds,
        report=report,
    )
    return _keep(store, plan, result)


def _keep(store: Store, plan: Distillation, result: Distilled) -> _Made:
    """Store what was made; the whole training set is not stored again."""
    costs = {"prepare": asdict(result.prepare), "distill": asdict(result.distill)}
    made = _Made(
        source=result.source,
        artifact=None,
        prepare=Cost(**costs["prepare"]),
        distill=Cost(**costs["distill"]),
    )
    if isinstance(result.source, RealSet):
        return made
    scratch = store.artifact(f".{plan.key}")
    sha256 = artifacts.save(result.source, scratch)
    scratch.replace(store.artifact(sha256))
    store.remember(plan.key, costs | {"artifact": sha256, "curve": result.curve})
    return replace(made, artifact=sha256)


def _recall(store: Store, key: str) -> _Made | None:
    """What the store holds of a distillation; damaged files are left aside with a warning."""
    try:
        facts = store.recall(key)
        if facts is None:
            return None
        return _Made(
            source=artifacts.load(store.artifact(facts["artifact"])),
            artifact=facts["artifact"],
            prepare=Cost(**facts["prepare"]),
            distill=Cost(**facts["distill"]),
        )
    except BadFile as error:
        log.warning("%s It is distilled again.", error)
        return None


def _evaluate(
    job: Job,
    trial: Trial,
    source: SyntheticSource,
    settings: Settings,
    device: torch.device,
    emit: Emit,
) -> Outcome:
    real = _real(settings, trial.distillation, device)
    phase = f"{trial.track} on {trial.architecture}"

    def report(seed: int, done: int, total: int) -> None:
        if done % max(1, total // 20) == 0:
            emit(
                Progress(job=job.distillation.key, phase=phase, done=done, total=total, metrics={})
            )

    def report_expert(what: str, done: int, total: int) -> None:
        key = job.distillation.key
        emit(Progress(job=key, phase=what, done=done, total=total, metrics={}))

    experts = Experts(
        folder=Store(settings.store).experts,
        real=real.train,
        report=report_expert,
        checkpoint_seconds=settings.checkpoint_seconds,
    )
    rules = load_rules(trial.protocol, trial.tier)
    return rules.evaluate(
        trial,
        source,
        Exam(test=real.test, experts=experts, report=report, data_root=settings.data_root),
    )


def _real(settings: Settings, plan: Distillation, device: torch.device) -> RealPair:
    reference = settings.references[plan.dataset]
    return _load(reference, settings.data_root, plan.split, plan.preprocessing, device)


@lru_cache(maxsize=2)  # the next job mostly wants the same data
def _load(
    reference: str, data_root: Path | None, split: Split, preprocessing: str, device: torch.device
) -> RealPair:
    pair = datasets.load(reference, data_root=data_root, split=split, preprocessing=preprocessing)
    return RealPair(train=pair.train.to(device), test=pair.test.to(device))


def _finished(
    job: Job, trial: Trial, made: _Made, outcome: Outcome, device: torch.device
) -> Finished:
    record = Record.of(
        trial,
        status="ok",
        labels=made.source.label_kind,
        metrics={"accuracy": outcome.accuracy, "loss": outcome.loss, **outcome.metrics},
        cost=_costs(made, Cost(seconds=outcome.seconds, peak_bytes=outcome.peak_bytes)),
        environment=environment.describe(device, trial.recipe.precision),
        artifact=made.artifact,
        time=_now(),
    )
    return Finished(job=job.distillation.key, record=record, correct=outcome.correct)


def _costs(made: _Made | None, evaluate: Cost | None = None) -> Costs:
    if made is None:
        return Costs()
    return Costs(
        prepare=made.prepare,
        distill=made.distill,
        evaluate=evaluate,
        stored_bytes=made.source.stored_bytes,
    )


def _failed(
    job: Job, trial: Trial, error: Exception, device: torch.device, made: _Made | None = None
) -> Finished:
    """A record of what went wrong.

    Raises:
        BenchError: the error itself, if the user must put it right.
    """
    status, reason = classify(error)
    record = Record.of(
        trial,
        status=status,
        reason=reason,
        labels=made.source.label_kind if made else None,
        cost=_costs(made),
        environment=environment.describe(device, trial.recipe.precision),
        artifact=made.artifact if made else None,
        time=_now(),
    )
    return Finished(job=job.distillation.key, record=record, correct=None)


def abandoned(
    job: Job, finished: Container[str], reason: str, settings: Settings
) -> list[Finished]:
    """Records for the trials that a dead worker left undone; they are tried again next time."""
    device = environment.choose_device(settings.device)
    error = ChildProcessError(reason)
    return [_failed(job, trial, error, device) for trial in job.trials if trial.id not in finished]


def classify(error: Exception) -> tuple[Status, str]:
    """The status and reason that an exception is recorded with.

    Raises:
        BenchError: the error itself, if the user must put it right.
    """
    reason = _first_line(error)
    if isinstance(error, NotApplicable):
        return "skipped", reason
    if isinstance(error, Diverged):
        return "diverged", reason
    if _is_out_of_memory(error):
        return "oom", reason
    if isinstance(error, BenchError) and not isinstance(error, ContractError):
        raise error
    log.error("A trial failed.", exc_info=error)
    return "failed", f"{type(error).__name__}: {reason}"


def _is_out_of_memory(error: Exception) -> bool:
    """Only CUDA's allocator has an exception of its own; others say so in words."""
    words = ("allocate memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def _first_line(error: Exception) -> str:
    """What an error says, as a line of a record can hold it."""
    text = (str(error) or type(error).__name__).partition("\n")[0]
    return text[:MAX_REASON].encode(errors="replace").decode()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
