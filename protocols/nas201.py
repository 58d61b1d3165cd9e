"""``nas201``: does a distilled set rank architectures as the real data do?

Cells of NAS-Bench-201, drawn once, are trained on each distilled set, shuffled, as discrete
networks; the ranking of their accuracies is compared with the ground truth. As APM,
arXiv:2312.08912 (section 4.3), and DC-BENCH, arXiv:2207.09639, whose lists of architectures and
networks are not published. References: random images, the whole training set for as many steps, and
the tabulated 12-epoch training.

The ground truth of CIFAR is the official one, read from the compact table (:mod:`bench.nas_table`);
for other data it is measured, by training each cell for longer on the whole training set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, product
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from bench import nas_table, networks
from bench.errors import InvalidValue
from bench.nas_table import SHORT, TRUTH, Tabulated
from bench.planning import Request
from bench.rank_statistics import (
    RankStatistic,
    bootstrap_interval,
    kendall,
    spearman,
    top_overlap,
)
from bench.recipes import Recipe
from bench.references import reference, with_references
from bench.rules import FIELD_NETWORKS, NARROW_NETWORKS, GridRules
from bench.specs import Budget
from bench.studies import Cell, Column, Estimate, GroundTruth, Study, mishaps, variant
from bench.trials import Tier, Trial

if TYPE_CHECKING:
    from bench.evaluation import Outcome
    from bench.exam import Entry, Exam
    from bench.records import Record

RANDOM, WHOLE = "random", "whole"
TABULATED_SHORT = "12 epochs, tabulated"
FULL = Budget("full", 0)

# Codes (bench.nas) in the order drawn: a permutation of all 15,625 codes, ascending, by
# bench.randomness.generator("nas201", "cells"), without cells that compute what an earlier one does
_DRAWN = """
    011434 222422 434302 124020 201121 113303 044021 021044 310242 242112
    201313 332304 434011 240314 420340 314211 020104 401020 130404 422240
    211303 104410 342002 441444 110320 230324 243442 100424 101244 433321
    312201 031141 430310 312332 324002 324414 141204 300302 422040 402430
    220211 430042 111001 322130 210343 243201 401322 220124 101344 320444
    210412 434002 414101 011122 301014 210121 320021 410424 201003 133412
    120422 301332 420231 330040 420433 201034 102121 244440 020140 302411
    402313 332242 442223 203210 330414 132124 424104 244221 311424 304141
    130311 103341 031023 134422 313224 111412 444131 120124 042434 120042
    214233 113331 041432 442444 230432 243112 233222 140423 333033 333043
