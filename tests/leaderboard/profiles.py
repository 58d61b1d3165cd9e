"""Profile records of steps that never ran."""

from __future__ import annotations

from typing import Any

from bench.planning import rules_hash
from bench.profiling.records import ProfileRecord
from bench.profiling.rules import load_rules
from bench.specs import Budget
from tests.records import ENVIRONMENT

RULES_HASH = rules_hash(load_rules("efficiency", "paper"))
RTX4090 = "NVIDIA GeForce RTX 4090"
MTT: dict[str, Any] = {"gradient": "unrolled", "matching_steps": 50, "batch_syn": 100}
TESLA = MTT | {"gradient": "two-pass"}


def forecast(
    method: str = "mtt",
    device: str = "rtx4090",
    *,
    peak: int = 2**30,
    step: float = 1.0,
    **facts: Any,
) -> ProfileRecord:
    """A forecast for one device of the catalogue."""
    figures = {"seconds_band": (step / 2, 2 * step), "fits": True}
    return _profile(method, "forecast", device, peak, step, figures | facts)


def measured(
    method: str = "mtt",
    device: str = RTX4090,
    *,
    peak: int = 2**30,
    step: float = 1.0,
    **facts: Any,
) -> ProfileRecord:
    """A measurement on one CUDA device."""
    figures = {
        "seconds": (step, step, step),
        "reserved_bytes": 2 * peak,
        "host_bytes": 2**30,
        "environment": ENVIRONMENT.model_copy(update={"device": device}),
        "fits": True,
    }
    return _profile(method, "measured", device, peak, step, figures | facts)


def _profile(
    method: str, kind: str, device: str, peak: int, step: float, facts: dict[str, Any]
) -> ProfileRecord:
    known: dict[str, Any] = {
        "protocol": "efficiency",
        "version": 1,
        "protocol_hash": RULES_HASH,
        "tier": "paper",
        "method": method,
        "method_version": 1,
        "parameters": MTT if method == "mtt" else TESLA,
        "dataset": "cifar100",
        "budget": Budget("ipc", 50),
        "network": "convnet-d3",
        "phase": "distill",
        "kind": kind,
        "device": device,
        "peak_bytes": peak,
        "steps": 100,
        "seconds_per_step": step,
        "seconds_total": 100 * step,
        "environment": ENVIRONMENT,
        "time": "2025-06-01T12:00:00Z",
    }
    return ProfileRecord(**known | facts)
