"""Makers of records, for tests of tables and pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.records import Record
from tests.records import make

MakeRecord = Callable[..., Record]


@pytest.fixture
def record() -> MakeRecord:
    """Makes records: ``record(method, accuracy, seed, ...)``."""
    return make


@pytest.fixture
def sample() -> Callable[..., list[Record]]:
    """Makes one record a seed from a list of accuracies."""

    def several(method: str, accuracies: list[float], **facts: Any) -> list[Record]:
        return [make(method, value, seed, **facts) for seed, value in enumerate(accuracies)]

    return several
