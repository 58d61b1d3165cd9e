"""Subjects to profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.profiling.rules import ProfileRules, load_rules
from bench.profiling.subject import Subject
from bench.specs import Budget

MakeSubject = Callable[..., Subject]


@pytest.fixture
def quick() -> ProfileRules:
    """The rules of the quick tier."""
    return load_rules("efficiency", "quick")


@pytest.fixture
def subject() -> MakeSubject:
    """Make a subject: ``subject("mtt", tier="paper", matching_steps=2)``."""

    def make(
        method: str,
        *,
        tier: Any = "quick",
        dataset: str | None = None,
        budget: int | None = None,
        train_count: int | None = None,
        rules: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Subject:
        made = Subject.of(
            replace(load_rules("efficiency", tier), **(rules or {})),
            method,
            dataset=dataset,
            budget=None if budget is None else Budget("ipc", budget),
            changes=changes,
        )
        return replace(made, train_count=train_count or made.train_count)

    return make
