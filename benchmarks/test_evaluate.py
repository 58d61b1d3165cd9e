"""One epoch of five students: the engine beside the reference loop, the field's, and ddranking."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from bench.recipes import Precision
from benchmarks import evaluators
from benchmarks.cases import Case
from benchmarks.evaluators import DDRANKING_PYTHON, DDRanking
from benchmarks.interleaved import ROUNDS, Contender, rounds, summary, timed
from benchmarks.limits import copied_bytes_per_second, matmul_flops_per_second

WARM_UP = {"cpu": 2, "cuda": 5}
"""Epochs before those that count: the engine compiles in the second, captures in the fourth."""
FASTER: Precision = "bf16"


def test_evaluate(benchmark: Any, case: Case, device: torch.device) -> None:
    plain = case.assignment("fp32", device)
    strategy, epoch = evaluators.engine(plain)
    faster, faster_epoch = evaluators.engine(case.assignment(FASTER, device))
    contenders: dict[str, Contender] = {
        "usual": timed(evaluators.usual(plain), device),
        "reference": timed(evaluators.reference(plain), device),
        "engine fp32": timed(epoch, device),
        f"engine {FASTER}": timed(faster_epoch, device),
    }
    with ExitStack() as stack:
        if (
            Path(os.environ.get(DDRANKING_PYTHON, "nowhere")).exists()
            and case.shape == "cifar10"
            and "convnet" in case.network
        ):
            contenders["ddranking"] = stack.enter_context(DDRanking(case, device)).seconds
        warm_up = rounds(contenders, WARM_UP[device.type])
        seconds = rounds(contenders, ROUNDS)
    benchmark.extra_info.update(
        {
            "case": str(case),
            "device": str(device),
            "strategies": {"engine fp32": strategy, f"engine {FASTER}": faster},
            "seconds": summary(seconds),
            "warm_up_seconds": {name: sum(values) for name, values in warm_up.items()},
            "flops": case.flops,
            "matmul": {
                "fp32": matmul_flops_per_second(device, torch.float32),
                FASTER: matmul_flops_per_second(device, torch.bfloat16),
            },
            "copy": copied_bytes_per_second(device),
        }
    )
    benchmark.pedantic(epoch, rounds=1)
