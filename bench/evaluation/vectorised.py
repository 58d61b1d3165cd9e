"""All students trained together as one program: stacked tensors, one vmapped step.

On CUDA the step is captured in a graph once for each size of batch and replayed: hundreds of small
kernels for the price of one launch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from bench import augment
from bench.evaluation.functional import Batch, State, Step, rates_of, stacked, state_of
from bench.evaluation.outcome import Assignment
from bench.evaluation.reference import train
from bench.evaluation.sharpened import vectorised_step
from bench.evaluation.students import EpochsDone
from bench.measure import Peak
from bench.training import Training

WARM_UPS = 3
"""Steps of a size that run before it is captured: libraries choose their kernels in these."""


def train_all(
    assignment: Assignment, students: Sequence[Training], peak: Peak, report: EpochsDone
) -> list[float]:
    """Train the students together to their last epoch; return their last losses.

    Raises:
        Diverged: the loss of one of them became NaN or infinite.
        OutOfMemoryError: they do not fit together.
    """
    together = Together(students)

    def done(epoch: int) -> None:
        for place in range(len(students)):
            report(place, epoch)

    train(together, peak, done)
    together.hand_back()
    return together.losses.tolist()


class Together:
    """Students in training side by side.

    Attributes:
        losses: of each student's last batch, ``(students,)``.
        step: trains them on a stacked batch.
    """

    def __init__(self, students: Sequence[Training]) -> None:
        self.recipe = students[0].recipe
        self._students = students
        self._state = stacked([state_of(student) for student in students])
        step = vectorised_step(students[0])
        on_cuda = next(students[0].network.parameters()).is_cuda
        self.step: StepOf = CapturedStep(step, self._state) if on_cuda else step
        self.losses = torch.zeros(len(students))

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._students[0].epoch

    def run_epoch(self) -> Tensor:
        """Train one epoch; return the sum of the losses of the last batches."""
        rates = rates_of(self._students, self._state)
        for batch in self._batches():
            self.losses = self.step(self._state, batch, rates)
        for student in self._students:
            student.epoch += 1
        return self.losses.sum()

    def _batches(self) -> Iterator[Batch]:
        """The stacked batches of one epoch; each student's are drawn as when it is alone."""
        augmentation = self._students[0].augment
        rngs = [student.augmenting for student in self._students]
        for parts in zip(*(student.unaugmented() for student in self._students), strict=True):
            images, labels = zip(*parts, strict=True)
            augmented = augment.together(augmentation, images, rngs)
            mixed = map(Training.mixed, self._students, augmented, labels)
            yield _stacked([Batch.of(*one) for one in mixed])

    def hand_back(self) -> None:
        """Copy the trained tensors into the students' networks and optimisers."""
        for place, student in enumerate(self._students):
            own = state_of(student)
            for mine, trained in zip(own[:3], self._state[:3], strict=True):
                for name, tensor in mine.items():
                    tensor.copy_(trained[name][place])
            if self.recipe.momentum:
                for name, parameter in student.network.named_parameters():
                    student.optimizer.state[parameter]["momentum_buffer"] = own.velocities[name]


StepOf = Callable[[State, Batch, Tensor], Tensor]


def _stacked(batches: Sequence[Batch]) -> Batch:
    images, labels, shares = zip(*batches, strict=True)
    return Batch(
        images=torch.stack(images),
        labels=tuple(torch.stack(sets) for sets in zip(*labels, strict=True)),
        shares=torch.stack(shares),
    )


class CapturedStep:
    """A step on one state, captured as a CUDA graph for each shape of batch."""

    def __init__(self, step: Step, state: State) -> None:
        self._step, self._state = step, state
        self._ran: dict[tuple[torch.Size, ...], int] = {}
        self._graphs: dict[tuple[torch.Size, ...], _Graph] = {}

    @property
    def captured(self) -> int:
        """How many shapes have a graph."""
        return len(self._graphs)

    def __call__(self, state: State, batch: Batch, rate: Tensor) -> Tensor:
        """Train on ``batch``; the losses stand until the next call."""
        shapes = tuple(tensor.shape for tensor in (batch.images, *batch.labels))
        ran = self._ran.get(shapes, 0)
        self._ran[shapes] = ran + 1
        if ran < WARM_UPS:
            return self._step(self._state, batch, rate)
        if shapes not in self._graphs:
            self._graphs[shapes] = _Graph(self._step, self._state, batch, rate)
        return self._graphs[shapes].replay(batch, rate)


class _Graph:
    """A captured step with the tensors it reads and writes."""

    def __init__(self, step: Step, state: State, batch: Batch, rate: Tensor) -> None:
        self._batch = Batch(
            batch.images.clone(), tuple(part.clone() for part in batch.labels), batch.shares.clone()
        )
        self._rate = rate.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._losses = step(state, self._batch, self._rate)

    def replay(self, batch: Batch, rate: Tensor) -> Tensor:
        """Run the step on ``batch``."""
        given = (batch.images, *batch.labels, batch.shares, rate)
        own = (self._batch.images, *self._batch.labels, self._batch.shares, self._rate)
        torch._foreach_copy_(own, given)
        self._graph.replay()
        return self._losses
