"""Label-only: real images, and nothing but the teacher in their labels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import cards
from bench.errors import NotApplicable
from bench.specs import Budget
from bench.trials import TIERS, Tier
from methods.label_only import LabelOnly
from tests.fakes import tiny_task

METHOD = LabelOnly(experts=2, teacher_epochs=2, teacher_lr=0.05, teacher_augmentation="dsa")


def test_labels_are_the_teachers_logits(tmp_path: Path) -> None:
    state = METHOD.prepare(tiny_task(tmp_path))
    made = METHOD.result(state)
    assert made.labels.shape == (6, 3)
    for image, label in zip(made.images, made.labels, strict=True):
        torch.testing.assert_close(label, state.teacher(image[None])[0])


def test_images_are_real_ones_of_each_class_in_turn(tmp_path: Path) -> None:
    task = tiny_task(tmp_path)
    made = METHOD.result(METHOD.prepare(task))
    found = []
    for image in made.images:
        (place,) = (task.real.images() == image).flatten(1).all(1).nonzero()[:, 0].tolist()
        found.append(place)
    assert len(set(found)) == len(found)
    assert task.real.labels[found].tolist() == [0, 0, 1, 1, 2, 2]


def test_teacher_comes_from_the_pool_that_all_seeds_share(tmp_path: Path) -> None:
    for seed in range(6):
        METHOD.prepare(tiny_task(tmp_path, seed=seed))
    assert len(list(tmp_path.glob("*.safetensors"))) == METHOD.experts


def test_budget_beyond_the_real_images_does_not_apply(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="21 real images per class"):
        METHOD.result(METHOD.prepare(tiny_task(tmp_path, ipc=21)))


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("dataset", ["digits", "cifar10", "cifar100", "tiny-imagenet"])
@pytest.mark.parametrize("count", [1, 10, 50, 100, 1000])
def test_control_shares_teachers_and_native_recipe_with_apm(
    tier: Tier, dataset: str, count: int
) -> None:
    budget = Budget("ipc", count)
    control, apm = cards.card("label-only"), cards.card("apm")
    for name, entry in control.native_fields(tier, dataset, budget).items():
        assert entry.value == apm.native_fields(tier, dataset, budget)[name].value
    assert control.native.keys() == apm.native.keys()
    ours, theirs = (card.resolve(tier, dataset, budget) for card in (control, apm))
    for name in ("experts", "teacher_epochs", "teacher_lr"):
        assert ours[name].value == theirs[name].value
    assert ours["teacher_augmentation"].value == theirs["augmentation"].value
