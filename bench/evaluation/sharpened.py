"""A sharpness-aware step as a function of tensors alone, so that experts can take it together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from bench.evaluation.functional import Batch, State, Step, Tensors
from bench.sharpness import Sharpness
from bench.training import Training


@dataclass(frozen=True, eq=False)
class SharpStep(Step):
    """Two forwards and backwards, as :class:`bench.sharpness.Sharpness` says, then SGD.

    Attributes:
        sharpness: how a student looks around itself.
    """

    sharpness: Sharpness = field(default_factory=lambda: Sharpness(rho=0.0, alpha=0.0))

    def _gradients(self, state: State, batch: Batch) -> tuple[Tensors, Tensor, Tensors]:
        first, loss, buffers = super()._gradients(state, batch)
        here = state.parameters
        offsets = self.sharpness.offsets(list(here.values()), [first[name] for name in here])
        moved = {name: here[name] + e for name, e in zip(here, offsets, strict=True)}
        above = state._replace(parameters=moved, buffers=buffers)
        second, _, buffers = super()._gradients(above, batch)
        descent = self.sharpness.descent([first[n] for n in here], [second[n] for n in here])
        return dict(zip(here, descent, strict=True)), loss, buffers


def vectorised_step(student: Training) -> Step:
    """The step of several students like this one, plain or sharpness-aware."""
    if student.sharpness is None:
        return Step.like(student, vectorised=True)
    step = SharpStep.like(student, vectorised=True)
    assert isinstance(step, SharpStep)
    return replace(step, sharpness=student.sharpness)
