"""Records of trials that never ran, for tests of tables and pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.recipes import Recipe
from bench.records import Cost, Costs, Environment, Record
from bench.specs import Budget
from bench.trials import Distillation, Trial

MakeRecord = Callable[..., Record]

ENVIRONMENT = Environment(
    commit="c" * 40,
    package="0.1.0",
    python="3.11.9",
    torch="2.11.0",
    device="CPU Testium 9",
    driver="",
    threads=2,
    precision="fp32",
    platform="Linux",
    calibration_seconds=0.5,
)
COSTS = Costs(
    prepare=Cost(seconds=0, peak_bytes=0),
    distill=Cost(seconds=90, peak_bytes=2_500_000),
    evaluate=Cost(seconds=12.34, peak_bytes=1_200_000_000),
    stored_bytes=40_000,
)


def make(
    method: str = "dm",
    accuracy: float | None = 0.5,
    seed: int = 0,
    *,
    budget: Budget | int | str = 1,
    dataset: str = "digits",
    checksum: str = "d" * 64,
    parameters: dict[str, Any] | None = None,
    preset: str = "quick",
    method_version: int = 1,
    architecture: str = "convnet-d2-w32",
    recipe: Recipe | None = None,
    split: str = "test",
    trial: dict[str, Any] | None = None,
    environment: dict[str, Any] | None = None,
    **facts: Any,
) -> Record:
    """A record whose id fits its coordinates; ``accuracy=None`` leaves the metrics out."""
    distillation = Distillation(
        method=method,
        version=method_version,
        parameters={"iterations": 1000, "lr_images": 1.0} if parameters is None else parameters,
        dataset=dataset,
        checksum=checksum,
        preprocessing="normalize",
        split=split,  # type: ignore[arg-type]
        budget=Budget.parse(budget),
        network="convnet-d2-w32",
        seed=seed,
    )
    planned = Trial(
        protocol="ipc-grid",
        version=1,
        protocol_hash="a" * 64,
        tier="quick",
        track="standard",
        distillation=distillation,
        architecture=architecture,
        recipe=recipe or Recipe(epochs=300),
        seed=seed,
        preset=preset,
    )
    known: dict[str, Any] = {
        "status": "ok",
        "labels": "hard",
        "metrics": {} if accuracy is None else {"accuracy": accuracy, "loss": 0.1},
        "cost": COSTS,
        "environment": ENVIRONMENT.model_copy(update=environment or {}),
        "time": "2025-06-01T12:00:00Z",
    }
    return Record.of(replace(planned, **(trial or {})), **(known | facts))


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
