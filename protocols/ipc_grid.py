"""``ipc-grid``: test accuracy of a fresh student for each dataset and number of images per class.

The table every paper of the field opens with, under one recipe for all methods (``standard``) and
under each method's own (``native``). A seed is a whole repetition: it draws or distils the set
anew and trains one student on it. A generator is distilled once a seed and serves every budget.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bench.planning import Request
from bench.recipes import Recipe
from bench.rules import GridRules
from bench.specs import Budget
from bench.trials import Tier, Track, Trial


@dataclass(frozen=True, kw_only=True)
class IpcGrid(GridRules):
    """Every field is a rule of the game: a change is a new ``version``, never an edit.

    Attributes:
        whole_epochs: epochs on the whole training set, for the ceiling row.
    """

    name: str = "ipc-grid"
    whole_epochs: int

    def plan(self, request: Request) -> Iterable[Trial]:
        """Every dataset × budget × method × track × seed of the request."""
        for dataset in request.specs:
            for method in request.methods:
                for budget in self.budgets(request, dataset, method):
                    for seed in self.seeds(request):
                        for track in request.tracks:
                            yield self._trial(request, dataset, method, budget, track, seed)

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
