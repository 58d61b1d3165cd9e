"""How long a plan will take: from records of the same work, counted work where there are none.

Times are for one device. Records made on it come first; those of another device of its kind (a CPU,
or a GPU) are scaled by the kernel that every record times; those of the other kind say nothing. A
distillation that was never measured stays unknown; it is not guessed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from bench.planning import Job
from bench.records import Environment, Record
from bench.trials import Distillation, Trial

_Cell = tuple[object, ...]


@dataclass(frozen=True)
class Seconds:
    """Known seconds, and how many pieces of work are unknown.

    Attributes:
        known: of the work whose time is known.
        unknown: pieces of work whose time is not.
        measured_on: names of the devices whose records were asked.
    """

    known: float = 0.0
    unknown: int = 0
    measured_on: frozenset[str] = field(default=frozenset(), compare=False)

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(
            self.known + other.known,
            self.unknown + other.unknown,
            self.measured_on | other.measured_on,
        )


class _Medians:
    """What each kind of work took.

    Args:
        here: the device that the times are for; ``None`` for whichever did the work.
    """

    def __init__(self, here: Environment | None) -> None:
        self._here = here
        self._taken: dict[_Cell, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def note(self, cell: _Cell, seconds: float, where: Environment) -> None:
        """Work of this kind took so long there."""
        factor = 1.0 if self._here is None else _factor(where, self._here)
        if factor is not None:
            self._taken[cell][where.device].append(factor * seconds)

    def __getitem__(self, cell: _Cell) -> Seconds:
        """The median of equal work; unknown if there is none."""
        by_device = self._taken.get(cell, {})
        if self._here is not None and self._here.device in by_device:
            by_device = {self._here.device: by_device[self._here.device]}
        times = [seconds for found in by_device.values() for seconds in found]
        if not times:
            return Seconds(unknown=1)
        return Seconds(median(times), measured_on=frozenset(by_device))


def _factor(there: Environment, here: Environment) -> float | None:
    """How many times as long work takes here as there; ``None`` if they do not compare."""
    if there.device == here.device:
        return 1.0
    if bool(there.driver) != bool(here.driver) or not there.calibration_seconds:
        return None
    return here.calibration_seconds / there.calibration_seconds


class Estimates:
    """Medians of what equal work has taken before.

    Args:
        history: records, for example of the store and of the published results.
        here: the device that the times are for; ``None`` for whichever did the work.
        untimed: the seconds of a student that no record times, or ``None`` if it cannot say.
        held: whether the source with this key is kept and takes no time; ``None`` if none is.
    """

    def __init__(
        self,
        history: Iterable[Record],
        here: Environment | None = None,
        untimed: Callable[[Trial], float | None] | None = None,
        held: Callable[[str], bool] | None = None,
    ) -> None:
        self._distilled, self._evaluated = _Medians(here), _Medians(here)
        self._untimed, self._held = untimed, held
        for record in history:
            self._note(record)

    def _note(self, record: Record) -> None:
        """Take up what a record says of its distillation and of its student."""
        cost, source, where = record.cost, record.method, record.trial
        sets = 1 + len(where.merged_seeds)
        if cost.prepare and cost.distill and sets == 1:
            made_for = where.distilled_for or where.budget
            distiller = where.distilled_by or source.name
            parameters = tuple(sorted(source.parameters.items()))
            made = (distiller, where.dataset, made_for, where.network, parameters)
            # records that do not say where are of those that did all in one place
            there, *_ = cost.distilled_on or (record.environment,)
            self._distilled.note(made, cost.prepare.seconds + cost.distill.seconds, there)
        if cost.evaluate:
            student = (where.architecture, record.recipe["epochs"], record.environment.precision)
            trained = (where.dataset, where.budget, sets, *student)
            self._evaluated.note(trained, cost.evaluate.seconds, record.environment)

    def distillation(self, job: Job) -> Seconds:
        """Preparing and distilling everything that the job's students train on."""
        sources = {source.key: source for trial in job.trials for source in trial.sources}
        return sum((self.source(source) for source in sources.values()), Seconds())

    def source(self, plan: Distillation) -> Seconds:
        """Preparing and distilling one synthetic source."""
        if self._held and self._held(plan.key):
            return Seconds()
        parameters = tuple(sorted(plan.parameters.items()))
        cell = (plan.method, plan.dataset, plan.budget, plan.network, parameters)
        return self._distilled[cell]

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
        recipe, sets = trial.recipe, len(trial.sources)
        student = (trial.architecture, recipe.epochs, recipe.precision)
        found = self._evaluated[trial.distillation.dataset, trial.budget, sets, *student]
        if found.unknown and self._untimed is not None:
            counted = self._untimed(trial)
            return found if counted is None else Seconds(counted)
        return found
