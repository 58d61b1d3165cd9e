"""Forgetting events against a recount of recorded predictions."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench import distillation
from methods.forgetting import Forgetting, History, most_forgotten
from tests.fakes import tiny_task

METHOD = Forgetting(teacher_epochs=4, teacher_lr=0.05, teacher_augmentation="dsa")
CPU = torch.device("cpu")


def recount(visits: list[bool]) -> float:
    """Forgetting events of one image from its visits, the plain way."""
    if not any(visits):
        return float("inf")
    events = 0
    for before, now in pairwise(visits):
        if before and not now:
            events += 1
    return events


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), max_size=8), st.randoms())
def test_counts_equal_a_recount_of_all_visits(epochs: list[list[bool]], order: Any) -> None:
    history = History.start(5, CPU)
    for outcomes in epochs:
        index = list(range(5))
        order.shuffle(index)
        for part in (index[:2], index[2:]):
            history.visit(torch.tensor(part), torch.tensor([outcomes[i] for i in part]))
    expected = [recount([outcomes[i] for outcomes in epochs]) for i in range(5)]
    assert history.scores().tolist() == expected


def test_training_notes_what_the_network_predicts_at_each_visit(tmp_path: Path) -> None:
    """The network's own outputs are recorded and recounted; batches cover each epoch once."""
    task = tiny_task(tmp_path)
    state = METHOD.prepare(task)
    outputs: list[Tensor] = []

    def record(module: nn.Module, inputs: Any, logits: Tensor) -> None:
        outputs.append(logits.detach().argmax(1))

    visits: list[list[bool]] = [[] for _ in range(len(task.real))]
    state.network.register_forward_hook(record)
    for _ in range(METHOD.steps):
        before = task.rng.get_state()
        METHOD.step(state)
        replay = torch.Generator()
        replay.set_state(before)
        order = torch.randperm(len(task.real), generator=replay)
        predicted = torch.cat(outputs[-1:])  # 60 images: one batch an epoch
        for place, guess in zip(order.tolist(), predicted.tolist(), strict=True):
            visits[place].append(guess == int(task.real.labels[place]))
    assert len(outputs) == METHOD.steps
    assert state.history.scores().tolist() == [recount(seen) for seen in visits]
    assert len({recount(seen) for seen in visits}) > 2


def test_keeps_the_most_forgotten_of_each_class(tmp_path: Path) -> None:
    task = tiny_task(tmp_path)
    state = METHOD.prepare(task)
    for _ in range(METHOD.steps):
        METHOD.step(state)
    made, scores = METHOD.result(state), state.history.scores()
    assert made.labels.tolist() == [0, 0, 1, 1, 2, 2]
    for label, members in enumerate(task.real.class_indices):
        ranked = sorted(members.tolist(), key=lambda i: (-scores[i].item(), i))
        kept = made.images[made.labels == label]
        assert torch.equal(kept, task.real.images(torch.tensor(ranked[:2])))


def test_never_learned_images_come_first_and_ties_go_to_the_earlier_one() -> None:
    inf = float("inf")
    assert most_forgotten(torch.tensor([0.0, 3.0, inf, 3.0, inf]), 4).tolist() == [2, 4, 1, 3]


def test_interrupted_run_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed = distillation.distill(METHOD, tiny_task(tmp_path)).source

    class Interrupt(Exception):
        pass

    def interrupt(done: int, total: int, metrics: Any) -> None:
        if done == 3:
            raise Interrupt

    checkpoint = tmp_path / "checkpoint"
    try:
        distillation.distill(
            METHOD,
            tiny_task(tmp_path),
            checkpoint=checkpoint,
            checkpoint_seconds=0,
            report=interrupt,
        )
    except Interrupt:
        assert checkpoint.exists()
    resumed = distillation.distill(METHOD, tiny_task(tmp_path), checkpoint=checkpoint).source
    assert torch.equal(resumed.images, undisturbed.images)  # type: ignore[attr-defined]