"""
CELLS = tuple(_DRAWN.split())


def _tabulated(dataset: str, prefix: str) -> Tabulated:
    return Tabulated(
        dataset=dataset,
        truth=f"{prefix}_test_200",
        short=f"{prefix}_test_12",
        validation=f"{prefix}_valid_12",
    )


TABULATED = (
    _tabulated("cifar10", "cifar10"),
    _tabulated("cifar10-jpeg75", "cifar10"),
    _tabulated("cifar10-lossless-6k", "cifar10"),
    _tabulated("cifar100", "cifar100"),
)


@dataclass(frozen=True, kw_only=True)
class Nas201(GridRules):
    """Every field is a rule of the game: a change is a new ``version``, never an edit.

    There is no native track: with epochs and losses of their own, methods would rank recipes.

    Attributes:
        cells: codes of the architectures.
        channels: C, channels of the first stage.
        stage_cells: N, cells in each stage.
        whole_epochs: epochs on the whole training set that make about as many steps as ``recipe``
            makes on sets of the grid's own budgets.
        truth: how each cell is trained on the whole training set where the truth is measured.
        truth_seeds_after: a measured truth takes the seeds of the repetitions plus this, so that it
            shares no initial weights and no order of images with what it judges.
        tabulated: datasets whose truth is not measured.
        top: how many of the best cells are compared.
    """

    name: str = "nas201"
    default_seeds: int = 3
    cells: tuple[str, ...]
    channels: int
    stage_cells: int
    whole_epochs: int
    truth: Recipe
    truth_seeds_after: int = 10_000
    tabulated: tuple[Tabulated, ...] = TABULATED
    top: int

    def architecture(self, code: str) -> str:
        """The network of a cell."""
        return f"nas201-c{self.channels}-n{self.stage_cells}-{code}"

    def table_of(self, dataset: str) -> Tabulated | None:
        """Where the truth of a dataset is tabulated; ``None`` where it is measured."""
        return next((found for found in self.tabulated if found.dataset == dataset), None)

    @property
    def default_methods(self) -> tuple[str, ...]:
        """Few in the quick tier, which is to be done in minutes; all of them in the others."""
        return ("random", "dm", "tesla", "apm") if self.tier == "quick" else ()

    def require(self, datasets: Iterable[str], data_root: Path | None) -> None:
        """The table of cells, for a dataset whose truth is tabulated.

        Raises:
            MissingData: there is none under ``data_root``; the message says how to make it.
            BadFile: it is damaged.
        """
        if any(self.table_of(dataset) for dataset in datasets):
            _table(data_root)

    def plan(self, request: Request) -> Iterable[Trial]:
        """Every cell for the ground truth, on the references and on what was asked for.

        Raises:
            InvalidValue: the native track alone is asked for.
        """
        if "standard" not in request.tracks:
            raise InvalidValue(f"{self.name} has the standard track alone; leave out --track.")
        for dataset in request.specs:
            for method, budget, recipe in self._rows(request, dataset):
                after = self.truth_seeds_after if recipe is self.truth else 0
                for seed, code in product(self.seeds(request), self.cells):
                    yield request.trial(
                        self,
                        method=method,
                        dataset=dataset,
                        budget=budget,
                        track="standard",
                        recipe=recipe,
                        network=self.network(request.specs[dataset].size_px),
                        architecture=self.architecture(code),
                        seed=seed + after,
                    )

    def _rows(self, request: Request, dataset: str) -> Iterator[tuple[str, Budget, Recipe]]:
        if self.table_of(dataset) is None:
            yield WHOLE, FULL, self.truth
        short = replace(self.recipe, epochs=self.whole_epochs)
        for method, budget in with_references(self, request, dataset, (WHOLE, RANDOM)):
            yield method, budget, short if budget == FULL else self.recipe

    def evaluate(self, entries: Sequence[Entry], exam: Exam) -> list[Outcome]:
        """Train cells, test each once after its last epoch; note its tabulated truth, if any."""
        outcomes = super().evaluate(entries, exam)
        return [
            replace(outcome, metrics=self._tabulated(entry.trial, exam))
            for entry, outcome in zip(entries, outcomes, strict=True)
        ]

    def _tabulated(self, trial: Trial, exam: Exam) -> Mapping[str, float]:
        found = self.table_of(trial.distillation.dataset)
        if found is None:
            return {}
        code, split = code_of(trial.architecture), trial.distillation.split
        return found.metrics(_table(exam.data_root), code, split)

    def studies(self, records: Sequence[Record]) -> Sequence[Study]:
        """How well each method ranks the cells, a table for each budget."""
        students = [record for record in records if not self.measures_truth(record)]
        budgets = {record.trial.budget for record in students} - {FULL}
        return [
            self._study(records, [r for r in students if _stands_in(r, budget)], budget)
            for budget in sorted(budgets)
        ]

    def ground_truth(self, records: Sequence[Record]) -> GroundTruth:
        """What the cells of one dataset are ranked against, as far as these records tell it."""
        means = self._truth(records).means
        return GroundTruth(
            title=self._truth_title(records[0].trial.dataset),
            accuracies={self.architecture(code): mean for code, mean in means.items()},
        )

    def _truth_title(self, dataset: str) -> str:
        if self.table_of(dataset):
            return "the table of NAS-Bench-201"
        return f"{self.truth.epochs} epochs on the whole training set"

    def measures_truth(self, record: Record) -> bool:
        """Whether a student is one of those that measure the ground truth."""
        return record.trial.budget == FULL and record.recipe == self.truth.as_dict()

    def _study(
        self, records: Sequence[Record], students: Sequence[Record], budget: Budget
    ) -> Study:
        dataset = records[0].trial.dataset
        truth = self._truth(records)
        rows: dict[tuple[bool, str], list[Record]] = defaultdict(list)
        for record in students:
            rows[record.trial.budget == FULL, variant(record)].append(record)
        rankings = {name: Ranking.of(rows[full, name]) for full, name in sorted(rows)}
        short = Ranking.of(students, SHORT)
        if short.by_cell:
            rankings[TABULATED_SHORT] = short
        return Study(
            title=f"Ranking cells of NAS-Bench-201: {dataset}, {budget}",
            columns=(
                Column(name="Method"),
                Column(name="Spearman", kind="number"),
                Column(name="Kendall", kind="number"),
                Column(name=f"Top {self.top} shared %", kind="percent"),
                Column(name="Mean accuracy %", kind="percent"),
                Column(name="Cells", kind="number"),
                Column(name="Seeds", kind="number"),
            ),
            rows=tuple(
                (
                    name,
                    *self._cells(ranking, truth.means),
                    None if name == TABULATED_SHORT else ranking.seeds,
                )
                for name, ranking in rankings.items()
            ),
            notes=(
                *self._truth_notes(dataset, truth),
                "95 % intervals: bootstrap over cells, each with its mean over seeds.",
                f"{WHOLE}: {self.whole_epochs} epochs on the whole training set, about as many "
                f"steps as the other rows make at the budgets of the protocol's grid.",
                *self._unfinished(rankings, truth),
                *mishaps(records),
            ),
        )

    def _truth(self, records: Sequence[Record]) -> Ranking:
        """The ground truth so far: tabulated, or measured."""
        if self.table_of(records[0].trial.dataset):
            return Ranking.of(records, TRUTH)
        return Ranking.of(
            [record for record in reference(records, WHOLE, FULL) if self.measures_truth(record)]
        )

    def _cells(self, ranking: Ranking, truth: Mapping[str, float]) -> Iterator[Cell]:
        """Agreement with the truth over the cells that both have, and what it rests on."""
        shared = [code for code in self.cells if code in ranking.means and code in truth]
        ours = [ranking.means[code] for code in shared]
        theirs = [truth[code] for code in shared]
        yield self._agreement(spearman, ours, theirs)
        yield self._agreement(kendall, ours, theirs)
        yield top_overlap(ours, theirs, self.top) if len(shared) >= self.top else None
        yield fmean(ours) if ours else None
        yield len(shared)

    def _agreement(
        self, statistic: RankStatistic, ours: Sequence[float], theirs: Sequence[float]
    ) -> Cell:
        value = statistic(ours, theirs)
        if value is None:
            return None
        # one stream for all rows: the same cells are drawn for each
        interval = bootstrap_interval(statistic, ours, theirs, self.name)
        return Estimate(value=value, interval=interval, n=len(ours))

    def _truth_notes(self, dataset: str, truth: Ranking) -> Iterator[str]:
        here, title = f"C = {self.channels}, N = {self.stage_cells}", self._truth_title(dataset)
        if self.table_of(dataset):
            yield f"Ground truth: {title}, whose networks have C = 16, N = 5; here {here}."
            return
        yield f"Ground truth: {title}; {here}."
        agreement, seeds = truth.agreement_of_seeds, truth.seeds
        if agreement is not None:
            yield (
                f"Two seeds of the ground truth agree with a Spearman of {agreement:.2f}, the "
                f"mean over pairs of seeds."
            )
        if agreement is not None and agreement > 0 and seeds > 1:
            reliable = seeds * agreement / (1 + (seeds - 1) * agreement)
            yield (
                f"The mean of {seeds} seeds is then reliable to {reliable:.2f} (Spearman–Brown), "
                f"so that even a perfect ranking is expected to reach about {reliable**0.5:.2f}."
            )

    def _unfinished(self, rankings: Mapping[str, Ranking], truth: Ranking) -> Iterator[str]:
        for name, ranking in {"the ground truth": truth, **rankings}.items():
            if len(ranking.means) < len(self.cells):
                yield f"So far {name} has {len(ranking.means)} of {len(self.cells)} cells."


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Accuracies of cells, in [0, 1], by code and seed."""

    by_cell: Mapping[str, Mapping[int, float]]

    @classmethod
    def of(cls, records: Iterable[Record], metric: str = "accuracy") -> Ranking:
        """Of the records that ended well."""
        by_cell: dict[str, dict[int, float]] = defaultdict(dict)
        for record in records:
            if record.status == "ok" and metric in record.metrics:
                seeds = by_cell[code_of(record.trial.architecture)]
                seeds[record.trial.evaluation_seed] = record.metrics[metric]
        return cls(by_cell=by_cell)

    @property
    def means(self) -> dict[str, float]:
        """The accuracy of each cell, a mean over its seeds."""
        return {
            code: fmean(seeds[seed] for seed in sorted(seeds))
            for code, seeds in self.by_cell.items()
        }

    @property
    def seeds(self) -> int:
        """How many seeds every cell has."""
        return min(map(len, self.by_cell.values()), default=0)

    @property
    def agreement_of_seeds(self) -> float | None:
        """Mean Spearman between two seeds, over pairs of seeds and the cells that both have."""
        by_seed: dict[int, dict[str, float]] = defaultdict(dict)
        for code, seeds in sorted(self.by_cell.items()):
            for seed, accuracy in seeds.items():
                by_seed[seed][code] = accuracy
        found = []
        for one, other in combinations(by_seed.values(), 2):
            shared = [code for code in one if code in other]
            found.append(spearman([one[c] for c in shared], [other[c] for c in shared]))
        known = [value for value in found if value is not None]
        return fmean(known) if known else None


