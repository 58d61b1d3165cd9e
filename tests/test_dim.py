"""DiM and its conditional GAN, epoch by epoch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import networks
from bench.augment.differentiable import DifferentiableAugmentation
from bench.augment.families import Color, Crop, Cutout
from bench.distillation import distill
from bench.randomness import generator
from bench.training import Training
from methods.dim import DistillingState, DistillIntoModel
from tests.fakes import NETWORK, tiny_pair
from tests.tiny_gans import adapter, batch, equal, source, task


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
