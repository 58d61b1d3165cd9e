"""APM: adversarial prediction matching. Chen et al., 2023, arXiv:2312.08912.

Follows the paper's algorithm 1 and equation 4; what they leave open follows
mchen725/DD_APM@53c8847, distill.py: image momentum and decay, the student's SGD, eval mode.
Differs: a teacher is taken after its last epoch, not at its best test accuracy. The set is handed
over after the last round with the logits of that round's teacher; the release keeps the set with
the best test accuracy. Students are stored after epochs s, 2s, …, Ks with s = ⌊E/K⌋ (algorithm 1);
the release stores them one epoch later. The release drops the logarithm of equation 4
(``objective = "distance"``) and uses students for three rounds (``reuse = 3``); algorithm 1 trains
a student every round. With ``mini_batch``, students that are used again meet other images than they
were trained on. An image that a round does not draw stays as it is (algorithm 1, line 11), and its
momentum waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from bench import augment
from bench.augment.differentiable import DifferentiableAugmentation, DifferentiableName
from bench.data import SyntheticSet
from bench.errors import InvalidValue
from bench.experts import Expert
from bench.networks import Network
from bench.parameters import Count, CountOrZero, Init, Momentum, OneOf, Rate, RateOrZero, Share
from bench.recipes import Recipe
from bench.task import Task
from bench.teachers import TeacherPool, soft_labels
from bench.training import Training

SMALLEST_DISTANCE = 1e-12
"""Below it the logarithm's gradient is cut off: a student in full agreement has none to give."""


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over classes of |student - teacher|: logits ``(N, K)`` to ``(N,)``."""
    return (student - teacher).abs().mean(1)


def log_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Logarithm of :func:`distance`, ``(N,)``."""
    return distance(student, teacher).clamp_min(SMALLEST_DISTANCE).log()


OBJECTIVES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "log-distance": log_distance,  # the paper's
    "distance": distance,  # the release's
}
"""What a round increases between a student and the teacher, image by image."""


def checkpoint_epochs(epochs: int, checkpoints: int) -> range:
    """Epochs, counted from 1, after which a student is stored: every ``epochs // checkpoints``.

    Args:
        epochs: E, of one student's training.
        checkpoints: K, at most E.
    """
    stride = epochs // checkpoints
    return range(stride, stride * checkpoints + 1, stride)


@dataclass(kw_only=True)
class AdversarialState:
    """The images in optimisation, and the two sides that disagree about them."""

    teachers: TeacherPool
    teacher: Network
    students: list[Network]  # checkpoints of one training, in eval mode
    images: Tensor  # (K * ipc, C, H, W), ordered by class
    velocity: Tensor  # of SGD with momentum, like the images
    classes: Tensor  # (K * ipc,): the class that each image stands for
    augmentation: DifferentiableAugmentation
    round: int = 0


