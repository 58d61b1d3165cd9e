"""Training recipes as frozen data: what a student is trained with, and nothing about how fast."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from bench.errors import InvalidValue, UnknownName

Schedule = Literal["constant", "step", "cosine"]
LossName = Literal["cross-entropy", "l1-logits", "mse-logits"]
Labels = Literal["own", "hard", "teacher"]
Mixing = Literal["none", "cutmix", "mixup"]
Precision = Literal["fp32", "tf32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class KnowledgeDistillation:
    """A teacher of the same recipe, trained on the same synthetic set, helps the student.

    Loss: (1 - alpha) · CE + alpha · temperature² · KL(teacher ‖ student), both softened by
    ``temperature`` (Model Pool, equation 1).

    Attributes:
        teacher: the teacher's network.
        alpha: weight of the teacher, in [0, 1].
        temperature: softens both distributions; positive.
    """

    teacher: str
    alpha: float = 0.5
    temperature: float = 1.5

    def __post_init__(self) -> None:
        if not (0 <= self.alpha <= 1 and 0 < self.temperature < float("inf")):
            raise InvalidValue(
                f"Knowledge distillation needs alpha in [0, 1] and a positive temperature; "
                f"given {self.alpha} and {self.temperature}."
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a fresh student is trained on a synthetic source; SGD, last epoch counts.

    Attributes:
        epochs: passes over the synthetic source.
        lr: learning rate at the start.
        learned_lr: take the source's learned learning rate instead, where it has one.
        momentum: of SGD.
        weight_decay: of SGD.
        batch: synthetic images in one student step.
        schedule: ``constant``; ``step`` (×0.1 once ``epochs // 2 + 1`` epochs are done, momentum
            kept; the releases of DC and its followers start SGD anew there, and run one epoch
            more); ``cosine`` (to 0 over all epochs).
        augmentation: a name of ``bench.augment``, drawn anew for every batch.
        loss: ``cross-entropy`` (hard labels, or softmax of soft ones), or the mean absolute or
            squared difference between student logits and stored logits.
        distillation: a teacher beside the labels, or ``None``.
        labels: ``own`` for those that the method hands over; ``hard`` for class indices alone
            (the likeliest class of soft labels); ``teacher`` for the logits of a network trained
            on the real training images, taken once on the images as they are.
        mixing: ``cutmix`` or ``mixup`` of each batch with itself, labels mixed alike.
        precision: ``fp32``; ``tf32`` (CUDA) and ``bf16`` (autocast) are faster, and a run refuses
            them until their equivalence is proved (:mod:`bench.equivalence`).
    """

    epochs: int
    lr: float = 0.01
    learned_lr: bool = False
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    schedule: Schedule = "step"
    augmentation: str = "dsa"
    loss: LossName = "cross-entropy"
    distillation: KnowledgeDistillation | None = None
    labels: Labels = "own"
    mixing: Mixing = "none"
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1 or not self.lr > 0:
            raise InvalidValue(
                f"A recipe needs epochs ≥ 1, batch ≥ 1 and lr > 0; "
                f"given {self.epochs}, {self.batch} and {self.lr}."
            )
        for kind, given, known in (
            ("schedule", self.schedule, get_args(Schedule)),
            ("loss", self.loss, get_args(LossName)),
            ("kind of labels", self.labels, get_args(Labels)),
            ("mixing", self.mixing, get_args(Mixing)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if given not in known:
                raise UnknownName(kind, given, known)

    def with_changes(self, changes: dict[str, Any]) -> Recipe:
        """A copy with some fields replaced.

        Raises:
            UnknownName: a key that is no field.
        """
        known = [f.name for f in fields(self)]
        for key in changes:
            if key not in known:
                raise UnknownName("recipe field", key, known)
        teacher = changes.get("distillation")
        if isinstance(teacher, dict):
            changes = changes | {"distillation": KnowledgeDistillation(**teacher)}
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for hashing and records.

        Fields younger than the first published records are left out at their defaults, so that
        what those records say stands.
        """
        unchanged = {key for key, value in LEFT_OUT.items() if getattr(self, key) == value}
        return {key: value for key, value in asdict(self).items() if key not in unchanged}


LEFT_OUT = {"labels": "own", "mixing": "none"}
"""What :meth:`Recipe.as_dict` leaves out, and so what it means where a record does not say it."""

STANDARD = Recipe(epochs=1000)
"""The field's common recipe: DSA and DM evaluate with it, trajectory methods with their own lr."""
