"""Which experts a piece of work will ask for, so that they can be trained beforehand.

A method says so in ``wanted_experts(network, seed)`` and a protocol in ``wanted_experts(trial)``;
neither has to. Experts that nobody announced are trained where they are needed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from bench import cards
from bench.experts import Expert
from bench.planning import load_rules
from bench.store import Store
from bench.trials import Distillation, Trial

log = logging.getLogger(__name__)


def for_sources(store: Store, *, fresh: bool) -> Callable[[Distillation], Iterable[Expert]]:
    """Says which experts a distillation will ask for: none if the store holds its result."""

    def wanted(plan: Distillation) -> Iterable[Expert]:
        if not fresh and store.holds(plan.key):
            return ()
        return _announced(
            lambda: cards.build(plan.method, plan.parameters), plan.network, plan.seed
        )

    return wanted


def for_student(trial: Trial) -> Iterable[Expert]:
    """The experts that the protocol will ask for to score a trial."""
    return _announced(lambda: load_rules(trial.protocol, trial.tier), trial)


def _announced(plugin: Callable[[], Any], *arguments: Any) -> Iterable[Expert]:
    try:
        announce = getattr(plugin(), "wanted_experts", None)
        return tuple(announce(*arguments)) if announce else ()
    except Exception as error:  # it shows again where the work is done, and is recorded there
        log.debug("No experts are trained beforehand: %r", error)
        return ()
