"""The rules that a profile is made by: what is run, how often, and what is allowed for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench import plugins
from bench.errors import ContractError, UnknownName
from bench.recipes import Recipe
from bench.rules import NetworksBySize, network_for
from bench.specs import Budget
from bench.trials import Tier


@dataclass(frozen=True, kw_only=True)
class Allowances:
    """What a forecast cannot count, as stated numbers.

    Attributes:
        context_bytes: what the CUDA context and its libraries take; no tensor, so not in the peak.
        workspace_bytes: what cuDNN and cuBLAS borrow beside the tensors that operators name.
        fragmentation: part of the peak that the allocator holds in gaps.
        flops_share: part of the datasheet's operations that convolutions reach.
        bandwidth_share: part of the datasheet's bandwidth that elementwise kernels reach.
        operator_seconds: the host's time to launch one operator.
        band: a forecast time is meant to be right within this factor, either way.
    """

    context_bytes: int
    workspace_bytes: int
    fragmentation: float
    flops_share: float
    bandwidth_share: float
    operator_seconds: float
    band: float


@dataclass(frozen=True, kw_only=True)
class ProfileRules:
    """Every field is a rule of the game: a change is a new ``version``, never an edit.

    Attributes:
        name: the protocol's name.
        version: raised with every change of a field.
        tier: whose presets are profiled.
        dataset: profiled where none is named.
        budget: likewise.
        networks: ``(size_px, network)``: images up to this size are distilled and evaluated with
            this network; the first that fits counts.
        recipe: of the students in the evaluation phase.
        warm_up: steps before the first that is timed; they count in the peak.
        repeats: how often a step, or a cycle of steps, is timed.
        cycles: parameters that say after how many steps the work of a step repeats.
        segments: parameters that trade memory for time at the same result; lowered where a preset
            does not fit.
        alternatives: ``(parameter, value, other)``: the other value gives the same result in less
            memory; taken where a preset does not fit.
        excerpt: how many real images a forecast walks over where work grows with their number.
        lengths: ``(parameter, short, long)`` of parameters that repeat equal work: beyond ``long``
            a forecast runs both lengths and extends the work along the line through them.
        allowances: what forecasts allow for.
    """

    name: str
    version: int
    tier: Tier
    dataset: str
    budget: Budget
    networks: NetworksBySize
    recipe: Recipe
    warm_up: int
    repeats: int
    cycles: tuple[str, ...]
    segments: tuple[str, ...]
    alternatives: tuple[tuple[str, str, str], ...]
    excerpt: int
    lengths: tuple[tuple[str, int, int], ...]
    allowances: Allowances

    @property
    def default_datasets(self) -> tuple[str, ...]:
        """The dataset that is profiled where none is named."""
        return (self.dataset,)

    def network(self, size_px: int) -> str:
        """The network for images of this size.

        Raises:
            InvalidValue: the images are larger than the rules provide for.
        """
        return network_for(size_px, self.networks, self.name)


def load_rules(name: str, tier: Tier) -> ProfileRules:
    """The profile protocol registered as ``name`` at ``tier``.

    Raises:
        UnknownName: no such protocol, or it has no such tier.
        ContractError: what is registered is no mapping of tiers to such rules.
    """
    tiers = plugins.load("profiles", name)
    if not isinstance(tiers, Mapping):
        raise ContractError(f"The protocol {name!r} must be a mapping from tier to frozen rules.")
    if tier not in tiers:
        raise UnknownName(f"tier of {name}", tier, tiers)
    rules: ProfileRules = tiers[tier]
    return rules
