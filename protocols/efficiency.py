"""``efficiency``: peak memory and time of every phase of a method, measured or forecast.

Measured figures come from a fresh process each, memory and time from separate passes. Forecasts
run the same code on tensors without data (:mod:`bench.profiling`). Its figures are no trials of
students; ``bench profile`` makes and records them.
"""

from __future__ import annotations

from bench.profiling.rules import Allowances, ProfileRules
from bench.recipes import Recipe
from bench.rules import FIELD_NETWORKS, NARROW_NETWORKS
from bench.specs import Budget
from bench.trials import Tier

_ALLOWANCES = Allowances(
    context_bytes=512 * 2**20,
    workspace_bytes=256 * 2**20,
    fragmentation=0.05,
    flops_share=0.4,
    bandwidth_share=0.7,
    operator_seconds=8e-6,
    band=2.0,
)


def _rules(
    tier: Tier, dataset: str, ipc: int, networks: tuple[tuple[int, str], ...], recipe: Recipe
) -> ProfileRules:
    return ProfileRules(
        name="efficiency",
        version=1,
        tier=tier,
        dataset=dataset,
        budget=Budget("ipc", ipc),
        networks=networks,
        recipe=recipe,
        warm_up=1,
        repeats=5,
        cycles=("reuse",),
        segments=("segment",),
        alternatives=(("gradient", "unrolled", "adjoint"),),
        excerpt=4096,
        lengths=(("outer_loops", 1, 2), ("inner_epochs", 1, 2), ("student_epochs", 10, 20)),
        allowances=_ALLOWANCES,
    )


EFFICIENCY: dict[Tier, ProfileRules] = {
    "quick": _rules("quick", "digits", 1, NARROW_NETWORKS, Recipe(epochs=300)),
    "lite": _rules("lite", "cifar10", 10, FIELD_NETWORKS, Recipe(epochs=1000)),
    # TESLA, table 4, measures on CIFAR-100; 50 images per class are its largest setting there
    "paper": _rules("paper", "cifar100", 50, FIELD_NETWORKS, Recipe(epochs=1000)),
}
