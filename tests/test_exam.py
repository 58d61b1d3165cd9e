"""Exams: one student, trained as the recipe says, tested once after its last epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench import networks
from bench.data import SyntheticSet
from bench.errors import ContractError, Diverged
from bench.evaluation import Outcome, evaluate
from bench.exam import Exam
from bench.randomness import generator
from bench.recipes import Recipe
from tests.fakes import NETWORK, SPEC, exam, tiny_pair, watched

RECIPE = Recipe(epochs=4, augmentation="none")


def synthetic(labels: torch.Tensor | None = None) -> SyntheticSet:
    """One real image of each class."""
    real = tiny_pair().train
    chosen = torch.stack([places[0] for places in real.class_indices])
    drawn = real.subset(chosen)
    return drawn if labels is None else replace(drawn, labels=labels)


def score(sat: Exam, source: SyntheticSet, recipe: Recipe = RECIPE, seed: int = 3) -> Outcome:
    """The outcome without the time it took."""
    return replace(sat.score(source, NETWORK, recipe, seed), seconds=0)


def test_a_score_is_that_of_one_student(tmp_path: Path) -> None:
    pair = tiny_pair()
    (alone,) = evaluate(synthetic(), NETWORK, RECIPE, pair.test, [3])
    assert score(exam(pair, tmp_path), synthetic()) == replace(alone, seconds=0)


def test_scoring_again_gives_the_same_and_another_seed_another(tmp_path: Path) -> None:
    sat = exam(tiny_pair(), tmp_path)
    assert score(sat, synthetic()) == score(sat, synthetic())
    assert score(sat, synthetic()).loss != score(sat, synthetic(), seed=4).loss


def test_test_images_are_read_after_the_last_epoch_alone(tmp_path: Path) -> None:
    pair = tiny_pair()
    test = watched(pair.test)
    sat = exam(
        replace(pair, test=test), tmp_path, lambda seed, done, total: test.log.append(f"{done}")
    )
    score(sat, synthetic())
    assert test.log == ["1", "2", "3", "4", "read"]


def test_hard_labels_are_the_likeliest_of_soft_ones(tmp_path: Path) -> None:
    sat = exam(tiny_pair(), tmp_path)
    hard = replace(RECIPE, labels="hard")
    soft = synthetic(labels=torch.eye(3))
    assert score(sat, soft, hard) == score(sat, synthetic(), RECIPE)
    assert score(sat, soft, hard).loss != score(sat, soft, RECIPE).loss


def test_a_teachers_labels_are_what_the_protocols_teacher_says(tmp_path: Path) -> None:
    sat = exam(tiny_pair(), tmp_path)
    teacher = networks.build(NETWORK, SPEC, generator("teacher")).requires_grad_(False).eval()
    recipe = replace(RECIPE, labels="teacher")
    taught = replace(sat.score(synthetic(), NETWORK, recipe, 3, teacher), seconds=0)
    labelled = synthetic(labels=teacher(synthetic().images))
    assert taught == score(sat, labelled)


def test_a_teachers_labels_need_a_teacher(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="the protocol must give one"):
        score(exam(tiny_pair(), tmp_path), synthetic(), replace(RECIPE, labels="teacher"))


def test_a_student_that_diverges_has_no_outcome(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="the student"):
        score(exam(tiny_pair(), tmp_path), synthetic(), replace(RECIPE, lr=1e20))
