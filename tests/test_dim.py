"""DiM and its conditional GAN against formulas in float64, and epoch by epoch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import api, artifacts, cards, networks
from bench.adversarial import Gan, discriminator_loss, generator_loss, gradient_penalty
from bench.augment.differentiable import DifferentiableAugmentation
from bench.augment.families import Color, Crop, Cutout
from bench.distillation import Distilled, distill
from bench.errors import ContractError, InvalidValue, NotApplicable
from bench.generators import SyntheticGenerator
from bench.networks.gan import GanShape, build_gan
from bench.randomness import generator
from bench.recipes import Recipe
from bench.specs import Budget
from bench.store import Store
from bench.task import Task
from bench.training import Training
from methods.dim import DistillingState, DistillIntoModel
from tests.fakes import NETWORK, tiny_pair, tiny_task
from tests.test_worker import job_of, run

SHAPE = GanShape(width=3, latent=5, num_classes=3, channels=1, size_px=8)


def adapter(**changes: Any) -> DistillIntoModel:
    """A DiM of two epochs alone and two with matching, each of two batches of 30."""
    small: dict[str, Any] = {
        "width": 4,
        "latent": 6,
        "gan_epochs": 2,
        "matching_epochs": 2,
        "batch_real": 30,
        "lr_generator": 1e-3,
        "lr_matching": 1e-4,
        "matching_weight": 0.5,
        "matched": "logits",
        "pool": "convnet-d1-w4-bn|mlp",
        "student_steps": 1,
        "lr_student": 0.01,
        "augmentation": "color-crop",
    }
    return DistillIntoModel(**small | changes)


def task(folder: Path, *, inpc: int = 2, seed: int = 0) -> Task:
    return replace(tiny_task(folder, seed=seed), budget=Budget("inpc", inpc))


def source(result: Distilled) -> SyntheticGenerator:
    assert isinstance(result.source, SyntheticGenerator)
    return result.source


def equal(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


# ---------------------------------------------------------------------------- losses


class LinearCritic(nn.Module):
    """Score ⟨w, x⟩; logits ⟨v_k, x⟩."""

    def __init__(self) -> None:
        super().__init__()
        rng = generator("critic")
        self.w = nn.Parameter(torch.randn(64, generator=rng, dtype=torch.float64))
        self.v = nn.Parameter(torch.randn(3, 64, generator=rng, dtype=torch.float64))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        flat = images.flatten(1)
        return flat @ self.w, flat @ self.v.T


def batch(name: str, count: int = 5) -> tuple[Tensor, Tensor]:
    rng = generator("batch", name)
    images = torch.rand(count, 1, 8, 8, generator=rng, dtype=torch.float64) * 2 - 1
    return images, torch.randint(3, (count,), generator=rng)


def cross_entropy(logits: np.ndarray[Any, Any], labels: list[int]) -> float:
    """Mean of log Σ exp(logits) - logit of the label, image by image."""
    return float(
        np.mean(
            [math.log(np.exp(row).sum()) - row[k] for row, k in zip(logits, labels, strict=True)]
        )
    )


def numbers(critic: LinearCritic, images: Tensor) -> tuple[np.ndarray[Any, Any], ...]:
    x = images.flatten(1).numpy()
    return x @ critic.w.detach().numpy(), x @ critic.v.detach().numpy().T


def test_the_generator_wants_high_scores_and_its_own_classes() -> None:
    critic, (images, labels) = LinearCritic(), batch("fake")
    score, logits = numbers(critic, images)
    expected = -score.mean() + cross_entropy(logits, labels.tolist())
    loss = generator_loss(critic, images, labels).detach()
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_the_discriminators_loss_has_five_terms() -> None:
    critic, (real, real_labels), (fake, fake_labels) = LinearCritic(), batch("real"), batch("fake")
    (real_score, real_logits), (fake_score, fake_logits) = (
        numbers(critic, images) for images in (real, fake)
    )
    length = float(critic.w.detach().norm())  # a linear score has this gradient everywhere
    expected = (
        fake_score.mean()
        - real_score.mean()
        + cross_entropy(fake_logits, fake_labels.tolist())
        + cross_entropy(real_logits, real_labels.tolist())
        + 10 * (length - 1) ** 2
    )
    loss = discriminator_loss(critic, real, real_labels, fake, fake_labels, generator("mix"))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-12)


def test_the_penalty_looks_between_each_real_and_fake_image() -> None:
    (real, _), (fake, _) = batch("real"), batch("fake")

    def squared(images: Tensor) -> tuple[Tensor, Tensor]:
        """Score ½ ‖x‖², whose gradient is x itself."""
        return images.flatten(1).square().sum(1) / 2, images.flatten(1)

    u = torch.rand(5, 1, 1, 1, generator=generator("mix")).double()
    between = u * real + (1 - u) * fake
    expected = ((between.flatten(1).norm(dim=1) - 1) ** 2).mean()
    assert torch.allclose(gradient_penalty(squared, real, fake, generator("mix")), expected)


def test_the_penaltys_own_gradient_is_that_of_finite_differences() -> None:
    _, discriminator = build_gan(SHAPE, generator("gan"))
    discriminator.double()
    (real, _), (fake, _) = batch("real"), batch("fake")

    def penalty() -> Tensor:
        return gradient_penalty(discriminator, real, fake, generator("mix"))

    penalty().backward()
    weights = [p for p in discriminator.parameters() if p.grad is not None and p.ndim == 4]
    assert len(weights) == 4
    for weight in weights:
        assert weight.grad is not None
        slope, start, step = weight.grad.norm(), weight.detach().clone(), 1e-6
        around = []
        for side in (1, -1):
            weight.data = start + side * step * weight.grad / slope
            around.append(penalty().detach())
        weight.data = start
        assert float((around[0] - around[1]) / (2 * step)) == pytest.approx(float(slope), rel=1e-5)


@pytest.mark.parametrize("matched", ["logits", "log-softmax"])
def test_matching_is_the_mean_squared_difference_under_one_shared_augmentation(
    matched: str, tmp_path: Path
) -> None:
    method = adapter(matched=matched)
    state = method.prepare(task(tmp_path))
    network = networks.build(NETWORK, state.task.spec, generator("net"), dtype=torch.float64)
    (real, _), (fake, _) = batch("real"), batch("fake")
    state.task.rng.manual_seed(5)
    loss = method.matching_loss(network, real, fake, state)
    augmentation = DifferentiableAugmentation(((Color(),), (Crop(),), (Cutout(),)))
    draw = augmentation.draw(real.shape, torch.Generator().manual_seed(5), siamese=True)
    with torch.no_grad():
        theirs, ours = network(draw.apply(real)).numpy(), network(draw.apply(fake)).numpy()
    if matched == "log-softmax":
        theirs, ours = (
            logits - np.log(np.exp(logits).sum(1, keepdims=True)) for logits in (theirs, ours)
        )
    assert float(loss.detach()) == pytest.approx(np.mean((theirs - ours) ** 2), rel=1e-10)


# ---------------------------------------------------------------------------- the GAN


def test_a_step_of_the_generator_changes_nothing_else() -> None:
    gan = Gan.start(SHAPE, 1e-3, generator("gan"), torch.device("cpu"))
    student = networks.build(NETWORK, tiny_pair().train.spec, generator("student"))
    before = {k: v.clone() for k, v in gan.discriminator.state_dict().items()}
    weights = networks.flatten(gan.generator)
    labels = torch.arange(6) % 3
    fake = gan.generate(labels, generator("z"))
    gan.step_generator(generator_loss(gan.discriminator, fake, labels) + student(fake).sum())
    assert equal(gan.discriminator.state_dict(), before)
    assert not torch.equal(networks.flatten(gan.generator), weights)
    for parameter in [*gan.discriminator.parameters(), *student.parameters()]:
        assert parameter.grad is None


def test_a_step_of_the_discriminator_changes_only_it() -> None:
    gan = Gan.start(SHAPE, 1e-3, generator("gan"), torch.device("cpu"))
    ours, theirs = networks.flatten(gan.generator), networks.flatten(gan.discriminator)
    real, labels = batch("real")
    loss = gan.step_discriminator(real.float(), labels, generator("step"))
    assert loss.isfinite()
    assert not loss.requires_grad
    assert torch.equal(networks.flatten(gan.generator), ours)
    assert not torch.equal(networks.flatten(gan.discriminator), theirs)


def test_adam_has_no_first_moment_and_one_rate_for_both() -> None:
    gan = Gan.start(SHAPE, 1e-3, generator("gan"), torch.device("cpu"))
    gan.set_lr(0.25)
    for optimizer in (gan.generator_optimizer, gan.discriminator_optimizer):
        (group,) = optimizer.param_groups
        assert group["betas"] == (0.0, 0.9)
        assert group["lr"] == 0.25


# ---------------------------------------------------------------------------- epochs


class Watched(DistillIntoModel):
    """Notes which networks are drawn, and when."""

    def draw_student(self, state: DistillingState) -> Training:
        student = super().draw_student(state)
        (drawn,) = {type(student.network)}
        DRAWN.append((state.epoch, drawn))
        return student


DRAWN: list[tuple[int, type]] = []


def watched(**changes: Any) -> Watched:
    DRAWN.clear()
    return Watched(**vars(adapter(**changes)))


@pytest.mark.parametrize(("alone", "together"), [(0, 2), (1, 2), (3, 1), (2, 0)])
def test_matching_starts_after_n_epochs_and_draws_one_network_an_epoch(
    alone: int, together: int, tmp_path: Path
) -> None:
    method = watched(gan_epochs=alone, matching_epochs=together)
    assert method.steps == alone + together
    distill(method, task(tmp_path))
    assert [epoch for epoch, _ in DRAWN] == list(range(alone, alone + together))


def test_the_pool_is_the_tasks_network_and_the_others_all_alike(tmp_path: Path) -> None:
    method = adapter(pool="convnet-d1-w4-bn|convnet-d1-w2|mlp")
    state = method.prepare(task(tmp_path))
    drawn: Counter[str] = Counter()
    for _ in range(400):
        network = method.draw_student(state).network
        drawn[str(sum(parameter.numel() for parameter in network.parameters()))] += 1
    names = [NETWORK, *method.pool.split("|")]
    sizes = {str(networks.count_parameters(name, state.task.spec)) for name in names}
    assert set(drawn) == sizes
    chi_squared = sum((count - 100) ** 2 / 100 for count in drawn.values())
    assert chi_squared < 16.3  # 0.1 % point at 3 degrees of freedom


def test_an_empty_pool_leaves_the_tasks_network(tmp_path: Path) -> None:
    method = adapter(pool="")
    state = method.prepare(task(tmp_path))
    ours = networks.parameter_shapes(method.draw_student(state).network)
    theirs = networks.parameter_shapes(state.task.fresh_network())
    assert ours == theirs


@pytest.mark.parametrize(("steps", "expected"), [(0, 0), (1, 2), (2, 4)])
def test_the_drawn_network_trains_on_real_batches_before_each_generator_step(
    steps: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real_step = Training._step

    def counted(self: Training, images: Tensor, labels: Tensor) -> Tensor:
        sizes.append(len(images))
        return real_step(self, images, labels)

    monkeypatch.setattr(Training, "_step", counted)
    distill(adapter(gan_epochs=1, matching_epochs=1, student_steps=steps), task(tmp_path))
    assert sizes == [30] * expected  # 60 real images are two steps of the generator


@pytest.mark.parametrize(("size", "expected"), [(20, [20, 20, 20]), (25, [25, 25]), (64, [60])])
def test_an_epoch_is_every_whole_batch_of_real_images(
    size: int, expected: list[int], tmp_path: Path
) -> None:
    parts = adapter(batch_real=size)._batches(task(tmp_path))
    assert [len(part) for part in parts] == expected
    assert len(torch.cat(parts).unique()) == sum(expected)


def test_the_rate_changes_when_matching_starts(tmp_path: Path) -> None:
    method = adapter(gan_epochs=1, matching_epochs=1)
    state = method.prepare(task(tmp_path))
    for rate in (1e-3, 1e-4):
        method.step(state)
        assert state.gan.generator_optimizer.param_groups[0]["lr"] == rate
        assert state.gan.discriminator_optimizer.param_groups[0]["lr"] == rate


def test_without_matching_it_is_the_conditional_gan(tmp_path: Path) -> None:
    gan = adapter(gan_epochs=3, matching_epochs=0)
    dim = adapter(gan_epochs=3, matching_epochs=2)
    first, second = gan.prepare(task(tmp_path)), dim.prepare(task(tmp_path))
    for _ in range(3):
        gan.step(first)
        dim.step(second)
    assert equal(first.gan.generator.state_dict(), second.gan.generator.state_dict())
    dim.step(second)
    assert not equal(first.gan.generator.state_dict(), second.gan.generator.state_dict())


def test_it_learns_the_tiny_dataset(tmp_path: Path) -> None:
    train = tiny_pair().train
    rates = {"lr_generator": 3e-3, "lr_matching": 3e-3}
    method = adapter(width=8, gan_epochs=25, matching_epochs=5, pool="", **rates)
    made = source(distill(method, task(tmp_path, inpc=50)))
    images, labels = made.epoch(generator("epoch"))
    ours = torch.stack([images[labels == k].mean(0) for k in range(3)]).flatten(1)
    theirs = torch.stack([train.images(index).mean(0) for index in train.class_indices]).flatten(1)
    assert torch.cdist(ours, theirs).argmin(1).tolist() == [0, 1, 2]


# ---------------------------------------------------------------------------- hand-over


def test_the_generator_does_not_depend_on_the_budget(tmp_path: Path) -> None:
    few, many = (source(distill(adapter(), task(tmp_path, inpc=n))) for n in (1, 10))
    assert (few.per_class, many.per_class) == (1, 10)
    assert equal(few.weights, many.weights)
    redeployed, _ = few.with_budget(10).epoch(generator("epoch"))
    assert torch.equal(redeployed, many.epoch(generator("epoch"))[0])


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_resumed_run_equals_an_undisturbed_one(step: int, tmp_path: Path) -> None:
    undisturbed = distill(adapter(), task(tmp_path))
    options: dict[str, Any] = {"checkpoint": tmp_path / "checkpoint", "checkpoint_seconds": 0}

    def interrupt(done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(adapter(), task(tmp_path), report=interrupt, **options)
    assert options["checkpoint"].exists()
    resumed = distill(adapter(), task(tmp_path), **options)
    assert equal(source(resumed).weights, source(undisturbed).weights)
    assert resumed.curve == undisturbed.curve


def test_a_seed_repeats_and_another_differs(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    first, again, other = (
        source(distill(adapter(), task(tmp_path, seed=seed))) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert equal(first.weights, again.weights)
    assert not equal(first.weights, other.weights)


def test_images_per_class_do_not_bound_a_generator(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="which ipc 2 does not bound"):
        distill(adapter(), tiny_task(tmp_path))


def test_whitened_pixels_are_not_generated(tmp_path: Path) -> None:
    given = task(tmp_path)
    space = replace(given.real.preprocessing, kind="zca")
    with pytest.raises(NotApplicable, match="not whitened"):
        distill(adapter(), replace(given, real=replace(given.real, preprocessing=space)))


def test_an_unknown_distance_is_refused() -> None:
    with pytest.raises(InvalidValue, match="matched is 'l1'; give logits or log-softmax"):
        adapter(matched="l1")


def test_a_generator_for_another_budget_breaks_the_contract(tmp_path: Path) -> None:
    class Generous(DistillIntoModel):
        def result(self, state: DistillingState) -> SyntheticGenerator:
            return super().result(state).with_budget(state.task.budget.count + 1)

    method = Generous(**vars(adapter(gan_epochs=1, matching_epochs=0)))
    with pytest.raises(ContractError, match="for a budget of inpc 2"):
        distill(method, task(tmp_path))


# ---------------------------------------------------------------------------- cards and runs

SMALL = {
    "width": 4,
    "latent": 6,
    "gan_epochs": 1,
    "matching_epochs": 1,
    "batch_real": 20,
    "student_steps": 1,
    "pool": "",
}


def test_the_papers_values_are_the_preset() -> None:
    values = {k: v.value for k, v in cards.card("dim").parameters.items()}
    assert values == {
        "width": 196,
        "latent": 100,
        "gan_epochs": 120,
        "matching_epochs": 100,
        "batch_real": 64,
        "lr_generator": 1e-4,
        "lr_matching": 1e-4,
        "matching_weight": 0.01,
        "matched": "logits",
        "pool": "resnet10-w32-bn|resnet18-w32-bn|resnet10-ap-w32-bn|resnet18-ap-w32-bn",
        "student_steps": 16,
        "lr_student": 0.01,
        "augmentation": "color-crop",
    }


@pytest.mark.parametrize("tier", ["quick", "lite", "paper"])
def test_cgan_is_dim_without_matching_for_as_many_epochs(tier: Any) -> None:
    for dataset in ("digits", "cifar10", "tiny-imagenet"):
        dim, cgan = (
            cards.resolve(name, tier, dataset, Budget("inpc", 1)).parameters
            for name in ("dim", "cgan")
        )
        assert cgan["matching_epochs"] == 0
        assert cards.build("cgan", cgan).steps == cards.build("dim", dim).steps
        assert {k for k in dim if dim[k] != cgan[k]} == {"gan_epochs", "matching_epochs"}
    assert cards.card("cgan").budgets == cards.card("dim").budgets == ("inpc",)


@pytest.mark.usefixtures("registered")
def test_the_api_hands_over_and_scores_a_generator() -> None:
    made = api.distill("dim", dataset="tiny", budget=2, network=NETWORK, **SMALL)
    assert isinstance(made, SyntheticGenerator)
    assert made.header is not None
    assert made.header.budget == Budget("inpc", 2)
    assert made.header.method == "dim"
    scores = api.evaluate(
        made.with_budget(3), dataset="tiny", network=NETWORK, seeds=1, recipe=Recipe(epochs=3)
    )
    assert 0 <= scores.mean <= 1


@pytest.mark.usefixtures("registered")
def test_a_run_keeps_a_generator_and_finds_it_again(store: Store) -> None:
    job = job_of("dim", **SMALL)
    (record, *_), events = run(job, store)
    assert record.status == "ok", record.reason
    assert record.artifact is not None
    kept = artifacts.load(store.artifact(record.artifact))
    assert isinstance(kept, SyntheticGenerator)
    assert record.cost.stored_bytes == kept.stored_bytes
    (again, *_), events = run(job, store)
    assert "distill" not in {getattr(event, "phase", None) for event in events}
    assert again.metrics == record.metrics
    assert again.artifact == record.artifact
