"""Gradients of the trajectory-matching loss, exact or as TESLA computes them.

A student starts at an expert's parameters θ_0 and takes T steps on synthetic batches,
θ_{i+1} = θ_i - β g_i with g_i = ∇_θ of its loss at θ_i on (X_i, Y_i). The loss is
L = ‖θ_T - θ*‖² / ‖θ_0 - θ*‖² for the expert's later parameters θ* (MTT, equation 2). Its gradients
with respect to images, labels and β come in three ways:

``unrolled``
    Full back-propagation through all T steps. Memory grows with T graphs.
``adjoint``
    The same gradient with one step's graph alive at a time: the parameters θ_i are kept, and the
    adjoint a_T = 2 (θ_T - θ*) / ‖θ_0 - θ*‖² walks back, a_i = (I - β H_i) a_{i+1}.
``two-pass``
    TESLA, equation 6: every a_{i+1} is replaced by a_T, so that what X_i does to later gradients
    through the parameters is dropped. Equal to the others for T = 1 only. The steps are run twice
    and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator, Tensor
from torch.func import functional_call

from bench import networks
from bench.errors import UnknownName
from bench.networks import Network

Gradient = Literal["unrolled", "two-pass", "adjoint"]


@dataclass(frozen=True, eq=False)
class Batch:
    """One student step's batch.

    Attributes:
        index: ``(B,)`` positions in the synthetic set.
        augment: the step's augmentation with its draw made, so that it can be replayed.
    """

    index: Tensor
    augment: Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Unrolling:
    """A student's T steps on the synthetic set.

    Attributes:
        network: the architecture; its own parameters are not used.
        loss: ``(logits, labels) -> loss`` of one batch.
        start: θ_0, ``(P,)``.
        target: θ*, ``(P,)``.
        images: ``(N, C, H, W)``.
        labels: ``(N,)`` class indices or ``(N, K)`` logits.
        learning_rate: β, 0-dimensional.
        batches: one for each step.
    """

    network: Network
    loss: Callable[[Tensor, Tensor], Tensor]
    start: Tensor
    target: Tensor
    images: Tensor
    labels: Tensor
    learning_rate: Tensor
    batches: Sequence[Batch]

    def student_gradient(self, theta: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """g_i at ``theta``, ``(P,)``, with its graph."""
        logits = functional_call(self.network, networks.unflatten(self.network, theta), (images,))
        (gradient,) = torch.autograd.grad(self.loss(logits, labels), theta, create_graph=True)
        return gradient

    def step(self, theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Leaves θ_i, X_i, Y_i for one step, and g_i as their function."""
        theta = theta.detach().requires_grad_()
        images = self.images.detach()[batch.index].requires_grad_()
        labels = self.labels.detach()[batch.index]
        if labels.is_floating_point():
            labels.requires_grad_()
        return theta, images, labels, self.student_gradient(theta, batch.augment(images), labels)

    @property
    def scale(self) -> Tensor:
        """‖θ_0 - θ*‖²."""
        return (self.start - self.target).square().sum()


@dataclass(frozen=True, kw_only=True, eq=False)
class Gradients:
    """The matching loss and its gradients.

    Attributes:
        loss: L, 0-dimensional.
        images: ∂L/∂images, ``(N, C, H, W)``.
        labels: ∂L/∂labels, ``(N, K)``; ``None`` for class indices.
        learning_rate: ∂L/∂β, 0-dimensional.
    """

    loss: Tensor
    images: Tensor
    labels: Tensor | None
    learning_rate: Tensor

    @property
    def finite(self) -> Tensor:
        """Whether all of them are numbers, 0-dimensional."""
        parts = [self.loss, self.images, self.learning_rate]
        parts += [] if self.labels is None else [self.labels]
        return torch.stack([part.isfinite().all() for part in parts]).all()


def gradients(unrolling: Unrolling, how: Gradient) -> Gradients:
    """The matching loss and its gradients, computed in one of three ways.

    Raises:
        UnknownName: another ``how``.
    """
    if how not in HOW:
        raise UnknownName("gradient", how, HOW)
    return HOW[how](unrolling)


