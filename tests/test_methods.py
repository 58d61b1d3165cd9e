"""The methods against brute force and formulas, in float64 where gradients are compared."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from bench import augment, networks
from bench.data import RealSet, SyntheticSet
from bench.errors import InvalidValue
from bench.matching import EPSILON, gradient_distance, settle_batch_norm
from bench.networks import Network
from bench.randomness import generator
from bench.selection import embed
from bench.task import Task
from bench.training import Training
from methods.dc import DatasetCondensation
from methods.dm import DistributionMatching
from methods.herding import Herding, herd
from methods.k_center import KCenter, cover
from methods.random_real import RandomReal
from methods.whole import Whole
from tests.fakes import NETWORK, SPEC, tiny_pair, tiny_task

FEATURES = st.integers(0, 10_000).map(
    lambda seed: torch.randn(9, 4, generator=generator("features", seed), dtype=torch.float64)
)


# ---------------------------------------------------------------------------- core-sets


@given(features=FEATURES, count=st.integers(1, 9))
def test_herding_takes_what_keeps_the_mean_nearest(features: Tensor, count: int) -> None:
    rows = features.numpy()
    chosen: list[int] = []
    for _ in range(count):
        left = [row for row in range(len(rows)) if row not in chosen]
        error = [np.linalg.norm(rows[[*chosen, row]].mean(0) - rows.mean(0)) for row in left]
        chosen.append(left[int(np.argmin(error))])
    assert herd(features, count).tolist() == chosen


@given(features=FEATURES, count=st.integers(1, 9))
def test_k_center_starts_at_the_mean_and_takes_the_farthest(features: Tensor, count: int) -> None:
    rows = features.numpy()
    chosen = [int(np.argmin(np.linalg.norm(rows - rows.mean(0), axis=1)))]
    while len(chosen) < count:
        apart = np.linalg.norm(rows[:, None] - rows[chosen][None], axis=2).min(1)
        apart[chosen] = -1
        chosen.append(int(np.argmax(apart)))
    assert cover(features, count).tolist() == chosen


@pytest.mark.parametrize("select", [herd, cover])
def test_images_that_are_equal_are_still_taken_once(select: Any) -> None:
    assert sorted(select(torch.ones(5, 3), 5).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("method", [Herding, KCenter])
def test_core_sets_select_class_by_class_in_the_teachers_features(
    method: Any, tmp_path: Path
) -> None:
    task = tiny_task(tmp_path, ipc=3)
    chooser = method(teacher_epochs=2, teacher_lr=0.05, teacher_augmentation="dsa")
    state = chooser.prepare(task)
    made = chooser.result(state)
    for label, members in enumerate(task.real.class_indices):
        with torch.no_grad():
            features = state.teacher.embed(task.real.images(members))
        assert torch.equal(embed(state.teacher, task, members), features)
        expected = task.real.images(members[chooser.select(features, 3)])
        ours = made.images[made.labels == label]
        assert same_images(ours, expected)


def same_images(ours: Tensor, theirs: Tensor) -> bool:
    """Equal up to order."""
    return sorted(ours.flatten(1).tolist()) == sorted(theirs.flatten(1).tolist())


def test_each_seed_has_a_teacher_of_its_own(tmp_path: Path) -> None:
    chooser = Herding(teacher_epochs=1, teacher_lr=0.05, teacher_augmentation="none")
    first, second = (chooser.prepare(tiny_task(tmp_path, seed=seed)).teacher for seed in (0, 1))
    assert not torch.equal(networks.flatten(first), networks.flatten(second))


@pytest.mark.parametrize("ipc", [1, 7, 20])
def test_random_draws_real_images_of_each_class_without_replacement(
    ipc: int, tmp_path: Path
) -> None:
    task = tiny_task(tmp_path, ipc=ipc)
    made = RandomReal().result(RandomReal().prepare(task))
    for label, members in enumerate(task.real.class_indices):
        drawn = made.images[made.labels == label].flatten(1)
        pool = task.real.images(members).flatten(1)
        distance = (drawn[:, None] - pool[None]).abs().amax(2)
        places = distance.argmin(1)
        assert distance.amin(1).max() == 0
        assert len(drawn) == len(set(places.tolist())) == ipc


def test_random_gives_every_image_the_same_chance(tmp_path: Path) -> None:
    pool = tiny_pair().train.images(tiny_pair().train.class_indices[0]).flatten(1)
    counts = torch.zeros(len(pool))
    for seed in range(200):
        task = tiny_task(tmp_path, ipc=5, seed=seed)
        made = RandomReal().result(task)
        counts += (made.images[:5].flatten(1)[:, None] == pool[None]).all(2).sum(0)
    assert counts.sum() == 1000
    expected = 200 * 5 / 20
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 43.8  # 0.1 % point at 19 degrees of freedom


def test_whole_hands_over_the_training_set(tmp_path: Path) -> None:
    task = tiny_task(tmp_path)
    assert Whole().steps == 0
    assert Whole().result(Whole().prepare(task)) is task.real


# ---------------------------------------------------------------------------- float64 tasks


@dataclass(frozen=True, kw_only=True, eq=False)
class DoubleSet(RealSet):
    """Real data handed out in float64."""

    def images(self, index: Tensor | slice = slice(None)) -> Tensor:
        return super().images(index).double()


@dataclass(frozen=True, kw_only=True, eq=False)
class DoubleTask(Task):
    """A task whose networks and images are in float64."""

    def fresh_network(self, name: str | None = None) -> Network:
        return super().fresh_network(name).double()

    def initial_images(self, init: str) -> Tensor:
        return super().initial_images(init).detach().double().requires_grad_()


def double_task(folder: Path, *, ipc: int = 2, network: str = NETWORK) -> DoubleTask:
    task = tiny_task(folder, ipc=ipc, network=network)
    train = task.real
    real = DoubleSet(
        pixels=train.pixels,
        labels=train.labels,
        spec=train.spec,
        preprocessing=train.preprocessing,
        checksum=train.checksum,
    )
    return DoubleTask(
        real=real,
        budget=task.budget,
        network=network,
        seed=0,
        rng=task.rng,
        experts=task.experts,
    )


def replay(rng: Generator) -> Generator:
    """A generator that will draw what ``rng`` draws next."""
    return Generator().set_state(rng.get_state())


def draw(real: RealSet, label: int, count: int, rng: Generator) -> Tensor:
    """``count`` images of a class without replacement."""
    members = [place for place, other in enumerate(real.labels.tolist()) if other == label]
    chosen = torch.randperm(len(members), generator=rng)[:count]
    return real.images(torch.tensor([members[place] for place in chosen]))


def gradient_of(method: Any, state: Any) -> Tensor:
    method.step(state)
    assert state.images.grad is not None
    gradient: Tensor = state.images.grad.clone()
    return gradient


# ---------------------------------------------------------------------------- DM

DM = DistributionMatching(
    iterations=1,
    lr_images=1.0,
    momentum=0.5,
    batch_real=8,
    segment=2048,
    init="real",
    augmentation="none",
)


@pytest.mark.parametrize("augmentation", ["none", "dsa"])
@pytest.mark.parametrize("segment", [1, 20, 2048])
def test_dm_follows_its_formula_in_segments_of_any_size(
    segment: int, augmentation: str, tmp_path: Path
) -> None:
    task = double_task(tmp_path)
    method = replace(DM, segment=segment, augmentation=augmentation)
    state = method.prepare(task)
    rng, images = replay(task.rng), state.images.detach().clone().requires_grad_()
    gradient = gradient_of(method, state)

    network = networks.build(NETWORK, SPEC, rng).double()
    change = augment.build_differentiable(augmentation, SPEC)
    loss = torch.zeros((), dtype=torch.float64)
    for label in range(3):  # one class at a time, one image at a time
        real = draw(task.real, label, 8, rng)
        made = images[2 * label : 2 * label + 2]
        both = change.draw(real.shape, rng, siamese=True)
        means = [
            torch.stack([network.embed(image[None])[0] for image in both.apply(batch)]).mean(0)
            for batch in (real, made)
        ]
        loss = loss + (means[0] - means[1]).square().sum()
    (expected,) = torch.autograd.grad(loss, [images])
    assert expected.abs().max() > 1e-3
    assert (gradient - expected).abs().max() < 1e-10


def test_dm_moves_the_images_by_sgd_with_momentum(tmp_path: Path) -> None:
    task = double_task(tmp_path)
    method = replace(DM, lr_images=0.3)
    state = method.prepare(task)
    position, velocity = state.images.detach().clone(), torch.zeros(6, 1, 8, 8)
    for _ in range(3):
        velocity = 0.5 * velocity + gradient_of(method, state)
        position = position - 0.3 * velocity
    torch.testing.assert_close(state.images.detach(), position, rtol=0, atol=1e-12)


def test_dm_metric_is_the_loss(tmp_path: Path) -> None:
    small, large = (
        replace(DM, segment=segment).step(replace(DM).prepare(tiny_task(tmp_path)))["loss"]
        for segment in (1, 2048)
    )
    assert small.item() == pytest.approx(large.item(), rel=1e-5)
    assert small.ndim == 0


def test_dm_starts_from_real_images_in_class_order(tmp_path: Path) -> None:
    task = tiny_task(tmp_path, ipc=4)
    images = DM.prepare(task).images.detach()
    for label, members in enumerate(task.real.class_indices):
        pool = task.real.images(members).flatten(1).tolist()
        assert all(row in pool for row in images[4 * label : 4 * label + 4].flatten(1).tolist())


def test_an_unknown_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="'real' or 'noise'"):
        replace(DM, init="zeros").prepare(tiny_task(tmp_path))


# ---------------------------------------------------------------------------- DC

DC = DatasetCondensation(
    iterations=1,
    outer_loops=1,
    inner_epochs=2,
    lr_images=0.1,
    momentum=0.5,
    lr_student=0.01,
    batch_real=8,
    batch_syn=4,
    init="noise",
    augmentation="none",
)


def test_gradient_distance_is_one_minus_cosine_over_rows_of_weights() -> None:
    shapes = [(5, 3, 3, 3), (5,), (4, 2, 2), (3, 7), (3,)]
    rng = generator("distance")
    real, made = (
        [torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in shapes]
        for _ in range(2)
    )
    made[3][1] = 0  # a row without gradient counts 1
    expected = 0.0
    for a, b in zip(real, made, strict=True):
        if a.ndim == 1:
            continue
        for row_a, row_b in zip(a.numpy(), b.numpy(), strict=True):
            lengths = np.linalg.norm(row_a) * np.linalg.norm(row_b)
            expected += 1 - (row_a * row_b).sum() / (lengths + EPSILON)
    assert gradient_distance(real, made).item() == pytest.approx(expected, rel=1e-12)
    assert gradient_distance(real, real).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("augmentation", ["none", "dsa"])
@pytest.mark.parametrize("network", [NETWORK, "mlp"])
def test_dc_class_by_class_gives_the_gradient_of_the_summed_loss(
    network: str, augmentation: str, tmp_path: Path
) -> None:
    task = double_task(tmp_path, network=network)
    method = replace(DC, augmentation=augmentation)
    state = method.prepare(task)
    rng, images = replay(task.rng), state.images.detach().clone().requires_grad_()
    gradient = gradient_of(method, state)

    student = networks.build(network, SPEC, rng).double()
    change = augment.build_differentiable(augmentation, SPEC)
    total = torch.zeros((), dtype=torch.float64)
    for label in range(3):
        real = draw(task.real, label, 8, rng)
        both = change.draw(real.shape, rng, siamese=True)
        sides = []
        for batch in (real, images[2 * label : 2 * label + 2]):
            logits = student(both.apply(batch))
            loss = F.cross_entropy(logits, torch.full((len(batch),), label))
            sides.append(torch.autograd.grad(loss, list(student.parameters()), create_graph=True))
        for theirs, ours in zip(*sides, strict=True):
            if ours.ndim > 1:
                for a, b in zip(theirs.detach(), ours, strict=True):
                    total = total + 1 - (a * b).sum() / (a.norm() * b.norm() + EPSILON)
    (expected,) = torch.autograd.grad(total, [images])
    assert expected.abs().max() > 1e-3
    assert (gradient - expected).abs().max() < 1e-10


@pytest.mark.parametrize(("outer", "inner"), [(1, 1), (3, 2), (2, 4)])
def test_dc_trains_between_matchings_and_steps_the_images_once_each(
    outer: int, inner: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    run_epoch = Training.run_epoch

    def note_epoch(self: Training) -> Tensor:
        events.append("epoch")
        assert self.recipe.batch == 4
        assert (self.recipe.lr, self.recipe.momentum) == (0.01, 0.0)
        return run_epoch(self)

    monkeypatch.setattr(Training, "run_epoch", note_epoch)
    method = replace(DC, outer_loops=outer, inner_epochs=inner)
    state = method.prepare(tiny_task(tmp_path))
    state.optimizer.register_step_post_hook(lambda *_: events.append("images"))
    method.step(state)
    assert events == ["images", *itertools.chain(*[["epoch"] * inner + ["images"]] * (outer - 1))]


def test_dc_trains_on_the_images_as_they_are_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    run_epoch = Training.run_epoch

    def note_images(self: Training) -> Tensor:
        seen.append(self.source.epoch(Generator())[0].clone())
        return run_epoch(self)

    monkeypatch.setattr(Training, "run_epoch", note_images)
    method = replace(DC, outer_loops=3, inner_epochs=1)
    state = method.prepare(tiny_task(tmp_path))
    start = state.images.detach().clone()
    method.step(state)
    assert not torch.equal(seen[0], start)
    assert not torch.equal(seen[1], seen[0])


def test_dc_freezes_batch_norm_before_every_matching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release settles the statistics anew in each outer loop; training has moved them."""
    seen: list[tuple[bool, int]] = []
    forward = torch.nn.BatchNorm2d.forward

    def note(self: torch.nn.BatchNorm2d, images: Tensor) -> Tensor:
        seen.append((self.training, len(images)))
        return forward(self, images)

    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", note)
    method = replace(DC, outer_loops=2, inner_epochs=1, batch_syn=256)
    state = method.prepare(tiny_task(tmp_path, network=f"{NETWORK}-bn"))
    method.step(state)
    settle, train, match = (True, 3 * 16), (True, 6), [(False, 8), (False, 2)] * 3
    assert seen == [settle, *match, train, settle, *match]


