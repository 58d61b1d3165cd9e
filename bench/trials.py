"""The unit of work and of caching, as plain frozen data: torch is not imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from bench.files import digest
from bench.recipes import Recipe
from bench.specs import Budget

Tier = Literal["quick", "lite", "paper"]
Track = Literal["standard", "native"]
Split = Literal["test", "validation"]

TIERS: tuple[Tier, ...] = ("quick", "lite", "paper")
TRACKS: tuple[Track, ...] = ("standard", "native")


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """Everything that decides what a method hands over; two protocols may share one.

    Attributes:
        method: entry-point name.
        version: the adapter's version; raised when its numbers change.
        parameters: the method's full parameters.
        dataset: dataset name.
        checksum: of the dataset's tensors; ``""`` until they have been read once.
        preprocessing: ``normalize`` or ``zca``.
        split: ``test`` distils from all training data, ``validation`` from the fit part alone.
        budget: how much may be handed over.
        network: the network that the method distils with.
        seed: distillation seed.
    """

    method: str
    version: int
    parameters: Mapping[str, Any]
    dataset: str
    checksum: str
    preprocessing: str
    split: Split
    budget: Budget
    network: str
    seed: int

    @cached_property
    def key(self) -> str:
        """Content address of the result: SHA-256 over every field."""
        return digest(
            {
                "method": self.method,
                "version": self.version,
                "parameters": dict(self.parameters),
                "dataset": self.dataset,
                "checksum": self.checksum,
                "preprocessing": self.preprocessing,
                "split": self.split,
                "budget": self.budget.as_dict(),
                "network": self.network,
                "seed": self.seed,
            }
        )


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One student: a distillation, an architecture, a recipe and an evaluation seed.

    Attributes:
        protocol: protocol name.
        version: protocol version.
        protocol_hash: hash of the protocol's rules.
        tier: how much compute; part of the protocol's identity.
        track: ``standard`` or ``native``.
        distillation: what the student trains on.
        architecture: the student's network.
        recipe: how the student is trained.
        seed: evaluation seed.
        deployed: another budget that a generator serves without being distilled again, or ``None``.
        merged_seeds: further distillation seeds, whose sets the student gets as well.
        evaluates: the method under test, where another one distils for it.
        preset: where the method's parameters come from.
    """

    protocol: str
    version: int
    protocol_hash: str
    tier: Tier
    track: Track
    distillation: Distillation
    architecture: str
    recipe: Recipe
    seed: int
    deployed: Budget | None = None
    merged_seeds: tuple[int, ...] = ()
    evaluates: str | None = None
    preset: str = field(default="", compare=False)

    @property
    def method(self) -> str:
        """The method under test."""
        return self.evaluates or self.distillation.method

    @property
    def budget(self) -> Budget:
        """How much of the synthetic source each student epoch gets, of every distillation."""
        return self.deployed or self.distillation.budget

    @property
    def sources(self) -> tuple[Distillation, ...]:
        """Everything that the student trains on."""
        others = (replace(self.distillation, seed=seed) for seed in self.merged_seeds)
        return (self.distillation, *others)

    @cached_property
    def evaluation_key(self) -> str:
        """Content address of the outcome: trials of two tracks may share one training."""
        key: dict[str, Any] = {
            "distillation": self.distillation.key,
            "architecture": self.architecture,
            "recipe": self.recipe.as_dict(),
            "seed": self.seed,
        }
        if self.deployed:  # what most trials do without is no part of their address
            key["deployed"] = self.deployed.as_dict()
        if self.merged_seeds:
            key["merged_seeds"] = list(self.merged_seeds)
        return digest(key)

    @cached_property
    def id(self) -> str:
        """Content address of the trial: SHA-256 over every coordinate."""
        key = {
            "protocol": [self.protocol, self.version, self.protocol_hash, self.tier],
            "track": self.track,
            "evaluation": self.evaluation_key,
        }
        return digest(key | {"evaluates": self.evaluates} if self.evaluates else key)
