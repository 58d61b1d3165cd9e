"""Every strategy trains a student to the numbers that the oracle trains it to."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from bench.data import SyntheticSource
from bench.errors import Diverged
from bench.evaluation import compiled, evaluate, reference, vectorised
from bench.evaluation.functional import Step, mixes_images
from bench.evaluation.fusible import fusible
from bench.evaluation.outcome import Assignment
from bench.evaluation.students import EpochsDone, Train
from bench.evaluation.winograd import winograd
from bench.measure import Peak
from bench.recipes import Recipe
from bench.training import Training
from tests.evaluation.students import DISTILLED, PLAIN, assignment, hard_set, soft_set, trained
from tests.fakes import NETWORK, NoiseGenerator, tiny_pair

SEEDS = (3, 0, 8)


def uncompiled(
    given: Assignment, students: Sequence[Training], peak: Peak, report: EpochsDone
) -> list[float]:
    """What the compiled strategy does on the CPU, without waiting for a compiler."""
    return [
        reference.train(compiled.CompiledStudent(student, Eager(student)), peak)
        for student in students
    ]


class Eager(compiled.CompiledStep):
    """A compiled step that is not compiled; batches go through it in pieces of three."""

    def __init__(self, student: Training) -> None:
        self._step = Step.like(student, rewrite=rewritten)
        self.at_once = None if mixes_images(self._step.network) else 3
        self.broken = False

    def __call__(self, *args: Any) -> torch.Tensor:
        return self._step.accumulate(*args)


def rewritten(network: nn.Module) -> nn.Module:
    return winograd(fusible(network))


CASES: dict[str, dict[str, Any]] = {
    "instance norm": {},
    "batch norm": {"network": "convnet-d1-w8-bn"},
    "group norm": {"network": "convnet-d1-w8-gn"},
    "layer norm": {"network": "convnet-d1-w8-ln"},
    "max pooling": {"network": "convnet-d1-w8-nonorm-max"},
    "wide": {"network": "convnet-d2-w64"},
    "residual": {"network": "resnet10-w4-bn"},
    "average pooling": {"network": "resnet10-ap-w4"},
    "whole batches": {"recipe": {"batch": 256}},
    "constant": {"recipe": {"schedule": "constant"}},
    "cosine": {"recipe": {"schedule": "cosine"}},
    "no momentum": {"recipe": {"momentum": 0.0, "weight_decay": 0.0}},
    "soft labels": {"soft": True},
    "squared logits": {"soft": True, "recipe": {"loss": "mse-logits"}},
    "learned rate": {"soft": True, "recipe": {"learned_lr": True}},
    "teacher": {"recipe": {"distillation": DISTILLED}},
    "teacher of mixed": {"recipe": {"distillation": DISTILLED, "mixing": "mixup"}},
    "cutmix": {"recipe": {"mixing": "cutmix"}},
    "dsa": {"recipe": {"augmentation": "dsa"}},
    "dc and mixup": {"soft": True, "recipe": {"augmentation": "dc", "mixing": "mixup"}},
}


def case(name: str, dtype: torch.dtype = torch.float32) -> Assignment:
    chosen = CASES[name]
    source = (soft_set if chosen.get("soft") else hard_set)(dtype)
    recipe = replace(PLAIN, **chosen.get("recipe", {}))
    return assignment(recipe, source, chosen.get("network", NETWORK))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("train", [uncompiled, vectorised.train_all], ids=["step", "vectorised"])
def test_agrees_with_the_oracle_to_ten_digits_in_float64(name: str, train: Train) -> None:
    given = case(name, torch.float64)
    ours, losses = trained(train, given, SEEDS, torch.float64)
    theirs, expected = trained(reference.train_all, given, SEEDS, torch.float64)
    for mine, oracle in zip(ours, theirs, strict=True):
        assert (mine - oracle).norm() < 1e-10 * oracle.norm()
    assert losses == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("name", ["instance norm", "batch norm", "teacher of mixed", "dsa"])
def test_vectorised_agrees_with_the_oracle_in_float32(name: str) -> None:
    given = case(name)
    ours, _ = trained(vectorised.train_all, given, SEEDS)
    theirs, _ = trained(reference.train_all, given, SEEDS)
    for mine, oracle in zip(ours, theirs, strict=True):
        assert (mine - oracle).norm() < 1e-4 * oracle.norm()


@pytest.mark.parametrize("strategy", ["parallel", "vectorised"])
def test_a_generators_students_see_what_the_oracles_see(strategy: Any) -> None:
    def outcomes(chosen: Any) -> list[bytes]:
        source: SyntheticSource = NoiseGenerator(labels=torch.arange(9) % 3)
        recipe = replace(PLAIN, augmentation="dsa")
        found = evaluate(source, NETWORK, recipe, tiny_pair().test, [4, 5], strategy=chosen)
        return [one.correct for one in found]

    assert outcomes(strategy) == outcomes("reference")


def test_a_vectorised_student_does_not_depend_on_the_others() -> None:
    given = case("dsa", torch.float64)
    together, _ = trained(vectorised.train_all, given, SEEDS, torch.float64)
    alone, _ = trained(vectorised.train_all, given, SEEDS[1:2], torch.float64)
    torch.testing.assert_close(together[1], alone[0], rtol=1e-10, atol=1e-12)


def test_one_diverging_student_ends_the_evaluation_whatever_the_strategy() -> None:
    wild = Recipe(epochs=3, lr=1e20)
    for strategy in ("reference", "parallel", "vectorised"):
        with pytest.raises(Diverged, match="last epoch"):
            evaluate(hard_set(), NETWORK, wild, tiny_pair().test, [0, 1], strategy=strategy)


def test_the_steps_velocities_start_where_the_optimiser_is() -> None:
    (ours, _), (theirs, _) = (
        trained(train, assignment(replace(PLAIN, epochs=2)), [0])
        for train in (uncompiled, reference.train_all)
    )
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-6)


def test_students_in_threads_lend_their_tensors_to_networks_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "SMALL_SHARE", 2)  # every piece is too small to be compiled
    given, seeds = case("instance norm", torch.float64), range(6)

    def in_threads(
        given: Assignment, students: Sequence[Training], peak: Peak, report: EpochsDone
    ) -> list[float]:
        shared = Eager(students[0])
        ready = [compiled.CompiledStudent(student, shared) for student in students]
        with ThreadPoolExecutor(len(ready)) as pool:
            return list(pool.map(lambda student: reference.train(student, peak), ready))

    ours, _ = trained(in_threads, given, seeds, torch.float64)
    theirs, _ = trained(reference.train_all, given, seeds, torch.float64)
    for mine, oracle in zip(ours, theirs, strict=True):
        assert (mine - oracle).norm() < 1e-10 * oracle.norm()


@pytest.fixture
def nothing_compiled() -> None:
    compiled._step.cache_clear()
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize("name", ["instance norm", "batch norm", "wide", "teacher of mixed", "dsa"])
def test_compiled_agrees_with_the_oracle(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "AT_ONCE", 3)  # of 4 images in a batch
    given = case(name)
    ours, _ = trained(compiled.train_all, given, SEEDS)
    theirs, _ = trained(reference.train_all, given, SEEDS)
    for mine, oracle in zip(ours, theirs, strict=True):
        assert (mine - oracle).norm() < 1e-4 * oracle.norm()


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_compiled")
def test_another_seed_learning_rate_and_size_of_batch_compile_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "AT_ONCE", 2)
    given = case("instance norm")
    trained(compiled.train_all, given, [0])
    with torch.compiler.set_stance("fail_on_recompile"):
        other = replace(given.recipe, lr=0.01, batch=6)
        trained(compiled.train_all, replace(given, recipe=other), [1])


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_compiled")
def test_compiled_students_side_by_side_reach_what_the_oracles_reach() -> None:
    test = tiny_pair().test
    ours, theirs = (
        evaluate(hard_set(), NETWORK, PLAIN, test, [0, 1, 2], strategy=strategy)
        for strategy in ("parallel-compiled", "reference")
    )
    assert [one.correct for one in ours] == [one.correct for one in theirs]
    assert [one.loss for one in ours] == pytest.approx([one.loss for one in theirs], rel=1e-3)
