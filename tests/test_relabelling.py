"""Other labels on the same images: class indices, or a teacher's logits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import networks
from bench.data import RealSet, SyntheticSet
from bench.errors import ContractError, NotApplicable
from bench.randomness import generator
from bench.recipes import Recipe
from bench.relabelling import relabel
from tests.fakes import NETWORK, SPEC, NoiseGenerator, exam, tiny_pair

LOGITS = torch.tensor([[0.0, 2.0, 1.0], [3.0, -1.0, 0.0], [0.0, 0.5, 0.6]])
INDICES = torch.tensor([1, 0, 2])


def images() -> Tensor:
    return torch.randn(3, *SPEC.shape, generator=generator("images"))


def soft_set() -> SyntheticSet:
    return SyntheticSet(images=images(), labels=LOGITS, learning_rate=0.3)


def a_teacher(seed: int = 0) -> nn.Module:
    return networks.build(NETWORK, SPEC, generator("teacher", seed)).requires_grad_(False).eval()


@dataclass(frozen=True, kw_only=True, eq=False)
class SoftNoise(NoiseGenerator):
    """Draws other images each epoch, with soft labels."""

    @property
    def label_kind(self) -> Any:
        return "soft"


def test_own_labels_are_left_alone() -> None:
    source = soft_set()
    assert relabel(source, "own", a_teacher()) is source


def test_hard_labels_are_the_likeliest_classes_and_nothing_else_changes() -> None:
    hard = relabel(soft_set(), "hard", None)
    assert isinstance(hard, SyntheticSet)
    assert (hard.label_kind, hard.labels.dtype) == ("hard", torch.int64)
    assert torch.equal(hard.labels, INDICES)
    assert torch.equal(hard.images, images())
    assert hard.learning_rate == 0.3


@pytest.mark.parametrize("source", [replace(soft_set(), labels=INDICES), tiny_pair().train])
def test_class_indices_are_hard_already(source: SyntheticSet | RealSet) -> None:
    assert relabel(source, "hard", None) is source


def test_a_teachers_labels_are_its_logits_of_the_images_without_a_graph() -> None:
    teacher = a_teacher()
    taught = relabel(replace(soft_set(), labels=INDICES), "teacher", teacher)
    assert isinstance(taught, SyntheticSet)
    assert taught.label_kind == "soft"
    assert not taught.labels.requires_grad
    assert torch.equal(taught.labels, teacher(images()))
    assert not torch.equal(taught.labels, a_teacher(1)(images()))


def test_a_source_that_draws_its_images_is_taught_epoch_by_epoch() -> None:
    teacher = a_teacher()
    source = NoiseGenerator(labels=torch.arange(3))
    taught = relabel(source, "teacher", teacher).to("cpu")
    assert (taught.label_kind, taught.stored_bytes) == ("soft", source.stored_bytes)
    assert taught.learning_rate is None
    rng = generator("epochs")
    drawn = [taught.epoch(rng) for _ in range(2)]
    assert not torch.equal(drawn[0][0], drawn[1][0])
    for pictures, labels in drawn:
        assert torch.equal(labels, teacher(pictures))


def test_soft_labels_that_come_with_drawn_images_are_hardened_too() -> None:
    hard = relabel(SoftNoise(labels=LOGITS), "hard", None).to("cpu")
    assert hard.label_kind == "hard"
    assert torch.equal(hard.epoch(generator("epoch"))[1], INDICES)


def test_a_teachers_labels_need_a_teacher() -> None:
    with pytest.raises(ContractError, match="the protocol must give one"):
        relabel(soft_set(), "teacher", None)


def test_the_whole_training_set_keeps_its_labels() -> None:
    with pytest.raises(NotApplicable, match="keeps its own labels"):
        relabel(tiny_pair().train, "teacher", a_teacher())


@pytest.mark.parametrize("labels", ["own", "hard", "teacher"])
def test_an_exam_trains_on_the_labels_that_the_recipe_names(labels: Any, tmp_path: Path) -> None:
    teacher, seen = a_teacher(), exam(tiny_pair(), tmp_path)
    recipe = Recipe(epochs=2, augmentation="none")
    ours = seen.score(soft_set(), NETWORK, replace(recipe, labels=labels), 0, teacher)
    given = {"own": LOGITS, "hard": INDICES, "teacher": teacher(images())}[labels]
    theirs = seen.score(replace(soft_set(), labels=given), NETWORK, recipe, 0)
    assert (ours.loss, ours.correct) == (theirs.loss, theirs.correct)
