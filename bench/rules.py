"""What most protocols share: a grid of cells, networks by image size, published seeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import cards
from bench.errors import InvalidValue
from bench.planning import Request, choose_seeds
from bench.recipes import Recipe
from bench.specs import Budget
from bench.trials import Tier, Track, Trial

if TYPE_CHECKING:
    from bench.evaluation import Outcome
    from bench.exam import Entry, Exam
    from bench.records import Record
    from bench.studies import Study

NetworksBySize = tuple[tuple[int, str], ...]

FIELD_NETWORKS: NetworksBySize = ((16, "convnet-d2"), (32, "convnet-d3"), (64, "convnet-d4"))
"""The field's ConvNet for each image size: one block for every halving down to 4 px."""

NARROW_NETWORKS: NetworksBySize = tuple(
    (size_px, f"{name}-w32") for size_px, name in FIELD_NETWORKS
)
"""The same with a quarter of the channels, for the quick tier."""


def network_for(size_px: int, networks: NetworksBySize, protocol: str) -> str:
    """The first of ``networks`` that takes images of this size.

    Raises:
        InvalidValue: the images are larger than the protocol provides for.
    """
    for largest, name in networks:
        if size_px <= largest:
            return name
    raise InvalidValue(
        f"{protocol} has no network for images of {size_px} px; "
        f"resize them to at most {networks[-1][0]} px (name=path@size)."
    )


@dataclass(frozen=True, kw_only=True)
class GridRules(ABC):
    """Rules over datasets × budgets × methods × seeds; a protocol adds its own fields and ``plan``.

    Every field is a rule of the game: a change is a new ``version``, never an edit.

    Attributes:
        name: the protocol's name.
        version: raised with every change of a field.
        tier: how much compute.
        grid: the datasets with their numbers of images per class. Other datasets and budgets can
            be run under the same rules.
        networks: ``(size_px, network)``: images up to this size are distilled and evaluated with
            this network; the first that fits counts.
        recipe: how students are trained in the standard track.
        report_seeds: published seeds for results.
        selection_seeds: published seeds for choices on the validation split; disjoint from those.
        default_seeds: how many repetitions make a result.
    """

    name: str
    version: int = 1
    tier: Tier
    grid: tuple[tuple[str, tuple[int, ...]], ...]
    networks: NetworksBySize
    recipe: Recipe
    report_seeds: tuple[int, ...] = tuple(range(20))
    selection_seeds: tuple[int, ...] = tuple(range(1000, 1020))
    default_seeds: int = 5

    @property
    def default_datasets(self) -> tuple[str, ...]:
        """Datasets of the grid."""
        return tuple(dataset for dataset, _ in self.grid)

    @property
    def default_methods(self) -> tuple[str, ...]:
        """Those of the tier; no rule of the game, so not a field."""
        return ()

    def network(self, size_px: int) -> str:
        """The network for images of this size.

        Raises:
            InvalidValue: the images are larger than the rules provide for.
        """
        return network_for(size_px, self.networks, self.name)

    def seeds(self, request: Request) -> tuple[int, ...]:
        """The seeds that a request repeats its cells with."""
        validating = request.split == "validation"
        published = self.selection_seeds if validating else self.report_seeds
        return choose_seeds(published, request.seeds, self.name)

    def budgets(self, request: Request, dataset: str, method: str) -> tuple[Budget, ...]:
        """The budgets of a cell that a method can be given.

        A bare number counts in the method's own kind: generated images for generative methods.
        """
        kinds = cards.card(method).budgets
        if kinds == ("full",):
            return (Budget("full", 0),)
        planned = request.budgets or tuple(
            Budget(kinds[0], count) for count in dict(self.grid).get(dataset, (1, 10, 50))
        )
        return tuple(
            budget if budget.kind in kinds else Budget(kinds[0], budget.count)
            for budget in planned
            if budget.kind in kinds or budget.kind == "ipc"
        )

    @abstractmethod
    def plan(self, request: Request) -> Iterable[Trial]:
        """The trials that answer ``request``."""

    def student(
        self,
        request: Request,
        *,
        dataset: str,
        method: str,
        budget: Budget,
        track: Track,
        recipe: Recipe,
        seed: int,
    ) -> Trial:
        """One trial whose student is the network distilled with, the one for the image size."""
        network = self.network(request.specs[dataset].size_px)
        return request.trial(
            self,
            method=method,
            dataset=dataset,
            budget=budget,
            track=track,
            recipe=recipe,
            network=network,
            architecture=network,
            seed=seed,
        )

    def evaluate(self, entries: Sequence[Entry], exam: Exam) -> list[Outcome]:
        """Train a student for each entry, test it once after its last epoch."""
        return exam.score_all(entries)

    def studies(self, records: Sequence[Record]) -> Sequence[Study]:
        """None: the cells' accuracies say it all."""
        return ()
