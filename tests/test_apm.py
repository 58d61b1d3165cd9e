"""APM against equation 4 and algorithm 1, written out image by image, in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench import distillation
from bench.errors import InvalidValue
from bench.measure import LiveStorage
from bench.networks import Network
from methods.apm import AdversarialPredictionMatching, AdversarialState, checkpoint_epochs
from tests.fakes import tiny_task

SMALL: dict[str, Any] = {
    "iterations": 4,
    "experts": 2,
    "teacher_epochs": 2,
    "teacher_lr": 0.05,
    "student_epochs": 6,
    "checkpoints": 3,
    "reuse": 2,
    "lr_student": 0.02,
    "batch_syn": 4,
    "mini_batch": 0,
    "segment": 500,
    "objective": "log-distance",
    "cross_entropy": 0.1,
    "lr_images": 0.5,
    "lr_images_decay": 0.3,
    "momentum": 0.5,
    "init": "real",
    "augmentation": "dsa",
}


def method(**changes: Any) -> AdversarialPredictionMatching:
    return AdversarialPredictionMatching(**SMALL | changes)


def exact_state(apm: AdversarialPredictionMatching, folder: Path) -> AdversarialState:
    """A prepared state in float64 whose next round trains no student."""
    state = apm.prepare(tiny_task(folder, ipc=3))
    state.images, state.velocity = state.images.double(), state.velocity.double()
    state.teacher = state.teacher.double()
    state.students = [student.double() for student in state.students]
    state.round = 1
    return state


def equation_4(state: AdversarialState, chosen: list[int], alpha: float, *, log: bool) -> Tensor:
    """L_u, one image, one student and one class after the other."""
    total = torch.zeros((), dtype=torch.float64)
    for i in chosen:
        image, label = state.images[i : i + 1], int(state.classes[i])
        ours = state.teacher(image)[0]
        for student in state.students:
            theirs = student(image)[0]
            gaps = [abs(ours[c] - theirs[c]) for c in range(len(ours))]
            apart = torch.stack(gaps).sum() / len(gaps)
            total = total - (torch.log(apart) if log else apart)
        total = total - alpha * torch.log(torch.exp(ours[label]) / torch.exp(ours).sum())
    return total / len(chosen)


@pytest.mark.parametrize("alpha", [0.0, 0.7])
@pytest.mark.parametrize("objective", ["log-distance", "distance"])
def test_loss_and_update_are_those_of_equation_4(
    tmp_path: Path, objective: str, alpha: float
) -> None:
    apm = method(objective=objective, cross_entropy=alpha)
    state = exact_state(apm, tmp_path)
    before, state.images = state.images, state.images.clone().requires_grad_()
    expected = equation_4(state, list(range(len(before))), alpha, log=objective == "log-distance")
    (gradient,) = torch.autograd.grad(expected, state.images)
    state.images = before.clone()

    loss = apm.step(state)["loss"]

    torch.testing.assert_close(loss, expected.detach(), rtol=1e-10, atol=1e-10)
    update = state.images - before
    torch.testing.assert_close(update, -apm.lr_images * gradient, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("objective", ["log-distance", "distance"])
@pytest.mark.parametrize("segment", [1, 2, 4])
def test_segments_give_the_same_update(tmp_path: Path, objective: str, segment: int) -> None:
    moved = []
    for size in (500, segment):
        apm = method(objective=objective, segment=size, mini_batch=7)
        state = exact_state(apm, tmp_path)
        apm.step(state)
        moved.append(state.images)
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-10, atol=1e-10)


def test_smaller_segments_take_less_memory(tmp_path: Path) -> None:
    peaks = []
    for segment in (1, 9):
        apm = method(segment=segment)
        state = exact_state(apm, tmp_path)
        with LiveStorage() as live:
            apm.step(state)
        peaks.append(live.peak_bytes)
    assert peaks[0] < peaks[1] / 2


def test_memory_does_not_grow_with_the_graphs_of_more_checkpoints(tmp_path: Path) -> None:
    peaks = {}
    for count in (1, 6):
        apm = method(checkpoints=count)
        state = exact_state(apm, tmp_path)
        with LiveStorage() as live:
            apm.step(state)
        weights = sum(p.nbytes for student in state.students for p in student.parameters())
        peaks[count] = live.peak_bytes - weights
    assert peaks[6] <= 1.02 * peaks[1]


def test_only_the_mini_batch_moves(tmp_path: Path) -> None:
    apm = method(mini_batch=4, reuse=10)
    state = exact_state(apm, tmp_path)
    for _ in range(3):  # from the second round on, images drawn before have momentum
        before = state.images.clone()
        apm.step(state)
        assert int((state.images != before).flatten(1).any(1).sum()) == 4


def test_images_drawn_in_every_round_descend_by_sgd_whose_rate_falls_at_half(
    tmp_path: Path,
) -> None:
    apm = method(reuse=10, iterations=8)
    state = exact_state(apm, tmp_path)
    theirs = state.images.clone().requires_grad_()
    sgd = torch.optim.SGD([theirs], lr=apm.lr_images, momentum=apm.momentum)
    everything = torch.arange(len(theirs))
    for step in range(1, 6):
        _, theirs.grad = apm._differentiate(state, everything)
        sgd.param_groups[0]["lr"] = 0.5 if step < 4 else 0.15
        sgd.step()
        apm.step(state)
        torch.testing.assert_close(state.images, theirs.detach(), rtol=1e-12, atol=1e-12)


def test_full_agreement_moves_nothing_and_is_no_nan(tmp_path: Path) -> None:
    apm = method(cross_entropy=0.0)
    state = exact_state(apm, tmp_path)
    state.students = [state.teacher] * 3
    before = state.images.clone()
    apm.step(state)
    assert torch.equal(state.images, before)


@given(epochs=st.integers(1, 400), data=st.data())
def test_checkpoint_schedule_is_that_of_algorithm_1(epochs: int, data: Any) -> None:
    count = data.draw(st.integers(1, epochs))
    stored = [e for e in range(1, epochs + 1) if e % (epochs // count) == 0]
    assert list(checkpoint_epochs(epochs, count)) == stored[:count]


def test_the_papers_students_are_stored_every_50_epochs() -> None:
    assert list(checkpoint_epochs(250, 5)) == [50, 100, 150, 200, 250]


def weights(network: Network) -> Tensor:
    return torch.cat([parameter.flatten() for parameter in network.parameters()])


def test_checkpoints_lie_on_one_training(tmp_path: Path) -> None:
    """The K of E stored are the last of every E/K epochs of the training that stores them all."""
    stored = {}
    for count in (2, 6):
        apm = method(checkpoints=count, experts=1)
        task = tiny_task(tmp_path)
        state = apm.prepare(task)
        task.rng.manual_seed(3)
        apm.step(state)
        stored[count] = [weights(student) for student in state.students]
    assert len(stored[2]) == 2
    assert torch.equal(stored[2][0], stored[6][2])
    assert torch.equal(stored[2][1], stored[6][5])
    assert not torch.equal(stored[6][0], stored[6][1])


def test_students_and_teacher_serve_as_many_rounds_as_reuse_says(tmp_path: Path) -> None:
    apm = method(reuse=2)
    state = apm.prepare(tiny_task(tmp_path))
    seen = []
    for _ in range(4):
        apm.step(state)
        seen.append((state.teacher, torch.stack([weights(one) for one in state.students])))
    for before, after in ((0, 1), (2, 3)):
        assert seen[before][0] is seen[after][0]
        assert torch.equal(seen[before][1], seen[after][1])
    assert seen[1][0] is not seen[2][0]
    assert not torch.equal(seen[1][1], seen[2][1])


def test_labels_are_the_logits_of_the_last_teacher(tmp_path: Path) -> None:
    apm = method(iterations=3, reuse=1)
    state = apm.prepare(tiny_task(tmp_path))
    for _ in range(apm.steps):
        apm.step(state)
    made = apm.result(state)
    assert made.label_kind == "soft"
    for image, label in zip(made.images, made.labels, strict=True):
        torch.testing.assert_close(label, state.teacher(image[None])[0])
    pool = [weights(state.teachers[index]) for index in range(apm.experts)]
    assert any(torch.equal(weights(state.teacher), teacher) for teacher in pool)


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_interrupted_run_ends_as_an_undisturbed_one(tmp_path: Path, stop: int) -> None:
    """Also in the middle of a student's rounds, where teacher and checkpoints must come back."""
    apm = method(iterations=4, reuse=3, mini_batch=4)
    undisturbed = distillation.distill(apm, tiny_task(tmp_path)).source

    def interrupt(done: int, total: int, metrics: Any) -> None:
        if done > stop:
            raise Interrupt

    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Interrupt):
        distillation.distill(
            apm,
            tiny_task(tmp_path),
            checkpoint=checkpoint,
            checkpoint_seconds=0,
            report=interrupt,
        )
    assert checkpoint.exists()
    resumed = distillation.distill(apm, tiny_task(tmp_path), checkpoint=checkpoint).source
    assert torch.equal(resumed.images, undisturbed.images)  # type: ignore[attr-defined]
    assert torch.equal(resumed.labels, undisturbed.labels)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"checkpoints": 7}, "at most as many as there are student_epochs, 6"),
    ],
)
def test_impossible_counts_are_refused(changes: dict[str, int], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        method(**changes)
