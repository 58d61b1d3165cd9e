"""Records of trials that never ran."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from bench.recipes import Recipe
from bench.records import Cost, Costs, Environment, Record
from bench.specs import Budget
from bench.trials import Distillation, Trial

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


def record_of(trial: Trial, accuracy: float | None = None, **facts: Any) -> Record:
    """A record of ``trial``, which ended well unless ``facts`` say otherwise."""
    known: dict[str, Any] = {
        "status": "ok",
        "metrics": {} if accuracy is None else {"accuracy": accuracy},
        "environment": ENVIRONMENT,
        "time": "2025-06-01T12:00:00Z",
    }
    return Record.of(trial, **known | facts)


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
        "labels": "hard",
        "metrics": {} if accuracy is None else {"accuracy": accuracy, "loss": 0.1},
        "cost": COSTS,
        "environment": ENVIRONMENT.model_copy(update=environment or {}),
    }
    return record_of(replace(planned, **(trial or {})), **known | facts)


def correct_of(record: Record) -> bytes | None:
    """Packed per-image correctness that gives a record's accuracy; none where it states none."""
    if "accuracy" not in record.metrics:
        return None
    share = Fraction(record.metrics["accuracy"]).limit_denominator(1000)
    right, images = share.as_integer_ratio()
    size = -(-images // 8)
    return (((1 << right) - 1) << (8 * size - right)).to_bytes(size)
