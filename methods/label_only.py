"""Label-only: random real images under a teacher's soft labels.

The control of every method whose labels come from a teacher: what it gains over Random is the
teacher's, what such a method gains over it is the images'. Images are drawn as for ``random``,
teachers are those of ``apm``, and so is the native recipe.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.augment import AugmentationName
from bench.data import SyntheticSet
from bench.parameters import Count, Rate
from bench.recipes import Recipe
from bench.selection import Chooser, Selection
from bench.task import Task
from bench.teachers import TeacherPool, soft_labels


@dataclass(frozen=True, kw_only=True)
class LabelOnly(Selection):
    """Draw ``ipc`` real images of each class and label them with one teacher's logits."""

    experts: Count  # teachers to draw from
    teacher_epochs: Count
    teacher_lr: Rate
    teacher_augmentation: AugmentationName

    def prepare(self, task: Task) -> Chooser:
        """Train or fetch a teacher drawn from the pool."""
        super().prepare(task)
        recipe = Recipe(
            epochs=self.teacher_epochs, lr=self.teacher_lr, augmentation=self.teacher_augmentation
        )
        pool = TeacherPool(task=task, recipe=recipe, count=self.experts)
        return Chooser(task=task, teacher=pool.draw())

    def result(self, state: Chooser) -> SyntheticSet:
        """The drawn images, ordered by class, with the teacher's logits."""
        images = state.task.initial_images("real").detach()
        return SyntheticSet(images=images, labels=soft_labels(state.teacher, images))
