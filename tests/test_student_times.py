"""How long students take that were never timed: a step is measured, arithmetic is counted."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from bench import networks, student_times
from bench.recipes import KnowledgeDistillation, Recipe
from bench.specs import Budget, DatasetSpec
from bench.student_times import FEWEST_IMAGES, MOST_TIMED, StudentTimes, time_step
from bench.trials import Trial
from tests.fakes import SPEC
from tests.test_planning import TRIAL

CPU = torch.device("cpu")
DATASET = TRIAL.distillation.dataset
RATE = 1e9


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The students of which a step was timed; each takes a hundredth of a second more.

    Each image takes twice the time that is counted, of which a step on two images shows nothing.
    """
    found: list[str] = []

    def step(
        network: str, spec: DatasetSpec, recipe: Recipe, device: torch.device, images: int
    ) -> float:
        if images == FEWEST_IMAGES:
            found.append(network)
        return 0.01 * len(found) + 2 * (images - FEWEST_IMAGES) * counted(network)

    monkeypatch.setattr(student_times, "time_step", step)
    return found


def counted(network: str) -> float:
    """Seconds of an image's forward, and of a backward that takes twice as long."""
    return 3 * networks.forward_flops(network, SPEC) / RATE


def trial(**changes: object) -> Trial:
    return replace(TRIAL, architecture="convnet-d1", **changes)  # type: ignore[arg-type]


def of(budget: Budget) -> Trial:
    return trial(distillation=replace(TRIAL.distillation, budget=budget))


def test_steps_cost_their_launches_and_images_their_arithmetic(timed: list[str]) -> None:
    seconds = StudentTimes({DATASET: SPEC}, CPU, RATE)
    recipe = Recipe(epochs=20, batch=4)
    arithmetic = 2 * counted("convnet-d1")
    # one image of each of three classes is one step; merged with a second set it is two
    assert seconds(trial(recipe=recipe)) == pytest.approx(20 * (0.01 + 3 * arithmetic))
    merged = trial(recipe=recipe, merged_seeds=(100,))
    assert seconds(merged) == pytest.approx(20 * (2 * 0.01 + 6 * arithmetic))
    assert timed == ["convnet-d1"]


def test_what_cannot_be_said_is_not_guessed() -> None:
    seconds = StudentTimes({DATASET: SPEC}, CPU, RATE)
    assert seconds(of(Budget("full", 0))) is None
    assert seconds(replace(TRIAL, architecture="convnet-d9")) is None  # too deep for 8 px


def test_of_many_students_some_are_timed(timed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(student_times, "SAMPLE_FLOPS", 0)  # arithmetic as counted
    seconds = StudentTimes({DATASET: SPEC}, CPU, RATE)
    names = [f"convnet-d1-w{width}" for width in range(8, 8 + MOST_TIMED + 3)]
    found = [seconds(replace(TRIAL, architecture=name)) for name in names]
    assert timed == names[:MOST_TIMED]
    launches, arithmetic = 0.01 * (1 + MOST_TIMED) / 2, 3 * counted(names[-1])
    assert found[-1] == pytest.approx(TRIAL.recipe.epochs * (launches + arithmetic))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=9),
        Recipe(epochs=9, loss="l1-logits", augmentation="none"),
        Recipe(epochs=9, mixing="cutmix", labels="teacher", learned_lr=True),
        Recipe(epochs=9, distillation=KnowledgeDistillation(teacher="convnet-d3")),
    ],
)
def test_a_step_of_any_recipe_can_be_timed(recipe: Recipe) -> None:
    before = torch.get_rng_state()
    start = time.perf_counter()
    assert 0 < time_step("convnet-d1-w8", SPEC, recipe, CPU, 5) < time.perf_counter() - start
    assert torch.equal(torch.get_rng_state(), before)
