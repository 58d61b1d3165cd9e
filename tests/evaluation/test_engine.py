"""The engine's choice and its refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch._inductor.exc import InductorError

from bench.errors import InvalidValue, UnknownName
from bench.evaluation import (
    STRATEGIES,
    Assignment,
    Candidate,
    Strategy,
    compiled,
    engine,
    evaluate,
    evaluate_candidates,
)
from bench.evaluation.precision import arithmetic
from bench.recipes import KnowledgeDistillation, Recipe
from bench.training import Training
from tests.evaluation.students import CPU, PLAIN, assignment, hard_set, soft_set
from tests.fakes import NETWORK, NoiseGenerator, tiny_pair


def chosen(students: int, network: str = NETWORK, **recipe: Any) -> str:
    given = assignment(replace(PLAIN, **recipe), network=network)
    return engine.choose(given, students)


def test_a_short_training_stays_with_the_reference_however_many_seeds() -> None:
    assert chosen(1) == chosen(5) == "reference"


def test_longer_trainings_run_side_by_side_and_the_longest_are_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "available", lambda device: True)
    work = engine.training_flops(assignment())
    monkeypatch.setattr(engine, "PARALLEL_PAYS", 10 * work)
    monkeypatch.setattr(engine, "COMPILING_PAYS", 100 * work)
    assert [chosen(5, epochs=7 * longer) for longer in (9, 11, 101)] == [
        "reference",
        "parallel",
        "parallel-compiled",
    ]
    assert [chosen(1, epochs=7 * longer) for longer in (11, 101)] == ["reference", "compiled"]


def test_a_network_of_many_parameters_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "available", lambda device: True)
    monkeypatch.setattr(engine, "COMPILING_PAYS", 0)
    assert chosen(1) == "compiled"
    monkeypatch.setattr(engine, "MOST_COMPILED", 100)
    assert chosen(1) == "reference"


def test_a_step_that_the_compiler_refuses_runs_uncompiled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(*args: Any) -> None:
        raise InductorError(RuntimeError("conflicting declaration"), None)

    monkeypatch.setattr(torch, "compile", lambda step, **options: refuses)
    compiled._step.cache_clear()
    try:
        plain, broken = (
            evaluate(hard_set(), NETWORK, PLAIN, tiny_pair().test, [0, 1], strategy=way)
            for way in ("reference", "compiled")
        )
    finally:
        compiled._step.cache_clear()
    assert [one.accuracy for one in broken] == [one.accuracy for one in plain]
    assert [one.loss for one in broken] == pytest.approx([one.loss for one in plain], rel=1e-5)
    assert caplog.text.count("cannot be compiled; it runs uncompiled. RuntimeError") == 1


def test_without_a_compiler_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "available", lambda device: False)
    monkeypatch.setattr(engine, "COMPILING_PAYS", 0)
    assert chosen(1) == "reference"
    with pytest.raises(InvalidValue, match="C\\+\\+ compiler"):
        evaluate(hard_set(), NETWORK, PLAIN, tiny_pair().test, [0], strategy="compiled")


def test_the_work_of_a_training_is_counted_by_images_and_epochs() -> None:
    once, twice = (
        engine.training_flops(assignment(replace(PLAIN, epochs=epochs))) for epochs in (7, 14)
    )
    # convolution 1→8 of 8×8 maps, then 128 numbers to 3 classes; forward and twice backward
    assert once == 3 * 7 * 9 * (2 * 8 * 9 * 64 + 2 * 8 * 16 * 3)
    assert twice == 2 * once


def test_a_source_that_cannot_be_counted_is_trained_by_the_reference() -> None:
    source = NoiseGenerator(labels=torch.arange(6) % 3)
    assert engine.choose(assignment(source=source), 5) == "reference"
    assert not source.asked


@pytest.mark.parametrize("strategy", ["compiled", "vectorised", "parallel-compiled"])
def test_dropout_goes_with_plain_loops_alone(strategy: Any) -> None:
    rule = KnowledgeDistillation(teacher="vit")
    for recipe, network in ((PLAIN, "vit"), (replace(PLAIN, distillation=rule), NETWORK)):
        with pytest.raises(InvalidValue, match="dropout"):
            engine.check(strategy, assignment(recipe, network=network))


def test_an_unknown_strategy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="vectorised"):
        evaluate(hard_set(), NETWORK, PLAIN, tiny_pair().test, [0], strategy="fast")  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", ["reference", "parallel", "vectorised"])
def test_an_outcome_says_how_it_was_reached(strategy: Any) -> None:
    found = evaluate(hard_set(), NETWORK, PLAIN, tiny_pair().test, [4, 2], strategy=strategy)
    assert [(one.seed, one.strategy) for one in found] == [(4, strategy), (2, strategy)]
    assert strategy in STRATEGIES


@pytest.mark.parametrize("strategy", ["reference", "parallel", "vectorised"])
def test_each_epoch_of_each_seed_is_reported_once(strategy: Any) -> None:
    told: list[tuple[int, int, int]] = []
    evaluate(
        hard_set(),
        NETWORK,
        PLAIN,
        tiny_pair().test,
        [4, 2],
        strategy=strategy,
        report=lambda *args: told.append(args),
    )
    assert sorted(told) == [(seed, done, 7) for seed in (2, 4) for done in range(1, 8)]


def test_tf32_is_for_cuda_and_put_back_afterwards() -> None:
    with pytest.raises(InvalidValue, match="tf32"), arithmetic("tf32", CPU):
        pass
    with arithmetic("tf32", torch.device("cuda")):
        assert torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_bf16_rounds_the_forward_pass_and_keeps_the_weights_in_float32() -> None:
    test = tiny_pair().test
    recipe = Recipe(epochs=3, batch=4)
    exact, rounded = (
        evaluate(hard_set(), NETWORK, replace(recipe, precision=name), test, [0])[0].loss
        for name in ("fp32", "bf16")
    )
    assert exact != rounded
    assert rounded == pytest.approx(exact, rel=0.1)


def candidates() -> list[Candidate]:
    """Students of two kinds that differ in seeds, images and learning rates."""
    moved = replace(hard_set(), images=hard_set().images.flip(0))
    plain = assignment()
    return [
        Candidate(replace(plain, recipe=replace(PLAIN, lr=0.03)), 4),
        Candidate(replace(plain, source=soft_set()), 5),
        Candidate(replace(plain, source=moved), 6),
        Candidate(replace(plain, source=soft_set(), recipe=replace(PLAIN, learned_lr=True)), 5),
    ]


@pytest.mark.parametrize("strategy", ["reference", "vectorised"])
def test_candidates_reach_together_what_each_reaches_alone(
    strategy: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, train = [], engine.vectorised.train_all

    def counted(given: Assignment, students: Sequence[Training], *rest: Any) -> list[float]:
        sizes.append(len(students))
        return train(given, students, *rest)

    monkeypatch.setattr(engine.vectorised, "train_all", counted)
    found = evaluate_candidates(candidates(), strategy=strategy)
    assert sizes == ([2, 2] if strategy == "vectorised" else [])
    for outcome, (told, seed) in zip(found, candidates(), strict=True):
        (alone,) = evaluate(
            told.source, NETWORK, told.recipe, told.test, [seed], strategy="reference"
        )
        assert (outcome.seed, outcome.correct) == (seed, alone.correct)
        assert outcome.loss == pytest.approx(alone.loss, rel=1e-3)
