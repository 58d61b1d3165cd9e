"""Trajectory-matching methods: what each paper adds to the loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from bench import cards, networks
from bench.errors import InvalidValue, NotApplicable
from bench.experts import Experts
from bench.randomness import generator
from bench.sharpness import Sharpness
from bench.specs import Budget
from bench.task import Task
from bench.trajectories import Descent, logits_at
from bench.unrolling import Gradients
from methods.datm import DifficultyAligned, choose_right, mean_of_right
from tests.fakes import NETWORK, tiny_pair

SMALL = {
    "iterations": 4,
    "matching_steps": 3,
    "expert_epochs": 1,
    "max_start_epoch": 2,
    "experts": 2,
    "teacher_epochs": 3,
    "lr_images": 1.0,
}


@pytest.fixture
def task(tmp_path: Path) -> Task:
    train = tiny_pair().train
    return Task(
        real=train,
        budget=Budget("ipc", 2),
        network=NETWORK,
        seed=0,
        rng=generator("task"),
        experts=Experts(folder=tmp_path, real=train),
    )


def method(name: str, **changes: Any) -> Any:
    resolved = cards.resolve(name, "quick", "tiny", Budget("ipc", 2), SMALL | changes)
    return cards.build(name, resolved.parameters)


def test_descent_is_torch_sgd_with_momentum() -> None:
    values = torch.randn(5, generator=generator("descent"))
    ours = Descent(value=values.clone(), lr=0.3, momentum=0.5)
    theirs = values.clone().requires_grad_()
    optimizer = torch.optim.SGD([theirs], lr=0.3, momentum=0.5)
    for step in range(4):
        theirs.grad = torch.randn(5, generator=generator("gradient", step))
        ours.step(theirs.grad, torch.tensor(True))
        optimizer.step()
    torch.testing.assert_close(ours.value, theirs.detach())


def test_left_out_step_changes_neither_value_nor_velocity() -> None:
    descent = Descent(value=torch.ones(3), lr=0.1, momentum=0.9)
    descent.step(torch.ones(3), torch.tensor(True))
    value, velocity = descent.value.clone(), descent.velocity.clone()
    descent.step(torch.full((3,), torch.nan), torch.tensor(False))
    assert torch.equal(descent.value, value)
    assert torch.equal(descent.velocity, velocity)


@pytest.mark.parametrize("name", ["mtt", "tesla", "ftd", "datm"])
def test_loss_above_the_limit_leaves_the_set_alone(name: str, task: Task) -> None:
    never = method(name, loss_limit=1e-9)
    state = never.prepare(task)
    before = state.images.value.clone()
    never.step(state)
    assert torch.equal(state.images.value, before)
    always = replace(never, loss_limit=0.0)
    assert float(always.step(state)["left_out"]) == 1.0
    assert not torch.equal(state.images.value, before)


@pytest.mark.parametrize("spoilt", ["loss", "images"])
def test_a_segment_without_numbers_changes_nothing_and_is_counted(
    spoilt: str, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    mtt = method("mtt")
    state = mtt.prepare(task)
    first = float(mtt.step(state)["loss"])
    before, rate = state.images.value.clone(), state.rate.value.clone()
    exact = type(mtt).match

    def broken(*arguments: Any) -> Gradients:
        found = exact(*arguments)
        return replace(found, **{spoilt: torch.full_like(getattr(found, spoilt), torch.nan)})

    monkeypatch.setattr(type(mtt), "match", broken)
    metrics = mtt.step(state)
    assert torch.equal(state.images.value, before)
    assert torch.equal(state.rate.value, rate)
    assert float(metrics["left_out"]) == 1.0
    assert (float(metrics["loss"]) == first) == (spoilt == "loss")
    monkeypatch.undo()
    mtt.step(state)
    assert not torch.equal(state.images.value, before)


def test_a_loss_that_never_was_a_number_is_none(task: Task) -> None:
    """So that the run ends as diverged, instead of handing over what it began with."""
    mtt = method("mtt", teacher_lr=1e-30)  # experts that stand still: 0 / 0
    assert not mtt.step(mtt.prepare(task))["loss"].isfinite()


@pytest.mark.parametrize("gradient", ["adjoint", "two-pass", "unrolled"])
def test_networks_that_draw_are_matched_by_back_propagation_alone(
    gradient: str, task: Task
) -> None:
    mtt, vit = method("mtt", gradient=gradient), replace(task, network="vit-depth1-heads2-w16")
    if gradient == "unrolled":
        assert float(mtt.step(mtt.prepare(vit))["loss"]) > 0
        return
    with pytest.raises(NotApplicable, match="has dropout"):
        mtt.prepare(vit)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"init": "noise"}, "give 'real'"), ({"label_experts": 3}, "give at most 2")],
)
def test_datm_refuses_what_it_could_not_heed(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        method("datm", **changes)


def test_learned_learning_rate_stays_positive(task: Task) -> None:
    mtt = method("mtt", lr_learning_rate=1e6)
    state = mtt.prepare(task)
    for _ in range(3):
        mtt.step(state)
    assert mtt.result(state).learning_rate > 0


@pytest.mark.parametrize("name", ["mtt", "tesla", "ftd", "datm"])
def test_segments_beyond_the_experts_are_refused(name: str, task: Task) -> None:
    with pytest.raises(InvalidValue, match="reach beyond experts of 3 epochs"):
        method(name, max_start_epoch=4).prepare(task)


def test_segments_lie_on_an_expert_and_in_the_window(task: Task) -> None:
    mtt = method("mtt", min_start_epoch=1, max_start_epoch=3)
    state = mtt.prepare(task)
    trajectories = [mtt.expert(task, index) for index in range(2)]
    seen = set()
    for _ in range(60):
        match = mtt.draw(state)
        (place,) = [
            (expert, epoch)
            for expert, trajectory in enumerate(trajectories)
            for epoch in range(3)
            if torch.equal(trajectory[epoch], match.start)
        ]
        assert torch.equal(trajectories[place[0]][place[1] + 1], match.target)
        seen.add(place)
    assert seen == {(expert, epoch) for expert in (0, 1) for epoch in (1, 2)}


def test_tesla_labels_come_from_the_target_parameters(task: Task) -> None:
    tesla = method("tesla", soft_labels=True)
    state = tesla.prepare(task)
    match = tesla.draw(state)
    network = networks.build(NETWORK, task.spec, generator("any"))
    with torch.no_grad():
        for name, value in networks.unflatten(network, match.target).items():
            network.get_parameter(name).copy_(value)
        expected = network(state.images.value)
    torch.testing.assert_close(tesla.labels(state, match), expected)
    assert tesla.result(state).label_kind == "soft"


def test_ftd_hands_over_the_running_mean(task: Task) -> None:
    ftd = method("ftd", ema=0.75)
    state = ftd.prepare(task)
    mean = state.images.value.clone()
    for _ in range(3):
        ftd.step(state)
        mean = 0.75 * mean + 0.25 * state.images.value
    torch.testing.assert_close(ftd.result(state).images, mean)


def test_datm_window_rises_by_one_each_interval_up_to_its_end() -> None:
    datm = method(
        "datm",
        initial_last_epoch=3,
        max_start_epoch=6,
        expansion_interval=10,
        teacher_epochs=6,
    )
    ends = [datm.last_start_epoch(iteration) for iteration in (0, 9, 10, 29, 30, 500)]
    assert ends == [3, 3, 4, 5, 6, 6]
    assert replace(datm, expansion_interval=0).last_start_epoch(0) == 6


def test_datm_starts_from_images_that_the_expert_gets_right(task: Task) -> None:
    datm = method("datm")
    state = datm.prepare(task)
    logits = logits_at(state, datm.expert(task, 0)[-1], state.images.value)
    torch.testing.assert_close(state.labels, logits)
    assert (state.labels.argmax(1) == task.hard_labels()).all()


def test_datm_learns_its_labels(task: Task) -> None:
    datm: DifficultyAligned = method("datm", loss_limit=0.0)
    state = datm.prepare(task)
    before = state.labels.clone()
    datm.step(state)
    assert not torch.equal(datm.result(state).labels, before)


def test_images_that_no_expert_gets_right_come_last() -> None:
    right, wrong = torch.tensor([0.0, 5.0]), torch.tensor([5.0, 0.0])
    answers = torch.stack(
        [torch.stack([wrong, wrong, right, right]), torch.stack([wrong, right, wrong, right])]
    )
    assert choose_right(answers, 1, 4).tolist() == [2, 3, 1, 0]
    means = mean_of_right(answers, 1)
    torch.testing.assert_close(means, torch.stack([wrong, right, right, right]))


def test_sharpness_aware_gradient_equals_its_formula() -> None:
    rule = Sharpness(rho=0.05, alpha=0.4)
    theta = torch.randn(7, generator=generator("theta"), dtype=torch.float64).requires_grad_()
    matrix = torch.randn(7, 7, generator=generator("matrix"), dtype=torch.float64)
    start = theta.detach().clone()

    def loss(at: torch.Tensor) -> torch.Tensor:
        return F.softplus(matrix @ at).sum()

    def slope(at: torch.Tensor) -> torch.Tensor:
        return matrix.T @ torch.sigmoid(matrix @ at)

    first = slope(start)
    second = slope(start + 0.05 * start**2 * first / (start.abs() * first).norm())
    cosine = F.cosine_similarity(first, second, dim=0)
    orthogonal = first - cosine * first.norm() * second / second.norm()

    value, (found,) = rule.gradients(lambda: loss(theta), [theta])

    torch.testing.assert_close(value, loss(start))
    torch.testing.assert_close(found, second - 0.4 * orthogonal, rtol=1e-9, atol=1e-9)
    assert torch.equal(theta.detach(), start)


def test_sharpness_aware_experts_are_other_experts(task: Task) -> None:
    plain, flat = method("mtt").expert(task, 0), method("ftd").expert(task, 0)
    assert torch.equal(plain[0], flat[0])
    assert not torch.equal(plain[-1], flat[-1])
