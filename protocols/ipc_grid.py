"""``ipc-grid``: test accuracy of a fresh student for each dataset and number of images per class.

The table every paper of the field opens with, under one recipe for all methods (``standard``) and
under each method's own (``native``). A seed is a whole repetition: it draws or distils the set
anew and trains one student on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench import cards
from bench.errors import InvalidValue
from bench.planning import Request, choose_seeds
from bench.recipes import Recipe
from bench.specs import Budget
from bench.trials import Tier, Track, Trial

if TYPE_CHECKING:
    from bench.data import RealSet, SyntheticSource
    from bench.evaluation import EpochReport, Outcome


@dataclass(frozen=True, kw_only=True)
class IpcGrid:
    """Every field is a rule of the game: a change is a new ``version``, never an edit.

    Attributes:
        tier: how much compute.
        grid: the datasets with their numbers of images per class. Other datasets and budgets can
            be run under the same rules.
        networks: ``(size_px, network)``: images up to this size are distilled and evaluated with
            this network; the first that fits counts.
        recipe: how students are trained in the standard track.
        whole_epochs: epochs on the whole training set, for the ceiling row.
        report_seeds: published seeds for results.
        selection_seeds: published seeds for choices on the validation split; disjoint from those.
        default_seeds: how many repetitions make a result.
    """

    name: str = "ipc-grid"
    version: int = 1
    tier: Tier
    grid: tuple[tuple[str, tuple[int, ...]], ...]
    networks: tuple[tuple[int, str], ...]
    recipe: Recipe
    whole_epochs: int
    report_seeds: tuple[int, ...] = tuple(range(20))
    selection_seeds: tuple[int, ...] = tuple(range(1000, 1020))
    default_seeds: int = 5

    @property
    def default_datasets(self) -> tuple[str, ...]:
        """Datasets of the grid."""
        return tuple(dataset for dataset, _ in self.grid)

    def network(self, size_px: int) -> str:
        """The network for images of this size.

        Raises:
            InvalidValue: the images are larger than the rules provide for.
        """
        for largest, name in self.networks:
            if size_px <= largest:
                return name
        raise InvalidValue(
            f"{self.name} has no network for images of {size_px} px; "
            f"resize them to at most {self.networks[-1][0]} px (name=path@size)."
        )

    def plan(self, request: Request) -> Iterable[Trial]:
        """Every dataset × budget × method × track × seed of the request."""
        validating = request.split == "validation"
        published = self.selection_seeds if validating else self.report_seeds
        seeds = choose_seeds(published, request.seeds, self.name)
        for dataset in request.specs:
            for method in request.methods:
                for budget in self._budgets(request, dataset, method):
                    for seed in seeds:
                        for track in request.tracks:
                            yield self._trial(request, dataset, method, budget, track, seed)

    def _budgets(self, request: Request, dataset: str, method: str) -> tuple[Budget, ...]:
        """The budgets of a cell that this method can be given."""
        kinds = cards.card(method).budgets
        if kinds == ("full",):
            return (Budget("full", 0),)
        planned = request.budgets or tuple(
            Budget(kinds[0], count) for count in dict(self.grid).get(dataset, (1, 10, 50))
        )
        # a bare number counts in the method's own kind: generated images for generative methods
        return tuple(
            budget if budget.kind in kinds else Budget(kinds[0], budget.count)
            for budget in planned
            if budget.kind in kinds or budget.kind == "ipc"
        )

    def _trial(
        self, request: Request, dataset: str, method: str, budget: Budget, track: Track, seed: int
    ) -> Trial:
        network = self.network(request.specs[dataset].size_px)
        full = budget.kind == "full"
        recipe = replace(self.recipe, epochs=self.whole_epochs) if full else self.recipe
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

    def evaluate(
        self, trial: Trial, source: SyntheticSource, test: RealSet, report: EpochReport
    ) -> Outcome:
        """Train one student, test it once after its last epoch."""
        from bench.evaluation import evaluate

        (outcome,) = evaluate(
            source, trial.architecture, trial.recipe, test, [trial.seed], report=report
        )
        return outcome


_PAPER_NETWORKS = ((16, "convnet-d2"), (32, "convnet-d3"), (64, "convnet-d4"))

QUICK = IpcGrid(
    tier="quick",
    grid=(("digits", (1, 10)),),
    networks=((16, "convnet-d2-w32"), (32, "convnet-d3-w32"), (64, "convnet-d4-w32")),
    recipe=Recipe(epochs=300),
    whole_epochs=100,
)

LITE = IpcGrid(
    tier="lite",
    grid=(("fashion-mnist", (1, 10, 50)), ("cifar10", (1, 10, 50))),
    networks=_PAPER_NETWORKS,
    recipe=Recipe(epochs=1000),
    whole_epochs=20,
)

PAPER = IpcGrid(
    tier="paper",
    grid=(
        ("mnist", (1, 10, 50)),
        ("fashion-mnist", (1, 10, 50)),
        ("svhn", (1, 10, 50)),
        ("cifar10", (1, 10, 50, 500, 1000)),
        ("cifar100", (1, 10, 50, 100)),
        ("tiny-imagenet", (1, 10, 50, 100)),
        ("imagenet-1k-64", (1, 2, 10, 50, 100)),
    ),
    networks=_PAPER_NETWORKS,
    recipe=Recipe(epochs=1000),
    whole_epochs=100,
)

IPC_GRID: dict[Tier, IpcGrid] = {"quick": QUICK, "lite": LITE, "paper": PAPER}
