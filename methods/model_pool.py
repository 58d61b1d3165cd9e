"""Model Pool: DC with a network drawn anew each iteration. Zhou, Zhong & Chen, arXiv:2402.13007.

Its second card adds knowledge distillation at evaluation (equation 1), which is a matter of the
student's recipe and not of the distillation.

Follows the paper, section 4.1 and tables 2 and 3. The release,
Distill-Generalization-Group/Distill-Generalization@c337374, gives the other networks one block and
lets them in after 500 iterations: ``pool_depth=1``, ``pool_after=500``.
Differs: DC's deviations (see :mod:`bench.condensation`). The temperature of knowledge distillation
stays constant and softens both distributions; the release lets it decay and leaves it out of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from torch import Generator, Tensor

from bench.condensation import Condensation, CondensationState
from bench.errors import NotApplicable
from bench.networks import parse
from bench.parameters import CountOrZero, Range, Share
from bench.randomness import choose
from bench.task import Task

NORMS = ("in", "bn", "ln", "gn")
ACTIVATIONS = ("relu", "sigmoid", "leaky", "swish")
POOLINGS = ("avg", "max")
"""Table 3: what the other networks are drawn from; the main network's own layers are among them."""

_CONVNET = "convnet-d"


def other_network(main: str, norm: str, activation: str, pooling: str, depth: int = 0) -> str:
    """The ConvNet ``main`` with other layers: ``convnet-d3-w64`` → ``convnet-d3-w64-gn-leaky-max``.

    Args:
        main: a ConvNet; its width is kept.
        norm: one of ``NORMS``.
        activation: one of ``ACTIVATIONS``.
        pooling: one of ``POOLINGS``.
        depth: how many blocks; 0 for as many as ``main`` has.

    Raises:
        NotApplicable: ``main`` is no ConvNet.
    """
    name = parse(main)
    if not name.base.startswith(_CONVNET):
        raise NotApplicable(f"the pool consists of ConvNets, but the main network is {main}")
    base = f"{_CONVNET}{depth}" if depth else name.base
    width = [f"w{name.modifiers['width']}"] if "width" in name.modifiers else []
    return "-".join([base, *width, norm, activation, pooling])


@dataclass(frozen=True, kw_only=True)
class ModelPool(Condensation):
    """Gradient matching under networks from a pool in which one is the main network."""

    main_probability: Share
    pool_after: CountOrZero  # iterations that the main network has to itself
    pool_depth: Annotated[
        int, Range(0, 4)
    ]  # blocks of the other networks, 1 to 4; 0: as many as the main network

    def prepare(self, task: Task) -> CondensationState:
        """Start as DC does.

        Raises:
            NotApplicable: the main network is no ConvNet.
        """
        other_network(task.network, NORMS[0], ACTIVATIONS[0], POOLINGS[0])
        return super().prepare(task)

    def step(self, state: CondensationState) -> Mapping[str, Tensor]:
        """Algorithm 1 of DC for one initialisation of one network of the pool."""
        task, name = state.task, state.task.network
        if state.networks_matched >= self.pool_after:
            name = self.draw_network(name, task.rng)
        return self.condense(task.fresh_network(name), state)

    def draw_network(self, main: str, rng: Generator) -> str:
        """``main`` with its probability, else a ConvNet whose layers are drawn uniformly."""
        if _happens(self.main_probability, rng):
            return main
        norm, activation, pooling = (
            layers[choose(len(layers), rng)] for layers in (NORMS, ACTIVATIONS, POOLINGS)
        )
        return other_network(main, norm, activation, pooling, self.pool_depth)


def _happens(probability: float, rng: Generator) -> bool:
    """Whether an event of this probability occurs; drawn as a choice, so outside any mode."""
    equally_likely = 2**53  # as fine as a float
    return choose(equally_likely, rng) < probability * equally_likely