def test_batch_norm_is_settled_by_one_batch_with_the_usual_momentum() -> None:
    network = networks.build(f"{NETWORK}-bn", SPEC, generator("settle"))
    images = tiny_pair().train.images(slice(12))
    convolution = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    seen = convolution(images).detach().double()
    settle_batch_norm(network, lambda: images)
    (norm,) = (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = seen.mean((0, 2, 3)), seen.var((0, 2, 3), unbiased=True)
    torch.testing.assert_close(norm.running_mean.double(), 0.1 * mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.running_var.double(), 0.9 + 0.1 * variance, rtol=1e-4, atol=0)
    assert not norm.training
    assert network.training
    assert not any(parameter.grad is not None for parameter in network.parameters())


def test_a_network_without_batch_norm_draws_nothing() -> None:
    network = networks.build(NETWORK, SPEC, generator("settle"))

    def refuse() -> Tensor:
        raise AssertionError("no batch is needed")

    settle_batch_norm(network, refuse)


def test_dc_hands_over_the_images_with_hard_labels(tmp_path: Path) -> None:
    state = DC.prepare(tiny_task(tmp_path, ipc=2))
    made = DC.result(state)
    assert isinstance(made, SyntheticSet)
    assert made.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(made.images, state.images)
    assert not made.images.requires_grad
