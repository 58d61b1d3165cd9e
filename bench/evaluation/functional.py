"""A student's step as a function of tensors alone: what compilers and ``vmap`` work on.

It does what :meth:`bench.training.Training.run_epoch` does with a batch: forward, backward, and
one step of SGD as ``torch.optim.SGD`` defines it, with the velocity zero at the start.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from bench.mixing import Targets
from bench.networks.dropout import Dropout
from bench.recipes import Recipe
from bench.training import Training, forward, recipe_loss

Tensors = dict[str, Tensor]
Rewrite = Callable[[nn.Module], nn.Module]


class State(NamedTuple):
    """A student's tensors; of several students, each stacked along a first dimension.

    Attributes:
        parameters: by name.
        velocities: SGD's momentum buffers, like the parameters.
        buffers: running statistics.
        teacher: parameters and buffers of the teacher; empty without one.
    """

    parameters: Tensors
    velocities: Tensors
    buffers: Tensors
    teacher: Tensors


class Batch(NamedTuple):
    """What one step trains on.

    Attributes:
        images: ``(N, C, S, S)``, augmented and mixed.
        labels: one or two sets of ``(N,)`` class indices or ``(N, K)`` logits.
        shares: of each set of labels in the loss, ``(sets,)``.
    """

    images: Tensor
    labels: tuple[Tensor, ...]
    shares: Tensor

    @classmethod
    def of(cls, images: Tensor, targets: Targets) -> Batch:
        """The batch with its shares as a tensor on the images' device."""
        shares, labels = zip(*targets, strict=True)
        if len(shares) == 1:  # nothing is mixed: made on the device, which is not waited for
            return cls(images, labels, images.new_ones(1))
        here = torch.tensor(shares, dtype=images.dtype)
        return cls(images, labels, here.to(images.device, non_blocking=True))

    def split(self, size: int) -> list[Batch]:
        """The batch in pieces of ``size`` images; the last may be smaller."""
        pieces = zip(*(tensor.split(size) for tensor in (self.images, *self.labels)), strict=True)
        return [Batch(images, tuple(labels), self.shares) for images, *labels in pieces]


def state_of(student: Training) -> State:
    """The student's own tensors: what changes them trains the student."""
    network, teacher = student.network, student.teacher
    optimizer = student.optimizer.state
    parameters = dict(network.named_parameters())
    return State(
        parameters={name: p.detach() for name, p in parameters.items()},
        velocities={
            name: optimizer[p]["momentum_buffer"]
            if optimizer.get(p, {}).get("momentum_buffer") is not None
            else torch.zeros_like(p, requires_grad=False)
            for name, p in parameters.items()
        },
        buffers=dict(network.named_buffers()),
        teacher={} if teacher is None else _tensors(teacher),
    )


def _tensors(network: nn.Module) -> Tensors:
    named = [*network.named_parameters(), *network.named_buffers()]
    return {name: tensor.detach() for name, tensor in named}


def _blueprint(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).to("meta")


def rate_of(student: Training, state: State) -> Tensor:
    """The learning rate of the epoch to come, 0-dimensional, beside the parameters."""
    return rates_of([student], state)[0]


def rates_of(students: Sequence[Training], state: State) -> Tensor:
    """The learning rates of the epoch to come, ``(students,)``, beside the parameters."""
    rates = torch.tensor([student.rate for student in students], dtype=torch.float64)
    return rates.to(next(iter(state.parameters.values())), non_blocking=True)


def mixes_images(network: nn.Module) -> bool:
    """Whether an image's logits depend on the other images of the batch, as with batch norm."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def is_pure(network: nn.Module) -> bool:
    """Whether the network's output depends on tensors alone: dropout counts its calls."""
    return not any(isinstance(module, Dropout | nn.Dropout) for module in network.modules())


