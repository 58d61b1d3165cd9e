"""What a worker does: train experts, distil, train and test students.

Whatever goes wrong inside a method or a student becomes a record with its reason; only faults that
the user must put right (a full disk, missing data) stop the run.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import torch

from bench import datasets, environment
from bench.datasets import RealPair
from bench.distillation import make
from bench.evaluation import Choice, Outcome
from bench.exam import Entry, Exam
from bench.executors.graph import Distil, Examine, Node, TrainExpert, source_key, students
from bench.experts import Experts
from bench.failures import FAULTS, Failed
from bench.planning import Job, load_rules
from bench.records import Cost, Costs, Record
from bench.sources import Made, keep, merged, recall
from bench.store import Store
from bench.trials import Distillation, Split, Trial


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
        strategy: how students are trained (:mod:`bench.evaluation.engine`).
        checkpoint_seconds: time between two checkpoints.
    """

    store: Path
    data_root: Path | None
    references: Mapping[str, str]
    device: str
    threads: int
    fresh: bool = False
    strategy: Choice = "auto"
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
Known = dict[str, Made | Failed]
"""Synthetic sources by the keys of their plans: what went wrong once goes wrong for all."""

NO_FAILURES: Mapping[str, Failed] = MappingProxyType({})


def run_job(job: Job, settings: Settings, emit: Emit) -> None:
    """Distil and evaluate in this process; emit progress, and one :class:`Finished` for each trial.

    Raises:
        BenchError: something the user must put right; trials finished so far stand.
    """
    known: Known = {}
    for student in students(job):
        _Worker(settings, emit).examine(student, known)


def perform(
    node: Node, settings: Settings, emit: Emit, failures: Mapping[str, Failed] = NO_FAILURES
) -> Failed | None:
    """Do one piece of a graph; what it makes is in the store.

    Args:
        node: what to do.
        settings: how.
        emit: called with progress, and with one :class:`Finished` for each trial of a student.
        failures: how what ``node`` needs went wrong, or ``node`` itself before, by key; what has
            no other way goes the same way.

    Returns:
        How it went wrong, if it did and something may wait for it.

    Raises:
        BenchError: something the user must put right; trials finished so far stand.
    """
    if isinstance(node, Examine):
        # what was distilled for this very graph is not done again
        settings = replace(settings, fresh=False)
        _Worker(settings, emit).examine(node, _known(node, failures))
        return None
    if failures:
        return next(iter(failures.values()))
    try:
        if isinstance(node, Distil):
            _Worker(settings, emit).distil(node.plan, node.job)
        elif isinstance(node, TrainExpert):
            _Worker(settings, emit).train(node)
    except FAULTS as error:
        found = Failed.of(error)
        # an expert's fault shows again where the expert is needed, and is recorded there
        return found if isinstance(node, Distil) else None
    return None


def _known(node: Examine, failures: Mapping[str, Failed]) -> Known:
    """How sources went wrong before; what is no source's fault is that of all."""
    plans = {source_key(plan): plan for trial in node.trials for plan in trial.sources}
    shared = next((failures[key] for key in failures if key not in plans), None)
    found = {plan.key: failures.get(key, shared) for key, plan in plans.items()}
    return {key: failure for key, failure in found.items() if failure is not None}


