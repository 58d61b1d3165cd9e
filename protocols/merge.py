"""``merge``: does a set merged of independently distilled ones equal one distilled in one go?

APM (Chen et al., 2023, arXiv:2312.08912), section 4.3 and figure 4: groups of images that are
distilled apart, so in parallel, may repeat each other. G groups of b images per class are distilled
from different seeds; students train on the first 1, 2, ..., G of them, and on one set of G·b images
per class.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.files import canonical_json
from bench.planning import Request
from bench.recipes import Recipe
from bench.records import Record
from bench.rules import FIELD_NETWORKS, NARROW_NETWORKS, GridRules
from bench.specs import Budget
from bench.statistics import ALPHA, Comparison, holm, welch
from bench.studies import (
    Cell,
    Column,
    Estimate,
    Study,
    accuracies,
    machines,
    mishaps,
    text,
    variant,
)
from bench.trials import TRACKS, Tier, Trial


@dataclass(frozen=True, kw_only=True)
class Merge(GridRules):
    """Every field is a rule of the game: a change is a new ``version``, never an edit.

    The budgets of the grid are those of one group.

    Attributes:
        groups: how many groups are merged at most, for each dataset of the grid.
        other_groups: the same for datasets outside the grid.
        seed_step: group k, from 0, is distilled with the repetition's seed + k · ``seed_step``.
    """

    name: str = "merge"
    groups: tuple[tuple[str, int], ...]
    other_groups: int = 5
    seed_step: int = 100

    @property
    def default_methods(self) -> tuple[str, ...]:
        """Those of the paper's figure that every tier can afford, and real images."""
        return ("random", "dm", "apm")

    def plan(self, request: Request) -> Iterable[Trial]:
        """For every cell 1 to G groups merged, then all their images distilled in one go."""
        for dataset in request.specs:
            for method in request.methods:
                for budget in self.budgets(request, dataset, method):
                    if budget.kind == "ipc":  # nothing else can be merged
                        yield from self._cell(request, dataset, method, budget)

    def _cell(self, request: Request, dataset: str, method: str, budget: Budget) -> Iterator[Trial]:
        groups = dict(self.groups).get(dataset, self.other_groups)
        network = self.network(request.specs[dataset].size_px)
        for seed in self.seeds(request):
            others = self.group_seeds(seed, groups)[1:]
            for track in request.tracks:
                one_go, first = (
                    request.trial(
                        self,
                        method=method,
                        dataset=dataset,
                        budget=Budget("ipc", count * budget.count),
                        track=track,
                        recipe=self.recipe,
                        network=network,
                        architecture=network,
                        seed=seed,
                    )
                    for count in (groups, 1)
                )
                # one recipe and pixel space for all students of a cell: only their images differ
                space = one_go.distillation.preprocessing
                first = replace(
                    first,
                    recipe=one_go.recipe,
                    distillation=replace(first.distillation, preprocessing=space),
                )
                for merged in range(groups):
                    yield replace(first, merged_seeds=others[:merged])
                yield one_go

    def group_seeds(self, seed: int, groups: int) -> tuple[int, ...]:
        """Distillation seeds of the groups of one repetition; the first is its own."""
        return tuple(seed + group * self.seed_step for group in range(groups))

    def studies(self, records: Sequence[Record]) -> Sequence[Study]:
        """Merged sets beside sets of as many images distilled in one go, a table for each track."""
        by_track = {
            track: [record for record in records if record.trial.track == track] for track in TRACKS
        }
        return [_study(members) for members in by_track.values() if members]


@dataclass(frozen=True, order=True)
class _Place:
    """What the repetitions of one row have in common."""

    method: str
    recipe: str
    images: int  # per class, of all sets together
    sets: int

    @classmethod
    def of(cls, record: Record) -> _Place:
        # the seeds differ from repetition to repetition; how many there are is what counts
        sets = 1 + len(record.trial.merged_seeds)
        return cls(
            method=variant(record),
            recipe=canonical_json(record.recipe),
            images=sets * record.trial.budget.count,
            sets=sets,
        )

    @property
    def one_go(self) -> _Place:
        """The row of as many images in one set."""
        return replace(self, sets=1)


COLUMNS = (
    Column(name="Method"),
    Column(name="Sets × images per class"),
    Column(name="Accuracy %", kind="percent"),
    Column(name="Minus one go", kind="points"),
    Column(name="Verdict"),
    Column(name="Distillation", kind="seconds"),
)
NOTES = (
    "Minus one go: against one set of as many images per class distilled in one go; 95 % interval "
    "of Welch's t-test, verdict after Holm's correction over this table.",
    "Distillation: median over the repetitions of all sets together, without preparation; the sets "
    "can be distilled in parallel.",
)


def _study(records: Sequence[Record]) -> Study:
    rows: dict[_Place, list[Record]] = defaultdict(list)
    for record in records:
        rows[_Place.of(record)].append(record)
    where = records[0].trial
    values = {place: accuracies(members) for place, members in rows.items()}
    against = _against_one_go(values)
    return Study(
        title=f"Merging sets distilled apart: {where.dataset}, {where.track} track",
        columns=COLUMNS,
        rows=tuple(
            _row(place, rows[place], values[place], against.get(place)) for place in sorted(rows)
        ),
        notes=(*NOTES, *machines(records), *mishaps(records)),
    )


def _against_one_go(
    values: Mapping[_Place, Sequence[float]],
) -> dict[_Place, tuple[Comparison, float | None]]:
    """Merged sets compared with one set of as many images, each with its Holm-corrected p-value."""
    tests = {
        place: welch(merged, values[place.one_go])
        for place, merged in values.items()
        if place.sets > 1 and merged and values.get(place.one_go)
    }
    p_values = {place: test.p for place, test in tests.items() if test.p is not None}
    adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return {place: (test, adjusted.get(place)) for place, test in tests.items()}


def _row(
    place: _Place,
    records: Sequence[Record],
    values: Sequence[float],
    against: tuple[Comparison, float | None] | None,
) -> tuple[Cell, ...]:
    seconds = [record.cost.distill.seconds for record in records if record.cost.distill]
    test, adjusted_p = against or (None, None)
    return (
        place.method,
        f"{place.sets} × {place.images // place.sets}",
        Estimate.of(values),
        Estimate(value=test.difference, interval=test.interval, n=len(values)) if test else None,
        _verdict(test, adjusted_p) if test else None,
        median(seconds) if seconds else None,
    )


def _verdict(test: Comparison, adjusted_p: float | None) -> str:
    """What a comparison says, in words; that nothing was found is not that nothing is there."""
    if test.interval is None or adjusted_p is None:
        return "one repetition allows no test"
    if adjusted_p < ALPHA:
        return "merging gains" if test.difference > 0 else "merging loses"
    widest = max(map(abs, test.interval))
    return f"no difference shown; at most {text(widest, 'percent')} points"


QUICK = Merge(
    tier="quick",
    grid=(("digits", (2,)),),
    groups=(("digits", 5),),
    networks=NARROW_NETWORKS,
    recipe=Recipe(epochs=300),
)

LITE = Merge(
    tier="lite",
    grid=(("fashion-mnist", (10,)),),
    groups=(("fashion-mnist", 5),),
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
)

PAPER = Merge(
    tier="paper",
    grid=(("cifar10", (50,)), ("tiny-imagenet", (10,))),
    groups=(("cifar10", 10), ("tiny-imagenet", 5)),
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
)

MERGE: dict[Tier, Merge] = {"quick": QUICK, "lite": LITE, "paper": PAPER}
