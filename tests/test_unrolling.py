"""Gradients of trajectory matching in float64, against back-propagation and TESLA's formula."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from bench import augment, networks
from bench.errors import UnknownName
from bench.measure import LiveStorage
from bench.randomness import generator
from bench.training import cross_entropy
from bench.unrolling import Batch, Unrolling, gradients, partition
from tests.fakes import SPEC

NETWORK = "convnet-d1-w8"
HARD = torch.tensor([0, 0, 1, 1, 2, 2])


def unrolling(steps: int, *, soft: bool = False, rate: float = 0.05) -> Unrolling:
    """A student's steps on six augmented images, four a step, in float64."""
    rng = generator("unrolling", steps)
    start, other = (
        networks.build(NETWORK, SPEC, generator(name), dtype=torch.float64)
        for name in ("start", "target")
    )
    augmentation = augment.build_differentiable("dsa", SPEC)
    logits = torch.randn(6, 3, generator=rng, dtype=torch.float64)
    return Unrolling(
        network=start,
        loss=cross_entropy,
        start=networks.flatten(start),
        target=networks.flatten(other),
        images=torch.randn(6, *SPEC.shape, generator=rng, dtype=torch.float64),
        labels=logits if soft else HARD,
        learning_rate=torch.tensor(rate, dtype=torch.float64),
        batches=[
            Batch(index, augmentation.draw((len(index), *SPEC.shape), rng).apply)
            for index in partition(6, 4, steps, rng)
        ],
    )


def plain_loss(run: Unrolling, images: Tensor, labels: Tensor, rate: Tensor) -> Tensor:
    """MTT's loss by a module's own parameters and torch's own optimiser rule, written out."""
    shapes = [parameter.shape for parameter in run.network.parameters()]
    names = [name for name, _ in run.network.named_parameters()]
    sizes = [shape.numel() for shape in shapes]
    weights = [
        part.view(shape).clone().requires_grad_()
        for part, shape in zip(run.start.split(sizes), shapes, strict=True)
    ]
    for batch in run.batches:
        logits = functional_call(
            run.network,
            dict(zip(names, weights, strict=True)),
            (batch.augment(images[batch.index]),),
        )
        chosen = labels[batch.index]
        if labels.is_floating_point():
            loss = -(chosen.softmax(1) * logits.log_softmax(1)).sum(1).mean()
        else:
            loss = F.nll_loss(logits.log_softmax(1), chosen)
        found = torch.autograd.grad(loss, weights, create_graph=True)
        weights = [weight - rate * step for weight, step in zip(weights, found, strict=True)]
    end = torch.cat([weight.flatten() for weight in weights])
    return (end - run.target).pow(2).sum() / (run.start - run.target).pow(2).sum()


@pytest.mark.parametrize("how", ["unrolled", "adjoint"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 5, 13])
def test_exact_gradients_equal_full_back_propagation(how: str, soft: bool, steps: int) -> None:
    run = unrolling(steps, soft=soft)
    images, rate = run.images.clone().requires_grad_(), run.learning_rate.clone().requires_grad_()
    labels = run.labels.clone().requires_grad_() if soft else run.labels
    loss = plain_loss(run, images, labels, rate)
    expected = torch.autograd.grad(loss, [images, rate, *([labels] if soft else [])])

    found = gradients(run, how)  # type: ignore[arg-type]

    close: Callable[..., None] = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-10, atol=0)  # noqa: E731
    close(found.loss, loss.detach())
    assert (found.images - expected[0]).norm() <= 1e-10 * expected[0].norm()
    close(found.learning_rate, expected[1])
    if soft:
        assert found.labels is not None
        assert (found.labels - expected[2]).norm() <= 1e-10 * expected[2].norm()


@pytest.mark.parametrize("steps", [1, 2, 5, 13])
def test_two_pass_gradient_equals_equation_6(steps: int) -> None:
    """Equation 6 literally: d/dX_i of (2β(θ* - θ_0) + 2β² G)ᵀ g_i, θ_i held constant, over D."""
    run = unrolling(steps)
    rate, scale = run.learning_rate, (run.start - run.target).square().sum()
    theta, steps_taken = run.start, []
    for batch in run.batches:
        leaf, images, _, gradient = run.step(theta, batch)
        steps_taken.append((batch.index, images, gradient))
        theta = leaf.detach() - rate * gradient.detach()
    total = torch.stack([gradient.detach() for _, _, gradient in steps_taken]).sum(0)
    vector = 2 * rate * (run.target - run.start) + 2 * rate**2 * total
    expected = torch.zeros_like(run.images)
    for index, images, gradient in steps_taken:
        (step,) = torch.autograd.grad(gradient @ vector / scale, images)
        expected.index_add_(0, index, step)

    found = gradients(run, "two-pass")

    assert (found.images - expected).norm() <= 1e-10 * expected.norm()


def test_two_pass_is_exact_for_one_step_and_not_for_more() -> None:
    one, many = unrolling(1), unrolling(10)
    exact = gradients(one, "adjoint").images
    assert (gradients(one, "two-pass").images - exact).norm() <= 1e-12 * exact.norm()
    exact = gradients(many, "adjoint").images
    assert (gradients(many, "two-pass").images - exact).norm() > 0.05 * exact.norm()


def peak_bytes(how: str, steps: int) -> int:
    run = unrolling(steps)
    gc.collect()
    with LiveStorage() as live:
        gradients(run, how)  # type: ignore[arg-type]
    return live.peak_bytes


@pytest.mark.parametrize("how", ["two-pass", "adjoint"])
def test_memory_grows_by_no_more_than_parameter_snapshots(how: str) -> None:
    snapshot = unrolling(1).start.nbytes
    # ten more batches also hold ten more draws: a few numbers each
    assert peak_bytes(how, 30) - peak_bytes(how, 10) <= 20 * (snapshot + 2048)


def test_memory_of_full_back_propagation_grows_with_every_step() -> None:
    snapshot = unrolling(1).start.nbytes
    assert peak_bytes("unrolled", 30) - peak_bytes("unrolled", 10) > 20 * 10 * snapshot


def test_partition_uses_every_image_before_any_comes_again() -> None:
    batches = partition(10, 4, 6, generator("partition"))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    assert torch.cat(batches[:3]).sort().values.tolist() == list(range(10))
    assert [len(batch) for batch in partition(10, 0, 2, generator("all"))] == [10, 10]


def test_unknown_gradient_is_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'two-pass'"):
        gradients(unrolling(1), "twopass")  # type: ignore[arg-type]
