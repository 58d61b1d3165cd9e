"""One step of every method, and one epoch of an expert, at the quick tier's setting."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench import cards, plugins
from bench.errors import NotApplicable
from bench.profiling.phases import open_phase
from bench.profiling.records import Phase
from bench.profiling.rules import load_rules
from bench.profiling.subject import Subject
from benchmarks.interleaved import ROUNDS


def time_phase(benchmark: Any, method: str, phase: Phase, device: torch.device) -> None:
    subject = Subject.of(load_rules("efficiency", "quick"), method)
    try:
        steps = open_phase(phase, subject, device, subject.rules.excerpt)
    except NotApplicable as reason:
        pytest.skip(str(reason))
    benchmark.extra_info.update({"method": method, "phase": phase, "steps": steps.count})
    benchmark.pedantic(steps.run, rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.parametrize("method", plugins.names("methods"))
def test_distillation_step(benchmark: Any, method: str, device: torch.device) -> None:
    if cards.card(method).budgets == ("full",):
        pytest.skip("hands over the training images as they are")
    time_phase(benchmark, method, "distill", device)


def test_expert_epoch(benchmark: Any, device: torch.device) -> None:
    time_phase(benchmark, "mtt", "prepare", device)
