"""Synthetic sources as a run makes them: kept in the store, recalled from it, merged."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain

from bench import artifacts
from bench.data import RealSet, SyntheticSource, merge
from bench.distillation import Distilled
from bench.errors import BadFile, NotApplicable
from bench.generators import SyntheticGenerator
from bench.records import Cost, Environment
from bench.specs import Budget
from bench.store import Store
from bench.trials import Distillation

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A synthetic source with what is recorded of it.

    Attributes:
        source: what students train on.
        artifact: its SHA-256 in the store; ``None`` for what is not stored.
        prepare: what its preparation has cost.
        distill: what its distillation has cost.
        distilled_on: where both were measured; ``()`` where that is not known of all of it.
    """

    source: SyntheticSource
    artifact: str | None
    prepare: Cost
    distill: Cost
    distilled_on: tuple[Environment, ...]

    def serving(self, budget: Budget | None) -> Made:
        """The same generator serving another budget; ``None`` for its own.

        Raises:
            NotApplicable: the source is no generator.
        """
        if budget is None:
            return self
        if not isinstance(self.source, SyntheticGenerator):
            raise NotApplicable(f"only a generator serves {budget} without being distilled again")
        return replace(self, source=self.source.with_budget(budget.count))


def merged(parts: Sequence[Made]) -> Made:
    """Several distillations as one source: their times added up, the greatest peak.

    Times are those of distillations made apart: expert buffers that they share count each time.
    """
    if len(parts) == 1:
        return parts[0]
    return Made(
        source=merge([part.source for part in parts]),
        artifact=None,
        prepare=_sum([part.prepare for part in parts]),
        distill=_sum([part.distill for part in parts]),
        distilled_on=_everywhere(parts),
    )


def _sum(costs: Sequence[Cost]) -> Cost:
    return Cost(
        seconds=sum(cost.seconds for cost in costs), peak_bytes=max(c.peak_bytes for c in costs)
    )


def _everywhere(parts: Sequence[Made]) -> tuple[Environment, ...]:
    """Each environment that one of the parts was made in, once."""
    if not all(part.distilled_on for part in parts):
        return ()
    return tuple(dict.fromkeys(chain.from_iterable(part.distilled_on for part in parts)))


def keep(store: Store, plan: Distillation, result: Distilled, here: Environment) -> Made:
    """Store what was made ``here``; the whole training set is not stored again."""
    costs = {"prepare": asdict(result.prepare), "distill": asdict(result.distill)}
    made = Made(
        source=result.source,
        artifact=None,
        prepare=Cost(**costs["prepare"]),
        distill=Cost(**costs["distill"]),
        distilled_on=(here,),
    )
    if isinstance(result.source, RealSet):
        return made
    scratch = store.artifact(f".{plan.key}")
    sha256 = artifacts.save(result.source, scratch)
    scratch.replace(store.artifact(sha256))
    facts = {"artifact": sha256, "curve": result.curve, "environment": here.model_dump()}
    store.remember(plan.key, costs | facts)
    return replace(made, artifact=sha256)


def recall(store: Store, key: str) -> Made | None:
    """What the store holds of a distillation; damaged files are left aside with a warning."""
    try:
        facts = store.recall(key)
        if facts is None:
            return None
        path = store.artifact(facts["artifact"])
        source = artifacts.load(path)
        if source.header is None or source.header.created.get("key") != key:
            raise BadFile(f"{path} holds another distillation than its name says.")
        there = facts.get("environment")  # stores of before did not note it
        return Made(
            source=source,
            artifact=facts["artifact"],
            prepare=Cost(**facts["prepare"]),
            distill=Cost(**facts["distill"]),
            distilled_on=(Environment(**there),) if there else (),
        )
    except BadFile as error:
        log.warning("%s It is distilled again.", error)
        return None
