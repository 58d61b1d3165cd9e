"""How long a plan will take: from records of the same work, counted work where there are none.

A distillation that was never measured stays unknown; it is not guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from bench.planning import Job
from bench.records import Record
from bench.specs import DatasetSpec
from bench.trials import Trial

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
    """

    def __init__(
        self,
        history: Iterable[Record],
        specs: dict[str, DatasetSpec],
        flops_per_second: float | None = None,
    ) -> None:
        distilled, evaluated = defaultdict(list), defaultdict(list)
        for record in history:
            cost, source = record.cost, record.method
            cell = (source.name, record.trial.dataset, record.trial.budget, record.trial.network)
            if cost.prepare and cost.distill:
                key = (*cell, tuple(sorted(source.parameters.items())))
                distilled[key].append(cost.prepare.seconds + cost.distill.seconds)
            if cost.evaluate:
                student = (record.trial.architecture, record.recipe["epochs"])
                evaluated[(record.trial.dataset, record.trial.budget, *student)].append(
                    cost.evaluate.seconds
                )
        self._distilled: dict[_Cell, float] = {k: median(v) for k, v in distilled.items()}
        self._evaluated: dict[_Cell, float] = {k: median(v) for k, v in evaluated.items()}
        self._specs = specs
        self._rate = flops_per_second
        self._flops: dict[tuple[str, str], float] = {}

    def distillation(self, job: Job) -> Seconds:
        """Preparing and distilling once."""
        plan = job.distillation
        key = (
            plan.method,
            plan.dataset,
            plan.budget,
            plan.network,
            tuple(sorted(plan.parameters.items())),
        )
        known = self._distilled.get(key)
        return Seconds(unknown=1) if known is None else Seconds(known)

    def evaluation(self, job: Job) -> Seconds:
        """Every different student of a job."""
        students = {trial.evaluation_key: trial for trial in job.trials}
        return sum((self._student(trial) for trial in students.values()), Seconds())

    def _student(self, trial: Trial) -> Seconds:
        plan = trial.distillation
        student = (trial.architecture, trial.recipe.epochs)
        known = self._evaluated.get((plan.dataset, plan.budget, *student))
        if known is None and self._rate is not None and plan.budget.kind != "full":
            images = plan.budget.count * self._specs[plan.dataset].num_classes
            # a training step costs a forward and twice that backward
            work = 3 * self._forward(trial.architecture, plan.dataset)
            known = work * images * trial.recipe.epochs / self._rate
        return Seconds(unknown=1) if known is None else Seconds(known)

    def _forward(self, network: str, dataset: str) -> float:
        """FLOPs of one image through a network, counted without computing."""
        if (network, dataset) not in self._flops:
            from bench.networks import forward_flops

            self._flops[network, dataset] = forward_flops(network, self._specs[dataset])
        return self._flops[network, dataset]