@dataclass(frozen=True, eq=False)
class Step:
    """Forward, backward and SGD; the tensors of a state are changed in place.

    Attributes:
        network: the architecture; its own tensors are not read.
        teacher: the teacher's architecture, or ``None``.
        recipe: loss, momentum, weight decay and precision.
        vectorised: states and batches are those of several students, stacked.
    """

    network: nn.Module
    teacher: nn.Module | None
    recipe: Recipe
    vectorised: bool = False

    @classmethod
    def like(
        cls, student: Training, *, vectorised: bool = False, rewrite: Rewrite = lambda net: net
    ) -> Step:
        """The step of ``student`` and of every other with its networks and recipe.

        Args:
            student: lends its architecture.
            vectorised: as the attribute.
            rewrite: puts other layers of the same function and tensors into a copy of a network.
        """
        teacher = student.teacher
        return cls(
            network=rewrite(_blueprint(student.network)).train(),
            teacher=None if teacher is None else rewrite(_blueprint(teacher)).eval(),
            recipe=student.recipe,
            vectorised=vectorised,
        )

    def __call__(self, state: State, batch: Batch, rate: Tensor) -> Tensor:
        """Train on ``batch``; the loss(es).

        Args:
            state: changed in place.
            batch: what to train on.
            rate: the learning rate, 0-dimensional; vectorised, one for each student.
        """
        over_students = torch.func.vmap if self.vectorised else _once
        gradients, loss, buffers = over_students(self._gradients)(state, batch)
        self.descend(state, gradients, rate)
        _keep(buffers, state)
        return loss

    @torch.no_grad()
    def accumulate(self, state: State, piece: Batch, share: Tensor, gradients: Tensors) -> Tensor:
        """Add what a piece of a batch contributes to the gradients, in place.

        Args:
            state: one student's; its buffers are those after the piece.
            piece: some images of the batch.
            share: of the piece in the batch, 0-dimensional.
            gradients: by name; of the pieces so far.

        Returns:
            What the piece contributes to the loss.
        """
        found, loss, buffers = self._gradients(state, piece)
        for name, gradient in found.items():
            gradients[name].add_(share * gradient)
        _keep(buffers, state)
        return share * loss

    def _gradients(self, state: State, batch: Batch) -> tuple[Tensors, Tensor, Tensors]:
        """Gradients by name, the loss, and the buffers after this batch, of one student."""

        def loss(parameters: Tensors) -> tuple[Tensor, Tensors]:
            buffers = {name: value.clone() for name, value in state.buffers.items()}
            logits = self._logits(self.network, parameters | buffers, batch.images)
            teacher = None
            if self.teacher is not None:
                teacher = self._logits(self.teacher, state.teacher, batch.images)
            targets = tuple(zip(batch.shares.unbind(), batch.labels, strict=True))
            return recipe_loss(self.recipe, logits, targets, teacher), buffers

        gradients, (value, buffers) = grad_and_value(loss, has_aux=True)(state.parameters)
        return gradients, value, buffers

    def _logits(self, network: nn.Module, tensors: Tensors, images: Tensor) -> Tensor:
        def call(images: Tensor) -> Tensor:
            logits: Tensor = functional_call(network, tensors, (images,))
            return logits

        return forward(call, images, self.recipe.precision)

    @torch.no_grad()
    def descend(self, state: State, gradients: Mapping[str, Tensor], rate: Tensor) -> None:
        """v ← μ v + (g + λ θ); θ ← θ - rate · v."""
        parameters = list(state.parameters.values())
        velocities = list(state.velocities.values())
        torch._foreach_mul_(velocities, self.recipe.momentum)
        torch._foreach_add_(velocities, [gradients[name] for name in state.parameters])
        torch._foreach_add_(velocities, parameters, alpha=self.recipe.weight_decay)
        if self.vectorised:
            torch._foreach_sub_(parameters, [_times(rate, velocity) for velocity in velocities])
        else:
            torch._foreach_sub_(parameters, torch._foreach_mul(velocities, rate))


def _times(rates: Tensor, stacked: Tensor) -> Tensor:
    """Each student's part of a stacked tensor times its own rate."""
    return stacked * rates.view(-1, *[1] * (stacked.dim() - 1))


@torch.no_grad()
def _keep(buffers: Tensors, state: State) -> None:
    for name, value in buffers.items():
        state.buffers[name].copy_(value)


def _once(
    function: Callable[..., tuple[Tensors, Tensor, Tensors]],
) -> Callable[..., tuple[Tensors, Tensor, Tensors]]:
    return function


def stacked(states: Sequence[State]) -> State:
    """The tensors of several students, each stacked along a new first dimension (copies)."""
    return State(
        *(
            {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
            for parts in zip(*states, strict=True)
        )
    )