@dataclass(frozen=True, kw_only=True)
class AdversarialPredictionMatching:
    """Move images to where students trained on them still disagree with their teacher."""

    iterations: Count  # R, rounds
    experts: Count  # teachers to draw from
    teacher_epochs: Count
    teacher_lr: Rate
    student_epochs: Count  # E
    checkpoints: Count  # K, students stored along one training
    reuse: Count  # rounds that one teacher and its students serve
    lr_student: Rate  # η
    batch_syn: Count  # synthetic images in one student step
    mini_batch: CountOrZero  # B, images drawn for a round; 0 for all
    segment: Count  # images processed at once; memory against time, the same update
    objective: Annotated[str, OneOf(OBJECTIVES)]
    cross_entropy: RateOrZero  # α, weight of the teacher's cross-entropy
    lr_images: Rate  # γ
    lr_images_decay: Share  # factor for the second half of the rounds
    momentum: Momentum
    init: Init
    augmentation: DifferentiableName  # of teachers and students in training

    def __post_init__(self) -> None:
        if self.checkpoints > self.student_epochs:
            raise InvalidValue(
                f"checkpoints is {self.checkpoints}; give at most as many as there are "
                f"student_epochs, {self.student_epochs}."
            )

    @property
    def steps(self) -> int:
        """One update of a mini-batch a step."""
        return self.iterations

    @property
    def recipe(self) -> Recipe:
        """How teachers are trained."""
        return Recipe(
            epochs=self.teacher_epochs, lr=self.teacher_lr, augmentation=self.augmentation
        )

    def wanted_experts(self, network: str, seed: int) -> list[Expert]:
        """The teachers, the same for every distillation seed."""
        return [Expert(network, self.recipe, index) for index in range(self.experts)]

    def prepare(self, task: Task) -> AdversarialState:
        """Train the teachers; start from real images or noise."""
        task.experts.train(self.wanted_experts(task.network, task.seed))
        teachers = TeacherPool(task=task, recipe=self.recipe, count=self.experts)
        images = task.initial_images(self.init).detach()
        return AdversarialState(
            teachers=teachers,
            # the first round replaces both; a resumed run loads its own into them
            teacher=teachers[0],
            students=[_frozen(task.fresh_network()) for _ in range(self.checkpoints)],
            images=images,
            velocity=torch.zeros_like(images),
            classes=task.hard_labels(),
            augmentation=augment.build_differentiable(self.augmentation, task.spec),
        )

    def step(self, state: AdversarialState) -> Mapping[str, Tensor]:
        """One round of algorithm 1."""
        chosen = self._draw_mini_batch(state)
        if state.round % self.reuse == 0:
            state.teacher = state.teachers.draw()
            self._train_student(state, state.images[chosen])
        late = state.round >= self.iterations // 2
        rate = self.lr_images * (self.lr_images_decay if late else 1.0)
        loss, gradient = self._differentiate(state, chosen)
        velocity = self.momentum * state.velocity[chosen] + gradient[chosen]
        state.velocity[chosen] = velocity
        state.images[chosen] = state.images[chosen].add_(velocity, alpha=-rate)
        state.round += 1
        return {"loss": loss}

    def _draw_mini_batch(self, state: AdversarialState) -> Tensor:
        """Positions of B images of any class, ``(B,)``."""
        order = torch.randperm(len(state.images), generator=state.teachers.task.rng)
        return order[: self.mini_batch or None].to(state.images.device, non_blocking=True)

    def _train_student(self, state: AdversarialState, images: Tensor) -> None:
        """Store the checkpoints of a fresh student that learns the teacher's logits of ``images``.

        They are copied into the networks of those before them: no network is made for one.
        """
        task = state.teachers.task
        recipe = Recipe(
            epochs=self.student_epochs,
            lr=self.lr_student,
            batch=self.batch_syn,
            augmentation=self.augmentation,
            loss="l1-logits",
        )
        network = task.fresh_network()
        student = Training(
            network=network,
            source=SyntheticSet(images=images, labels=soft_labels(state.teacher, images)),
            recipe=recipe,
            augment=state.augmentation,
            shuffle=task.rng,
            augmenting=task.rng,
        )
        due = checkpoint_epochs(self.student_epochs, self.checkpoints)
        while student.epoch < due[-1]:
            student.run_epoch()
            if student.epoch in due:
                state.students[due.index(student.epoch)].load_state_dict(network.state_dict())

    def _differentiate(self, state: AdversarialState, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """L_u of the mini-batch, and its gradient for all images: 0 for those not chosen."""
        total = state.images.new_zeros(())
        gradient = torch.zeros_like(state.images)
        for part in chosen.split(self.segment):
            loss, gradient[part] = self._differentiate_segment(state, part, len(chosen))
            total += loss
        return total, gradient

    def _differentiate_segment(
        self, state: AdversarialState, part: Tensor, batch: int
    ) -> tuple[Tensor, Tensor]:
        """A segment's terms of equation 4, one network at a time.

        L_u = 1/B Σ_i [ -Σ_k log d(f_T(u_i), f_Sk(u_i)) + α H(y_i, softmax f_T(u_i)) ]

        What reaches the teacher's logits is gathered and passes through the teacher once, so that
        the graphs of the teacher and of one student are alive at a time.

        Args:
            state: networks, images u and their classes y.
            part: positions ``(n,)`` of the segment's images.
            batch: B, images in all segments.

        Returns:
            Their sum, 0-dimensional, and its gradient, ``(n, C, H, W)``.
        """
        images = state.images[part].requires_grad_()
        logits = state.teacher(images)
        target = logits.detach().requires_grad_()
        total = self.cross_entropy * F.cross_entropy(target, state.classes[part], reduction="sum")
        (through_teacher,) = torch.autograd.grad(total, target)
        through_students = torch.zeros_like(images)
        for student in state.students:
            loss = -OBJECTIVES[self.objective](student(images), target).sum()
            to_images, to_target = torch.autograd.grad(loss, (images, target))
            through_students += to_images
            through_teacher += to_target
            total = total.detach() + loss.detach()
        (rest,) = torch.autograd.grad(logits, images, through_teacher)
        return total.detach() / batch, (through_students + rest) / batch

    def result(self, state: AdversarialState) -> SyntheticSet:
        """The images with the logits of the last round's teacher."""
        return SyntheticSet(images=state.images, labels=soft_labels(state.teacher, state.images))


def _frozen(network: Network) -> Network:
    """The network itself, in eval mode, without parameter gradients."""
    return network.requires_grad_(False).eval()
