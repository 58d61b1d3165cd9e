"""Evaluating a source: fresh students, the last epoch, one look at the test images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench import evaluation
from bench.data import SyntheticSet
from bench.datasets import RealPair
from bench.errors import Diverged, NotApplicable
from bench.evaluation import Outcome, evaluate
from bench.recipes import KnowledgeDistillation, Recipe
from tests import plain
from tests.fakes import NETWORK, SPEC, NoiseGenerator, tiny_pair, watched

RECIPE = Recipe(epochs=6, lr=0.05, batch=4)


def some_images(ipc: int = 2) -> SyntheticSet:
    train = tiny_pair().train
    return train.subset(torch.cat([members[:ipc] for members in train.class_indices]))


def comparable(outcome: Outcome) -> Outcome:
    return replace(outcome, seconds=0.0)


@pytest.mark.parametrize("distilled", [False, True])
def test_reaches_what_a_plain_loop_reaches(tiny: RealPair, distilled: bool) -> None:
    rule = KnowledgeDistillation(teacher="mlp", alpha=0.7, temperature=2.0) if distilled else None
    recipe, source = replace(RECIPE, distillation=rule), some_images()
    (outcome,) = evaluate(source, NETWORK, recipe, tiny.test, [3])
    teacher = plain.train(source, "mlp", RECIPE, SPEC, ("teacher", 3)) if distilled else None
    student = plain.train(source, NETWORK, recipe, SPEC, ("student", 3), teacher)
    right = student(tiny.test.images()).argmax(1) == tiny.test.labels
    assert outcome.correct == np.packbits(right.numpy()).tobytes()
    assert outcome.accuracy == right.double().mean().item()


def test_learns_the_tiny_dataset_from_all_its_images(tiny: RealPair) -> None:
    (outcome,) = evaluate(tiny.train, NETWORK, Recipe(epochs=8, lr=0.1, batch=16), tiny.test, [0])
    assert outcome.accuracy > 0.8
    assert outcome.peak_bytes > tiny.train.images().nbytes


def test_a_seeds_result_does_not_depend_on_the_other_seeds(tiny: RealPair) -> None:
    together = evaluate(some_images(), NETWORK, RECIPE, tiny.test, [2, 0, 1])
    alone = [evaluate(some_images(), NETWORK, RECIPE, tiny.test, [seed])[0] for seed in (2, 0, 1)]
    assert [comparable(one) for one in together] == [comparable(one) for one in alone]
    assert len({one.loss for one in together}) == 3


@pytest.mark.parametrize("rule", [None, KnowledgeDistillation(teacher=NETWORK)])
def test_test_images_are_read_once_and_only_after_the_last_epoch(
    tiny: RealPair, rule: KnowledgeDistillation | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.training.TEST_BATCH", 20)
    test = watched(tiny.test)
    recipe = replace(RECIPE, distillation=rule)
    evaluate(some_images(), NETWORK, recipe, test, [0], report=lambda *_: test.log.append("epoch"))
    assert test.log == ["epoch"] * RECIPE.epochs + ["read"] * 3
    assert test.reads == [20, 20, 5]


def test_packed_bits_are_the_accuracy(tiny: RealPair) -> None:
    for outcome in evaluate(some_images(), NETWORK, RECIPE, tiny.test, [0, 1]):
        bits = np.unpackbits(np.frombuffer(outcome.correct, np.uint8))
        assert len(bits) == 48  # 45 images, padded with zeros
        assert not bits[45:].any()
        assert bits[:45].mean() == outcome.accuracy


def test_progress_is_told_after_every_epoch_of_every_seed(tiny: RealPair) -> None:
    told: list[tuple[int, int, int]] = []
    evaluate(
        some_images(), NETWORK, RECIPE, tiny.test, [4, 5], report=lambda *args: told.append(args)
    )
    assert told == [(seed, done, 6) for seed in (4, 5) for done in range(1, 7)]


def test_a_generator_gives_every_epoch_other_images(tiny: RealPair) -> None:
    source = NoiseGenerator(labels=torch.arange(6) % 3)
    evaluate(source, NETWORK, RECIPE, tiny.test, [0])
    assert len(set(source.asked)) == RECIPE.epochs


def test_a_student_that_diverges_stops_at_the_next_look(tiny: RealPair) -> None:
    told: list[int] = []
    wild = Recipe(epochs=10 * evaluation.CHECK_EVERY, lr=1e20, augmentation="none")
    with pytest.raises(Diverged, match="the student at epoch 50 became nan"):
        evaluate(
            some_images(1),
            NETWORK,
            wild,
            tiny.test,
            [0],
            report=lambda _, done, total: told.append(done),
        )
    assert told[-1] < evaluation.CHECK_EVERY


def test_a_student_that_diverges_at_the_end_is_noticed(tiny: RealPair) -> None:
    with pytest.raises(Diverged, match="last epoch"):
        evaluate(some_images(), NETWORK, Recipe(epochs=3, lr=1e20), tiny.test, [0])


def test_a_loss_between_logits_does_not_apply_to_hard_labels(tiny: RealPair) -> None:
    with pytest.raises(NotApplicable, match="soft labels"):
        evaluate(some_images(), NETWORK, replace(RECIPE, loss="l1-logits"), tiny.test, [0])


def test_global_randomness_is_left_alone(tiny: RealPair) -> None:
    before = torch.get_rng_state()
    evaluate(some_images(), NETWORK, RECIPE, tiny.test, [0])
    assert torch.equal(torch.get_rng_state(), before)
