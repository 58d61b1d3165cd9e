"""How long a plan will take: from records of the same work, counted work where there are none.

A distillation that was never measured stays unknown; it is not guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from bench.planning import Job
from bench.records import Record
from bench.specs import DatasetSpec
from bench.trials import Distillation, Trial

_Cell = tuple[object, ...]


@dataclass(frozen=True)
class Seconds:
    """Known seconds, and how many pieces of work are unknown."""

    known: float = 0.0
    unknown: int = 0

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(self.known + other.known, self.unknown + other.unknown)


class Estimates:
    """Medians of what equal work has taken before.

    Args:
        history: records, for example of the store and of the published results.
        specs: the datasets, for work that has to be counted.
        flops_per_second: of the device at hand, or ``None`` to count nothing.
        held: whether the source with this key is kept and takes no time; ``None`` if none is.
    """

    def __init__(
        self,
        history: Iterable[Record],
        specs: dict[str, DatasetSpec],
        flops_per_second: float | None = None,
        held: Callable[[str], bool] | None = None,
    ) -> None:
        distilled: dict[_Cell, list[float]] = defaultdict(list)
        evaluated: dict[_Cell, list[float]] = defaultdict(list)
        for record in history:
            cost, source, where = record.cost, record.method, record.trial
            sets = 1 + len(where.merged_seeds)
            if cost.prepare and cost.distill and sets == 1:
                made_for = where.distilled_for or where.budget
                distiller = where.distilled_by or source.name
                cell = (distiller, where.dataset, made_for, where.network)
                parameters = tuple(sorted(source.parameters.items()))
                distilled[*cell, parameters].append(cost.prepare.seconds + cost.distill.seconds)
            if cost.evaluate:
                student = (where.architecture, record.recipe["epochs"])
                evaluated[where.dataset, where.budget, sets, *student].append(cost.evaluate.seconds)
        self._distilled: dict[_Cell, float] = {k: median(v) for k, v in distilled.items()}
        self._evaluated: dict[_Cell, float] = {k: median(v) for k, v in evaluated.items()}
        self._specs = specs
        self._rate = flops_per_second
        self._held = held
        self._flops: dict[tuple[str, str], float] = {}

    def distillation(self, job: Job) -> Seconds:
        """Preparing and distilling everything that the job's students train on."""
        sources = {source.key: source for trial in job.trials for source in trial.sources}
        return sum((self.source(source) for source in sources.values()), Seconds())

    def source(self, plan: Distillation) -> Seconds:
        """Preparing and distilling one synthetic source."""
        if self._held and self._held(plan.key):
            return Seconds()
        cell = (plan.method, plan.dataset, plan.budget, plan.network)
        known = self._distilled.get((*cell, tuple(sorted(plan.parameters.items()))))
        return Seconds(unknown=1) if known is None else Seconds(known)

    def evaluation(self, job: Job) -> Seconds:
        """Every different student of a job."""
        students = {trial.evaluation_key: trial for trial in job.trials}
        return sum((self.student(trial) for trial in students.values()), Seconds())

    def by_trial(self, jobs: Iterable[Job]) -> dict[str, float]:
        """Known seconds of each trial by id; a job's first trial also waits for its distillation.

        Trials that share a student with one before them take no time.
        """
        seconds: dict[str, float] = {}
        for job in jobs:
            trained: set[str] = set()
            for trial in job.trials:
                new = trial.evaluation_key not in trained
                seconds[trial.id] = self.student(trial).known if new else 0.0
                trained.add(trial.evaluation_key)
            seconds[job.trials[0].id] += self.distillation(job).known
        return seconds

    def student(self, trial: Trial) -> Seconds:
        """Training and testing one student."""
        dataset, budget, sets = trial.distillation.dataset, trial.budget, len(trial.sources)
        student = (trial.architecture, trial.recipe.epochs)
        known = self._evaluated.get((dataset, budget, sets, *student))
        if known is None and self._rate is not None and budget.kind != "full":
            images = sets * budget.count * self._specs[dataset].num_classes
            # a training step costs a forward and twice that backward
            work = 3 * self._forward(trial.architecture, dataset)
            known = work * images * trial.recipe.epochs / self._rate
        return Seconds(unknown=1) if known is None else Seconds(known)

    def _forward(self, network: str, dataset: str) -> float:
        """FLOPs of one image through a network, counted without computing."""
        if (network, dataset) not in self._flops:
            from bench.networks import forward_flops

            self._flops[network, dataset] = forward_flops(network, self._specs[dataset])
        return self._flops[network, dataset]
