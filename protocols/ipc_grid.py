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
from bench.rules import FIELD_NETWORKS, NARROW_NETWORKS, GridRules
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
        full = budget.kind == "full"
        recipe = replace(self.recipe, epochs=self.whole_epochs) if full else self.recipe
        return self.student(
            request,
            dataset=dataset,
            method=method,
            budget=budget,
            track=track,
            recipe=recipe,
            seed=seed,
        )


QUICK = IpcGrid(
    tier="quick",
    grid=(("digits", (1, 10)),),
    networks=NARROW_NETWORKS,
    recipe=Recipe(epochs=300),
    whole_epochs=100,
)

LITE = IpcGrid(
    tier="lite",
    grid=(("fashion-mnist", (1, 10, 50)), ("cifar10", (1, 10, 50))),
    networks=FIELD_NETWORKS,
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
    networks=FIELD_NETWORKS,
    recipe=Recipe(epochs=1000),
    whole_epochs=100,
)

IPC_GRID: dict[Tier, IpcGrid] = {"quick": QUICK, "lite": LITE, "paper": PAPER}
