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
from benchmarks.evaluators import DDRANKING_PYTHON, DDRanking, Epochs
from benchmarks.interleaved import ROUNDS, Contender, rounds, summary, timed
from benchmarks.limits import copied_bytes_per_second, matmul_flops_per_second

WARM_UP = {"cpu": 1, "cuda": 3}
"""Rounds before those that count: the engine compiles in the second epoch, captures in the fourth,
and a round has two or more."""
FASTER: Precision = "bf16"


def test_evaluate(benchmark: Any, case: Case, device: torch.device) -> None:
    plain = case.assignment("fp32", device)
    strategy, engine = evaluators.engine(plain)
    faster, faster_engine = evaluators.engine(case.assignment(FASTER, device))

    def contender(train: Epochs) -> Contender:
        return timed(lambda: train(case.epochs), device)

    contenders = {
        "usual": contender(evaluators.usual(plain)),
        "reference": contender(evaluators.reference(plain)),
        "engine fp32": contender(engine),
        f"engine {FASTER}": contender(faster_engine),
    }
    with ExitStack() as stack:
        if (
            Path(os.environ.get(DDRANKING_PYTHON, "nowhere")).exists()
            and case.shape == "cifar10"
            and "convnet" in case.network
        ):
            ddranking = stack.enter_context(DDRanking(case, device))
            contenders["ddranking"] = lambda: ddranking.seconds(case.epochs)
        warm_up = rounds(contenders, WARM_UP[device.type])
        seconds = {
            name: [value / case.epochs for value in values]
            for name, values in rounds(contenders, ROUNDS).items()
        }
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
    benchmark.pedantic(engine, args=(1,), rounds=1)
