"""On a CUDA device students are trained as one captured program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.environment import use_full_precision
from bench.evaluation import engine, evaluate, start_training
from bench.evaluation.vectorised import WARM_UPS, CapturedStep, Together
from tests.evaluation.students import DISTILLED, PLAIN, assignment, hard_set
from tests.fakes import NETWORK, tiny_pair

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

SEEDS = (3, 0, 8)


def losses(strategy: Any, **recipe: Any) -> list[float]:
    use_full_precision()
    test = tiny_pair().test.to("cuda")
    found = evaluate(hard_set(), NETWORK, replace(PLAIN, **recipe), test, SEEDS, strategy=strategy)
    return [one.loss for one in found]


@pytest.mark.parametrize(
    "recipe", [{}, {"augmentation": "dsa"}, {"distillation": DISTILLED}, {"mixing": "cutmix"}]
)
def test_vectorised_agrees_with_the_oracle(recipe: dict[str, Any]) -> None:
    assert losses("vectorised", **recipe) == pytest.approx(losses("reference", **recipe), rel=1e-3)


def test_every_size_of_batch_is_captured_once() -> None:
    given = assignment(replace(PLAIN, epochs=2 * WARM_UPS))
    there = replace(given, test=given.test.to("cuda"), source=given.source.to("cuda"))
    students = [
        start_training(there.source, NETWORK, there.recipe, there.test, ("student", seed))
        for seed in SEEDS
    ]
    together = Together(students)
    for _ in range(2 * WARM_UPS):
        together.run_epoch()
    assert isinstance(together.step, CapturedStep)
    assert together.step.captured == 2  # one of 4 images, one of the last image


def test_the_engine_trains_together_there() -> None:
    given = assignment()
    assert engine.choose(replace(given, test=given.test.to("cuda")), 5) == "vectorised"
