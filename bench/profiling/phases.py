"""A method's phases as equal steps that can be run one by one, on any device.

``prepare``
    One epoch of training one expert; where a method has none, its preparation as a whole.
``distill``
    One step of the method; for a method without steps the hand-over, where it does its work.
``evaluate``
    One epoch of training a student on what is handed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from bench import cards
from bench.data import SyntheticSet, SyntheticSource
from bench.evaluation import start_training
from bench.experts import Expert
from bench.profiling.records import Phase
from bench.profiling.rounds import Rounds
from bench.profiling.stand_ins import StandInExperts, StandInSet, open_task
from bench.profiling.subject import Subject
from bench.task import Task


@dataclass(frozen=True, kw_only=True)
class Steps:
    """A phase that is set up.

    Attributes:
        run: does one step.
        count: how many steps the preset has.
        cycle: steps after which their work repeats.
        share: one step as run, as a part of a whole one: a shorter epoch is enough to see what a
            long one takes.
        real: the images that the step may walk over.
    """

    run: Callable[[], object]
    count: int
    real: StandInSet
    cycle: int = 1
    share: float = 1.0


def open_phase(
    phase: Phase,
    subject: Subject,
    device: torch.device,
    shown: int | None = None,
    rounds: Rounds | None = None,
) -> Steps:
    """Set a phase up: everything that comes before its first step.

    Args:
        phase: which.
        subject: of what.
        device: where it runs.
        shown: how many real images an epoch over them has; all of them if not given.
        rounds: cuts loops over classes short; only a ledger can count what is left out.

    Raises:
        NotApplicable: the method does not apply to this cell.
    """
    if phase == "distill":
        return _distill(subject, open_task(subject, device, shown, rounds))
    return {"prepare": _prepare, "evaluate": _evaluate}[phase](subject, device, shown)


def own_preparation(subject: Subject, task: Task) -> list[Expert]:
    """What the method does by itself before its first step; returns the experts it asked for."""
    cards.build(subject.method, subject.parameters).prepare(task)
    assert isinstance(task.experts, StandInExperts)
    return list(task.experts.asked_for.values())


def _prepare(subject: Subject, device: torch.device, shown: int | None) -> Steps:
    task = open_task(subject, device)
    experts = own_preparation(subject, task)
    if not experts:
        whole = open_task(subject, device)
        return Steps(run=lambda: own_preparation(subject, whole), count=1, real=_set_of(whole))
    expert = experts[0]
    real = replace(_set_of(task), shown=_excerpt(subject, shown))
    training = start_training(real, expert.network, expert.recipe, real, ("profile",))
    training.sharpness = expert.sharpness
    return Steps(
        run=training.run_epoch,
        count=sum(each.recipe.epochs for each in experts),
        share=real.shown / subject.train_count,
        real=real,
    )


def _distill(subject: Subject, task: Task) -> Steps:
    method = cards.build(subject.method, subject.parameters)
    state = method.prepare(task)
    real = _set_of(task)
    real.asked.clear()
    if method.steps == 0:
        return Steps(run=lambda: method.result(state), count=1, real=real)
    return Steps(run=lambda: method.step(state), count=method.steps, cycle=subject.cycle, real=real)


def _evaluate(subject: Subject, device: torch.device, shown: int | None) -> Steps:
    task = open_task(subject, device, _excerpt(subject, shown))
    real, source = _set_of(task), _handed_over(subject, task)
    training = start_training(source, subject.network, subject.rules.recipe, real, ("profile",))
    share = real.shown / subject.train_count if source is real else 1.0
    return Steps(run=training.run_epoch, count=subject.rules.recipe.epochs, share=share, real=real)


def _handed_over(subject: Subject, task: Task) -> SyntheticSource:
    """Something of the shape that the method hands over."""
    if subject.budget.kind == "full":
        return task.real
    if subject.budget.kind == "inpc":
        method = cards.build(subject.method, subject.parameters)
        source: SyntheticSource = method.result(method.prepare(task))
        return source
    images, labels = task.initial_images("noise").detach(), task.hard_labels()
    if cards.labels_of(subject.method, subject.parameters) == "hard":
        return SyntheticSet(images=images, labels=labels)
    logits = torch.zeros(len(images), subject.spec.num_classes, device=task.device)
    return SyntheticSet(images=images, labels=logits)


def _excerpt(subject: Subject, shown: int | None) -> int:
    """How many images a training on real ones is shown: all its batches are alike."""
    return min(shown or subject.rules.excerpt, subject.train_count)


def _set_of(task: Task) -> StandInSet:
    assert isinstance(task.real, StandInSet)
    return task.real
