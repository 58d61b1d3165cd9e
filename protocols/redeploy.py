"""``redeploy``: what it costs to serve another number of images per class after distillation.

DiM (Wang et al., 2023, arXiv:2303.04707), figure 1d and table 1: image sets must be distilled
again for every budget, a generator is distilled once and samples more images. Budgets are served
one after the other, smallest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.planning import Request
from bench.recipes import Recipe
from bench.records import Record
from bench.rules import FIELD_NETWORKS, NARROW_NETWORKS, GridRules
from bench.specs import Budget
from bench.studies import Cell, Column, Estimate, Study, accuracies, machines, mishaps, variant
from bench.trials import TRACKS, Tier, Track, Trial


@dataclass(frozen=True, kw_only=True)
class Redeploy(GridRules):
    """Every field is a rule of the game: a change is a new ``version``, never an edit."""

    name: str = "redeploy"

    @property
    def default_methods(self) -> tuple[str, ...]:
        """Real and distilled images, and a generator."""
        return ("random", "dm", "dim")

    def plan(self, request: Request) -> Iterable[Trial]:
        """Every budget of a method, smallest first; the whole training set has none to change."""
        for dataset in request.specs:
            for method in request.methods:
                for budget in sorted(self.budgets(request, dataset, method)):
                    if budget.kind != "full":
                        yield from self._trials(request, dataset, method, budget)

    def _trials(
        self, request: Request, dataset: str, method: str, budget: Budget
    ) -> Iterator[Trial]:
        for seed in self.seeds(request):
            for track in request.tracks:
                yield self.student(
                    request,
                    dataset=dataset,
                    method=method,
                    budget=budget,
                    track=track,
                    recipe=self.recipe,
                    seed=seed,
                )

    def studies(self, records: Sequence[Record]) -> Sequence[Study]:
        """Accuracy and cost of serving one budget after another, a table for each track."""
        by_track: dict[Track, list[Record]] = defaultdict(list)
        for record in records:
            by_track[record.trial.track].append(record)
        return [_study(track, by_track[track]) for track in TRACKS if track in by_track]


COLUMNS = (
    Column(name="Method"),
    Column(name="Budget"),
    Column(name="Accuracy %", kind="percent"),
    Column(name="To serve it first", kind="seconds"),
    Column(name="To change to it", kind="seconds"),
    Column(name="Spent by then", kind="seconds"),
    Column(name="One student", kind="seconds"),
    Column(name="Stored", kind="bytes"),
)
NOTES = (
    "To serve it first: preparation (expert buffers) and distillation, with nothing made before.",
    "To change to it: distillation again, nothing for what is distilled already; expert buffers "
    "are kept from the first budget.",
    "Spent by then: the first budget of the method, and every change since.",
    "Times are medians over the repetitions; one student's includes drawing its images.",
)


def _study(track: Track, records: Sequence[Record]) -> Study:
    methods: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        methods[variant(record)].append(record)
    return Study(
        title=f"Changing the budget: {records[0].trial.dataset}, {track} track",
        columns=COLUMNS,
        rows=tuple(row for name in sorted(methods) for row in _rows(name, methods[name])),
        notes=(*NOTES, *machines(records), *mishaps(records)),
    )


def _rows(method: str, records: Sequence[Record]) -> Iterator[tuple[Cell, ...]]:
    """The budgets of one method, in the order in which they are served."""
    cells: dict[tuple[Budget, Budget], list[Record]] = defaultdict(list)
    for record in records:
        served = record.trial.budget
        cells[served, record.trial.distilled_for or served].append(record)
    spent: float | None = 0.0
    distilled: set[Budget] = set()
    for (served, source), members in sorted(cells.items()):
        first, again = _distillation_seconds(members)
        change = 0.0 if source in distilled else again
        step = change if distilled else first
        spent = None if spent is None or step is None else spent + step
        yield (
            method,
            str(served),
            Estimate.of(accuracies(members)),
            first,
            change if distilled else None,
            spent,
            _median(r.cost.evaluate.seconds for r in members if r.cost.evaluate),
            _median(r.cost.stored_bytes for r in members if r.cost.stored_bytes is not None),
        )
        distilled.add(source)


def _distillation_seconds(records: Iterable[Record]) -> tuple[float | None, float | None]:
    """With preparation and without; ``None`` where no distillation ended."""
    costs = [(r.cost.prepare, r.cost.distill) for r in records]
    made = [(prepare, distill) for prepare, distill in costs if prepare and distill]
    return (
        _median(prepare.seconds + distill.seconds for prepare, distill in made),
        _median(distill.seconds for _, distill in made),
    )


def _median(values: Iterable[float]) -> float | None:
    known = list(values)
    return median(known) if known else None


QUICK = Redeploy(
    tier="quick",
    grid=(("digits", (1, 10, 50)),),
    networks=NARROW_NETWORKS,
    recipe=Recipe(epochs=300),
)

LITE = Redeploy(
    tier="lite",
    grid=(("fashion-mnist", (1, 10, 50)),),
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
)

PAPER = Redeploy(
    tier="paper",
    grid=(("cifar10", (1, 10, 50)),),
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
)

REDEPLOY: dict[Tier, Redeploy] = {"quick": QUICK, "lite": LITE, "paper": PAPER}