class _Worker:
    """One process at work under some settings."""

    def __init__(self, settings: Settings, emit: Emit) -> None:
        torch.set_num_threads(settings.threads)
        environment.prepare_process()
        self.settings = settings
        self.emit = emit
        self.store = Store(settings.store)
        self.device = environment.choose_device(settings.device)

    def train(self, node: TrainExpert) -> None:
        """Train an expert that is not in the buffers yet."""
        self._experts(node.plan, node.job).train([node.expert])

    def distil(self, plan: Distillation, job: str) -> Made:
        """A synthetic source: from the store if it was made before, else made now."""
        checkpoint = self.store.checkpoint(plan.key)
        if self.settings.fresh:
            checkpoint.unlink(missing_ok=True)
        elif found := recall(self.store, plan.key):
            checkpoint.unlink(missing_ok=True)  # a kill may have come before it went
            return found

        def report(phase: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
            self.emit(Progress(job=job, phase=phase, done=done, total=total, metrics=metrics))

        result = make(
            plan,
            self._real(plan).train,
            experts=self.store.experts,
            checkpoint=checkpoint,
            checkpoint_seconds=self.settings.checkpoint_seconds,
            report=report,
        )
        made = keep(self.store, plan, result, environment.describe(self.device))
        checkpoint.unlink(missing_ok=True)  # not before all of it is kept
        return made

    def examine(self, node: Examine, known: Known) -> None:
        """Train and test students; what is not ``known`` of their sources is made and noted."""
        ready: list[tuple[tuple[Trial, ...], Made]] = []
        for trials in node.students:
            try:
                ready.append((trials, self._made(trials[0], node.job, known)))
            except FAULTS as error:
                self._end(node.job, trials, None, Failed.of(error))
        entries = [Entry(trials[0], made.source) for trials, made in ready]
        outcomes = self._outcomes(node.job, entries)
        for (trials, made), outcome in zip(ready, outcomes, strict=True):
            self._end(node.job, trials, made, outcome)

    def _made(self, trial: Trial, job: str, known: Known) -> Made:
        """What a trial's student trains on."""
        parts = [self._source(plan, job, known) for plan in trial.sources]
        return merged(parts).serving(trial.deployed)

    def _end(
        self, job: str, trials: Sequence[Trial], made: Made | None, outcome: Outcome | Failed
    ) -> None:
        for trial in trials:
            self.emit(_ended(job, trial, self.settings, self.device, made, outcome))

    def _source(self, plan: Distillation, job: str, known: Known) -> Made:
        if plan.key not in known:
            try:
                known[plan.key] = self.distil(plan, job)
            except FAULTS as error:
                known[plan.key] = Failed.of(error)
        found = known[plan.key]
        if isinstance(found, Failed):
            raise found.with_traceback(None)  # it would grow with every trial
        return found

    def _outcomes(self, job: str, entries: Sequence[Entry]) -> list[Outcome | Failed]:
        """How each student went; where something goes wrong among several, each is tried alone."""
        if not entries:
            return []
        try:
            return [*self._evaluate(job, entries)]
        except FAULTS as error:
            if len(entries) == 1:
                return [Failed.of(error)]
        return [found for entry in entries for found in self._outcomes(job, [entry])]

    def _evaluate(self, job: str, entries: Sequence[Entry]) -> list[Outcome]:
        trial = entries[0].trial
        phase = f"{trial.track} on {trial.architecture}"

        def report(seed: int, done: int, total: int) -> None:
            if done % max(1, total // 20) == 0:
                self._progress(job, phase, done, total)

        exam = Exam(
            test=self._real(trial.distillation).test,
            experts=self._experts(trial.distillation, job),
            report=report,
            data_root=self.settings.data_root,
            strategy=self.settings.strategy,
        )
        return load_rules(trial.protocol, trial.tier).evaluate(entries, exam)

    def _experts(self, plan: Distillation, job: str) -> Experts:
        def report(what: str, done: int, total: int) -> None:
            self._progress(job, what, done, total)

        return Experts(
            folder=self.store.experts,
            real=self._real(plan).train,
            report=report,
            checkpoint_seconds=self.settings.checkpoint_seconds,
        )

    def _progress(self, job: str, phase: str, done: int, total: int) -> None:
        self.emit(Progress(job=job, phase=phase, done=done, total=total, metrics={}))

    def _real(self, plan: Distillation) -> RealPair:
        reference, data_root = self.settings.references[plan.dataset], self.settings.data_root
        return _load(reference, data_root, plan.split, plan.preprocessing, self.device)


@lru_cache(maxsize=2)  # the next piece of work mostly wants the same data
def _load(
    reference: str, data_root: Path | None, split: Split, preprocessing: str, device: torch.device
) -> RealPair:
    pair = datasets.load(reference, data_root=data_root, split=split, preprocessing=preprocessing)
    return RealPair(train=pair.train.to(device), test=pair.test.to(device))


def _ended(
    job: str,
    trial: Trial,
    settings: Settings,
    device: torch.device,
    made: Made | None,
    outcome: Outcome | Failed,
) -> Finished:
    """A trial's end with its record."""
    evaluate, strategy = None, str(settings.strategy)
    facts: dict[str, object] = {}
    if isinstance(outcome, Failed):
        facts = {"status": outcome.status, "reason": outcome.reason}
    else:
        strategy = outcome.strategy
        evaluate = Cost(seconds=outcome.seconds, peak_bytes=outcome.peak_bytes)
        metrics = {"accuracy": outcome.accuracy, "loss": outcome.loss, **outcome.metrics}
        facts = {"status": "ok", "metrics": metrics}
    record = Record.of(
        trial,
        labels=made.source.label_kind if made else None,
        cost=_costs(made, evaluate),
        environment=environment.describe(device, trial.recipe.precision, strategy),
        artifact=made.artifact if made else None,
        time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **facts,
    )
    correct = None if isinstance(outcome, Failed) else outcome.correct
    return Finished(job=job, record=record, correct=correct)


def _costs(made: Made | None, evaluate: Cost | None) -> Costs:
    if made is None:
        return Costs()
    return Costs(
        prepare=made.prepare,
        distill=made.distill,
        evaluate=evaluate,
        stored_bytes=made.source.stored_bytes,
        distilled_on=made.distilled_on,
    )


def abandoned(
    node: Examine, finished: Container[str], failure: Failed, settings: Settings
) -> list[Finished]:
    """The ends of the trials that a lost worker left undone; they are tried again next time."""
    device = environment.choose_device(settings.device)
    return [
        _ended(node.job, trial, settings, device, None, failure)
        for trial in node.trials
        if trial.id not in finished
    ]
