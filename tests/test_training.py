"""Training a student: the recipe is followed to the letter, and checked against plain loops."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench import augment, networks, training
from bench.data import RealSet, SyntheticSet, SyntheticSource
from bench.datasets import RealPair
from bench.errors import Diverged, InvalidValue, NotApplicable, UnknownName
from bench.evaluation import start_training
from bench.randomness import generator
from bench.recipes import KnowledgeDistillation, Recipe
from bench.training import Training, batches, check_finite, distillation_loss
from tests import plain
from tests.fakes import NETWORK, SPEC, NoiseGenerator, tiny_pair

RECIPE = Recipe(epochs=4, lr=0.1, batch=4, augmentation="dsa")


def hard_set(per_class: int = 3, dtype: torch.dtype = torch.float32) -> SyntheticSet:
    images = torch.randn(3 * per_class, *SPEC.shape, generator=generator("hard set"), dtype=dtype)
    return SyntheticSet(images=images, labels=torch.arange(3).repeat_interleave(per_class))


def soft_set(learning_rate: float | None = None) -> SyntheticSet:
    logits = torch.randn(9, 3, generator=generator("soft labels"))
    return SyntheticSet(images=hard_set().images, labels=logits, learning_rate=learning_rate)


def student_of(source: SyntheticSource, recipe: Recipe, scope: str = "student") -> Training:
    return start_training(source, NETWORK, recipe, tiny_pair().train, (scope, 0))


def double(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator("double", seed), dtype=torch.float64)


@pytest.mark.parametrize("batch", [4, 256])
def test_agrees_with_a_plain_loop_in_float64(batch: int) -> None:
    recipe = replace(RECIPE, batch=batch)
    source = hard_set(dtype=torch.float64)
    scope = ("student", 0)
    weights = generator(*scope, "weights")
    ours = Training(
        network=networks.build(NETWORK, SPEC, weights, dtype=torch.float64),
        source=source,
        recipe=recipe,
        augment=augment.build(recipe.augmentation, SPEC),
        shuffle=generator(*scope, "shuffle"),
        augmenting=generator(*scope, "augment"),
    )
    for _ in range(recipe.epochs):
        ours.run_epoch()
    theirs = plain.train(source, NETWORK, recipe, SPEC, scope, dtype=torch.float64)
    error = networks.flatten(ours.network) - networks.flatten(theirs)
    assert error.abs().max() < 1e-12


def test_real_images_train_like_the_same_images_in_a_synthetic_set(tiny: RealPair) -> None:
    real = tiny.train
    same = SyntheticSet(images=real.images(), labels=real.targets())
    ours, theirs = (student_of(source, RECIPE) for source in (real, same))
    assert torch.equal(ours.run_epoch(), theirs.run_epoch())
    assert torch.equal(networks.flatten(ours.network), networks.flatten(theirs.network))


def rates(recipe: Recipe, source: SyntheticSource | None = None) -> list[float]:
    """The learning rate that each epoch was really trained with."""
    student, seen = student_of(source or hard_set(), recipe), []
    for _ in range(recipe.epochs):
        student.run_epoch()
        seen.append(student.optimizer.param_groups[0]["lr"])
    return seen


@pytest.mark.parametrize("epochs", [1, 2, 3, 8, 9])
def test_step_schedule_divides_by_ten_once_half_the_epochs_and_one_are_done(epochs: int) -> None:
    recipe = Recipe(epochs=epochs, lr=0.1, schedule="step")
    assert rates(recipe) == pytest.approx(plain.step_schedule(recipe, 0.1), rel=1e-12)


def test_step_schedule_keeps_the_momentum() -> None:
    recipe = Recipe(epochs=4, schedule="step")
    student = student_of(hard_set(), recipe)
    for _ in range(3):
        student.run_epoch()
    optimizer = student.optimizer
    student.run_epoch()
    assert student.optimizer is optimizer


def test_cosine_schedule_falls_from_the_start_towards_zero() -> None:
    recipe = Recipe(epochs=6, lr=0.1, schedule="cosine")
    expected = [0.1 * math.cos(math.pi * epoch / 12) ** 2 for epoch in range(6)]
    assert rates(recipe) == pytest.approx(expected, rel=1e-12)


def test_constant_schedule_is_constant() -> None:
    assert rates(Recipe(epochs=5, lr=0.03, schedule="constant")) == [0.03] * 5


@pytest.mark.parametrize(("learned_lr", "start"), [(True, 0.5), (False, 0.01)])
def test_learned_rate_is_used_only_when_the_recipe_says_so(learned_lr: bool, start: float) -> None:
    recipe = Recipe(epochs=2, lr=0.01, learned_lr=learned_lr, schedule="constant")
    assert rates(recipe, soft_set(learning_rate=0.5)) == [start, start]


def test_a_recipe_that_asks_for_a_learned_rate_falls_back_on_its_own() -> None:
    assert rates(Recipe(epochs=1, lr=0.02, learned_lr=True), soft_set()) == [0.02]


def test_soft_labels_are_logits_whose_softmax_is_the_target() -> None:
    logits, labels = double(5, 3), double(5, 3, seed=1)
    expected = plain.cross_entropy(logits.numpy(), plain.softmax(labels.numpy()))
    assert training.cross_entropy(logits, labels).item() == pytest.approx(expected, rel=1e-12)


def test_hard_labels_are_one_hot_targets() -> None:
    logits, labels = double(5, 3), torch.tensor([0, 2, 1, 1, 0])
    expected = plain.cross_entropy(logits.numpy(), np.eye(3)[labels.numpy()])
    assert training.cross_entropy(logits, labels).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "power"), [("l1-logits", 1), ("mse-logits", 2)])
def test_losses_between_logits_average_over_images_and_classes(name: str, power: int) -> None:
    logits, labels = double(5, 3), double(5, 3, seed=1)
    expected = (np.abs(logits.numpy() - labels.numpy()) ** power).mean()
    assert training.LOSSES[name](logits, labels).item() == pytest.approx(expected, rel=1e-12)
    with pytest.raises(NotApplicable, match="soft labels"):
        training.LOSSES[name](logits, torch.arange(5) % 3)


@pytest.mark.parametrize("loss", ["cross-entropy", "l1-logits", "mse-logits"])
def test_soft_labels_are_learnt_under_every_loss(loss: Any) -> None:
    recipe = Recipe(epochs=40, lr=0.1, loss=loss, augmentation="none", weight_decay=0)
    student = student_of(soft_set(), recipe)
    losses = [student.run_epoch().item() for _ in range(recipe.epochs)]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_knowledge_distillation_follows_its_formula_and_gradient(alpha: float) -> None:
    rule = KnowledgeDistillation(teacher=NETWORK, alpha=alpha, temperature=2.5)
    logits, teacher = double(4, 3).requires_grad_(), double(4, 3, seed=1).requires_grad_()
    labels = torch.tensor([2, 0, 1, 1])
    loss = distillation_loss(logits, labels, teacher.detach(), rule)
    loss.backward()

    f, t, hot = logits.detach().numpy(), teacher.detach().numpy(), np.eye(3)[labels.numpy()]
    ours, goal = plain.softmax(f / 2.5), plain.softmax(t / 2.5)
    expected = (1 - alpha) * plain.cross_entropy(f, hot)
    expected += alpha * 2.5**2 * plain.divergence(goal, ours)
    gradient = ((1 - alpha) * (plain.softmax(f) - hot) + alpha * 2.5 * (ours - goal)) / 4
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), gradient, rtol=0, atol=1e-14)


def test_the_teacher_sees_the_students_images_and_stays_as_it_is() -> None:
    rule = KnowledgeDistillation(teacher=NETWORK)
    recipe = Recipe(epochs=1, augmentation="dsa", distillation=rule)
    teacher = networks.build(NETWORK, SPEC, generator("teacher"))
    before, seen = networks.flatten(teacher), []
    teacher.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    student = replace_teacher(student_of(hard_set(), recipe), teacher)
    student.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    student.run_epoch()
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(networks.flatten(teacher), before)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def replace_teacher(student: Training, teacher: torch.nn.Module) -> Training:
    student.teacher = teacher
    return student


@given(count=st.integers(1, 12), size=st.integers(1, 15), seed=st.integers(0, 3))
def test_an_epoch_shows_every_image_once(count: int, size: int, seed: int) -> None:
    images = torch.arange(count).view(count, 1, 1, 1).expand(-1, *SPEC.shape).float()
    source = SyntheticSet(images=images, labels=torch.arange(count))
    seen = list(batches(source, size, generator("epoch", seed)))
    assert sorted(torch.cat([labels for _, labels in seen]).tolist()) == list(range(count))
    assert all(torch.equal(image[:, 0, 0, 0].long(), labels) for image, labels in seen)
    assert [len(labels) for _, labels in seen[:-1]] == [size] * (len(seen) - 1)
    assert 1 <= len(seen[-1][1]) <= size


def test_epochs_come_in_different_orders() -> None:
    rng = generator("orders")
    first, second = (
        torch.cat([labels for _, labels in batches(tiny_pair().train, 16, rng)]) for _ in range(2)
    )
    assert not torch.equal(first, second)


def test_a_generator_is_asked_anew_for_every_epoch() -> None:
    source = NoiseGenerator(labels=torch.arange(9) % 3)
    student = student_of(source, Recipe(epochs=3, augmentation="none"))
    for _ in range(3):
        student.run_epoch()
    assert len(set(source.asked)) == 3


def test_predictions_do_not_depend_on_the_batch(
    tiny: RealPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = networks.build(f"{NETWORK}-bn", SPEC, generator("bn"))
    at_once = training.predictions(network, tiny.test)
    monkeypatch.setattr(training, "TEST_BATCH", 7)
    assert torch.equal(training.predictions(network, tiny.test), at_once)
    logits = network(tiny.test.images())
    assert torch.equal(at_once, logits.argmax(1))
    assert not network.training


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_is_divergence(value: float) -> None:
    with pytest.raises(Diverged, match="the loss of a student became"):
        check_finite(torch.tensor(value), "a student")


def test_training_leaves_global_randomness_alone(tiny: RealPair) -> None:
    def states() -> tuple[Any, ...]:
        numpy_state = np.random.get_state()  # noqa: NPY002
        return torch.get_rng_state().tolist(), str(numpy_state), random.getstate()

    before = states()
    student = student_of(tiny.train, RECIPE)
    student.run_epoch()
    assert states() == before


def test_students_of_one_scope_are_equal_and_of_another_are_not(tiny: RealPair) -> None:
    def weights(real: RealSet, scope: str) -> Tensor:
        student = student_of(real, RECIPE, scope)
        student.run_epoch()
        return networks.flatten(student.network)

    first = weights(tiny.train, "student")
    assert torch.equal(first, weights(tiny.train, "student"))
    assert not torch.equal(first, weights(tiny.train, "another"))


@pytest.mark.parametrize("field", ["schedule", "loss"])
def test_a_recipe_refuses_an_unknown_word(field: str) -> None:
    with pytest.raises(UnknownName, match=field):
        Recipe(epochs=1).with_changes({field: "cosin"})


@pytest.mark.parametrize("change", [{"epochs": 0}, {"batch": 0}, {"lr": 0.0}, {"lr": math.nan}])
def test_a_recipe_refuses_what_cannot_be_trained(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        Recipe(epochs=1).with_changes(change)


def test_a_recipe_names_its_fields_when_one_is_unknown() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'momentum'"):
        Recipe(epochs=1).with_changes({"momentun": 0.5})
