"""Old lines are read in today's shape, step by step, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from bench.errors import BadFile
from bench.migrations import migrate


def from_zero(facts: dict[str, Any]) -> dict[str, Any]:
    """A synthetic schema 0 kept accuracies in percent."""
    return facts | {"accuracy": facts["accuracy"] / 100}


def from_one(facts: dict[str, Any]) -> dict[str, Any]:
    return facts | {"metrics": {"accuracy": facts.pop("accuracy")}}


STEPS = {0: from_zero, 1: from_one}


def test_every_step_is_taken_in_order() -> None:
    old = {"schema": 0, "accuracy": 50}
    assert migrate(old, 2, "f:1", STEPS) == {"schema": 2, "metrics": {"accuracy": 0.5}}
    assert migrate({"schema": 1, "accuracy": 0.5}, 2, "f:1", STEPS)["schema"] == 2


def test_what_was_read_is_left_as_it_is() -> None:
    old = {"schema": 1, "accuracy": 0.5}
    migrate(old, 2, "f:1", STEPS)
    assert old == {"schema": 1, "accuracy": 0.5}


def test_todays_facts_pass_through() -> None:
    facts = {"schema": 2, "anything": 1}
    assert migrate(facts, 2, "f:1", STEPS) == facts


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"schema": 3}, "f:7 is of schema 3; this version reads up to 2"),
        ({"schema": -1}, "f:7 is of schema -1, which nothing migrates to 2"),
        ({}, "f:7 states no schema"),
        ({"schema": "1"}, "f:7 states no schema"),
        ({"schema": True}, "f:7 states no schema"),
    ],
)
def test_other_schemas_are_refused_with_their_place(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(BadFile, match=message):
        migrate(facts, 2, "f:7", STEPS)