def _stands_in(record: Record, budget: Budget) -> bool:
    """Whether a student belongs to a budget's table: the references do, whatever they count in."""
    own = record.trial.budget
    return own in (budget, FULL) or (record.method.name, own) == (
        RANDOM,
        Budget("ipc", budget.count),
    )


def code_of(architecture: str) -> str:
    """The code of a network's cell."""
    return str(networks.parse(architecture).modifiers["cell"])


@cache
def _table(root: Path | None) -> nas_table.CellTable:
    return nas_table.load(root)


QUICK = Nas201(
    tier="quick",
    grid=(("digits", (10,)),),
    networks=NARROW_NETWORKS,
    cells=CELLS[:20],
    channels=4,
    stage_cells=1,
    recipe=Recipe(epochs=30, lr=0.1, batch=128, schedule="cosine", augmentation="none"),
    whole_epochs=3,
    # chosen among several lengths on held-out training images; with more every cell reaches 98 %
    truth=Recipe(epochs=6, lr=0.1, batch=128, schedule="cosine", augmentation="none"),
    default_seeds=5,
    top=5,
)

LITE = Nas201(
    tier="lite",
    grid=(("fashion-mnist", (50,)), ("cifar10-jpeg75", (50,))),
    networks=FIELD_NETWORKS,
    cells=CELLS[:50],
    channels=16,
    stage_cells=1,
    recipe=Recipe(epochs=100, lr=0.1, schedule="cosine", augmentation="crop-flip"),
    whole_epochs=1,
    truth=Recipe(epochs=10, lr=0.1, schedule="cosine", augmentation="crop-flip"),
    top=10,
)

PAPER = Nas201(
    tier="paper",
    grid=(("cifar10", (50,)),),
    networks=FIELD_NETWORKS,
    cells=CELLS,
    channels=16,
    stage_cells=5,
    recipe=Recipe(epochs=200, lr=0.1, schedule="cosine", augmentation="crop-flip"),
    whole_epochs=2,
    truth=Recipe(epochs=200, lr=0.1, schedule="cosine", augmentation="crop-flip"),
    top=10,
)

NAS201: dict[Tier, Nas201] = {"quick": QUICK, "lite": LITE, "paper": PAPER}