def unrolled(run: Unrolling) -> Gradients:
    """Full back-propagation (MTT, algorithm 1)."""
    images, rate = run.images.detach().requires_grad_(), run.learning_rate.detach().requires_grad_()
    soft = run.labels.is_floating_point()
    labels = run.labels.detach().requires_grad_() if soft else run.labels
    theta = run.start.detach().requires_grad_()
    for batch in run.batches:
        chosen = batch.augment(images[batch.index])
        theta = theta - rate * run.student_gradient(theta, chosen, labels[batch.index])
    loss = (theta - run.target).square().sum() / run.scale
    leaves = [images, rate, labels] if soft else [images, rate]
    found = torch.autograd.grad(loss, leaves)
    return Gradients(
        loss=loss.detach(),
        images=found[0],
        labels=found[2] if soft else None,
        learning_rate=found[1],
    )


def adjoint(run: Unrolling) -> Gradients:
    """The exact gradient with one graph alive at a time."""
    theta, kept = run.start, []
    for batch in run.batches:
        kept.append(theta)
        theta = theta - run.learning_rate.detach() * run.step(theta, batch)[3].detach()
    sums = _Sums(run, theta)
    for theta, batch in zip(reversed(kept), reversed(run.batches), strict=True):
        product = sums.add(*run.step(theta, batch), batch.index)
        sums.adjoint = sums.adjoint - run.learning_rate.detach() * product
    return sums.gradients()


def two_pass(run: Unrolling) -> Gradients:
    """TESLA's gradient (equation 6): a first pass to θ_T, a second to sum over the steps."""
    rate, last = run.learning_rate.detach(), run.start
    for batch in run.batches:
        last = last - rate * run.step(last, batch)[3].detach()
    sums, theta = _Sums(run, last), run.start
    for batch in run.batches:
        leaf, images, labels, gradient = run.step(theta, batch)
        theta = theta - rate * gradient.detach()
        sums.add(leaf, images, labels, gradient, batch.index, curvature=False)
    return sums.gradients()


HOW: dict[str, Callable[[Unrolling], Gradients]] = {
    "unrolled": unrolled,
    "two-pass": two_pass,
    "adjoint": adjoint,
}


class _Sums:
    """Sums over steps of ∂⟨g_i, a⟩/∂(X_i, Y_i), times -β, and of -⟨g_i, a⟩."""

    def __init__(self, run: Unrolling, last: Tensor) -> None:
        self.run = run
        self.loss = (last - run.target).square().sum() / run.scale
        self.adjoint = 2 * (last - run.target) / run.scale
        self.images = torch.zeros_like(run.images)
        self.labels = torch.zeros_like(run.labels) if run.labels.is_floating_point() else None
        self.learning_rate = torch.zeros_like(run.learning_rate)

    def add(
        self,
        theta: Tensor,
        images: Tensor,
        labels: Tensor,
        gradient: Tensor,
        index: Tensor,
        *,
        curvature: bool = True,
    ) -> Any:
        """Add one step; return the Hessian-vector product H_i a if ``curvature``."""
        rate = self.run.learning_rate.detach()
        inner = torch.dot(gradient, self.adjoint)
        leaves = [images, *([labels] if self.labels is not None else [])]
        found = torch.autograd.grad(inner, [*leaves, *([theta] if curvature else [])])
        self.images.index_add_(0, index, -rate * found[0])
        if self.labels is not None:
            self.labels.index_add_(0, index, -rate * found[1])
        self.learning_rate -= inner.detach()
        return found[-1] if curvature else None

    def gradients(self) -> Gradients:
        """The sums as gradients."""
        return Gradients(
            loss=self.loss,
            images=self.images,
            labels=self.labels,
            learning_rate=self.learning_rate,
        )


def partition(count: int, size: int, steps: int, rng: Generator) -> list[Tensor]:
    """Positions of ``steps`` batches: shuffled partitions of ``count``, one after the other.

    Args:
        count: images in the set.
        size: images in a batch; 0 for all of them.
        steps: how many batches.
        rng: shuffles each partition.
    """
    found: list[Tensor] = []
    while len(found) < steps:
        found += torch.randperm(count, generator=rng).split(size or count)
    return found[:steps]
