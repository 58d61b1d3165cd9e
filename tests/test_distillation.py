"""The loop around a method: resumed runs equal undisturbed ones, and nothing goes unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import cards, plugins
from bench.data import RealSet, SyntheticSet
from bench.distillation import Distilled, distill, make
from bench.errors import ContractError, Diverged, NotApplicable
from bench.experts import Experts
from bench.randomness import generator
from bench.recipes import Recipe
from bench.specs import Budget
from bench.task import AnyMethod, Task
from tests.fakes import (
    NETWORK,
    Diverges,
    GivesNaN,
    HandsOverEverything,
    Overspends,
    Slow,
    Walk,
    tiny_pair,
    tiny_task,
)
from tests.test_contract import plan

SMALL: dict[str, dict[str, Any]] = {
    "dm": {"iterations": 5, "batch_real": 8},
    "dc": {"iterations": 5, "outer_loops": 2, "inner_epochs": 2, "batch_real": 8, "init": "real"},
}


class Interrupted(BaseException):
    """As Ctrl-C or a kill would end the process."""


def adapter(name: str) -> AnyMethod:
    if name == "walk":
        return Walk(iterations=5)
    method: AnyMethod = cards.build(name, plan(name, 0, **SMALL[name]).parameters)
    return method


def interrupt_at(step: int) -> Callable[[int, int, Mapping[str, float]], None]:
    """A report that stops the run during ``step``, before that step is saved."""

    def report(done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done == step:
            raise Interrupted

    return report


def run(method: AnyMethod, folder: Path, *, seed: int = 0, **options: Any) -> Distilled:
    return distill(method, tiny_task(folder, seed=seed), checkpoint_seconds=0, **options)


def images(result: Distilled) -> torch.Tensor:
    assert isinstance(result.source, SyntheticSet)
    return result.source.images


@pytest.mark.parametrize("step", [1, 2, 4, 5])
@pytest.mark.parametrize("name", ["walk", "dm", "dc"])
def test_a_resumed_run_equals_an_undisturbed_one(name: str, step: int, tmp_path: Path) -> None:
    method, checkpoint = adapter(name), tmp_path / "checkpoint"
    undisturbed = run(method, tmp_path)
    with pytest.raises(Interrupted):
        run(method, tmp_path, checkpoint=checkpoint, report=interrupt_at(step))
    assert checkpoint.exists() == (step > 1)
    told: list[int] = []
    resumed = run(
        method, tmp_path, checkpoint=checkpoint, report=lambda done, *_: told.append(done)
    )
    assert torch.equal(images(resumed), images(undisturbed))
    assert resumed.curve == undisturbed.curve
    assert resumed.distill.peak_bytes == undisturbed.distill.peak_bytes
    assert told == list(range(step, 6))  # nothing but the interrupted step is done again


def test_a_run_interrupted_at_every_step_gets_there(tmp_path: Path) -> None:
    method, checkpoint = adapter("dm"), tmp_path / "checkpoint"
    for step in range(1, 6):
        with pytest.raises(Interrupted):
            run(method, tmp_path, checkpoint=checkpoint, report=interrupt_at(step))
    resumed = run(method, tmp_path, checkpoint=checkpoint)
    assert torch.equal(images(resumed), images(run(method, tmp_path)))


@pytest.mark.parametrize("position", [5, 100, -1])
def test_a_damaged_checkpoint_is_left_aside_with_a_warning(
    tmp_path: Path, position: int, caplog: pytest.LogCaptureFixture
) -> None:
    method, checkpoint = adapter("walk"), tmp_path / "checkpoint"
    with pytest.raises(Interrupted):
        run(method, tmp_path, checkpoint=checkpoint, report=interrupt_at(4))
    content = bytearray(checkpoint.read_bytes())
    content[position] ^= 1
    checkpoint.write_bytes(content)
    resumed = run(method, tmp_path, checkpoint=checkpoint)
    assert "Distillation starts again" in caplog.text
    assert torch.equal(images(resumed), images(run(method, tmp_path)))


FOREIGN: dict[str, Callable[[Path], tuple[AnyMethod, Task]]] = {
    "other parameters": lambda folder: (Walk(iterations=6), tiny_task(folder)),
    "another method": lambda folder: (Slow(iterations=5), tiny_task(folder)),
    "another seed": lambda folder: (Walk(iterations=5), tiny_task(folder, seed=1)),
    "another network": lambda folder: (Walk(iterations=5), tiny_task(folder, network="mlp")),
    "other data": lambda folder: (
        Walk(iterations=5),
        replace(tiny_task(folder), real=tiny_pair().test),
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_a_foreign_checkpoint_is_ignored(what: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Interrupted):
        run(Walk(iterations=5), tmp_path, checkpoint=checkpoint, report=interrupt_at(3))
    assert checkpoint.exists()
    result = distill(*FOREIGN[what](tmp_path), checkpoint=checkpoint)
    assert torch.equal(images(result), images(distill(*FOREIGN[what](tmp_path))))
    assert result.curve[0]["step"] == 1


def test_a_checkpoint_is_written_no_more_often_than_asked(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    seen: list[bool] = []
    distill(
        Slow(iterations=5),
        tiny_task(tmp_path),
        checkpoint=checkpoint,
        checkpoint_seconds=0.15,
        report=lambda *_: seen.append(checkpoint.exists()),
    )
    assert seen == [False, False, True, True, True]


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (7, 1), (150, 1), (250, 2), (999, 9)])
def test_the_curve_has_about_a_hundred_points_and_the_last_step(
    tmp_path: Path, steps: int, every: int
) -> None:
    curve = distill(Walk(iterations=steps), tiny_task(tmp_path)).curve
    taken = [int(point["step"]) for point in curve]
    assert taken == sorted({*range(every, steps + 1, every), steps})
    assert all(point["steps"] == point["step"] for point in curve)


def test_an_infinite_metric_is_divergence(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="loss became inf at step 1"):
        run(Diverges(), tmp_path)


def test_nan_in_the_result_is_divergence_even_if_metrics_hid_it(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="synthetic images hold NaN"):
        run(GivesNaN(), tmp_path)


@pytest.mark.parametrize(("method", "count"), [(Overspends(), 7), (HandsOverEverything(), 60)])
def test_more_images_than_the_budget_break_the_contract(
    tmp_path: Path, method: AnyMethod, count: int
) -> None:
    with pytest.raises(ContractError, match=f"{count} images; a budget of ipc 2 allows 6"):
        run(method, tmp_path)


@pytest.mark.parametrize(
    "method", ["random", "herding", "k-center", "forgetting", "label-only", "dm", "dsa", "datm"]
)
def test_more_real_images_than_there_are_do_not_apply(method: str, tmp_path: Path) -> None:
    small = cards.build(method, plan(method, 0).parameters)
    distill(small, tiny_task(tmp_path, ipc=20))
    with pytest.raises(NotApplicable, match="21 real images per class: a class of tiny has 20"):
        distill(small, tiny_task(tmp_path / "more", ipc=21))
    if method != "datm":  # its experts serve every budget
        assert not list((tmp_path / "more").rglob("*.safetensors")), "work was done before"


def test_the_methods_time_is_clocked_and_the_checkpoints_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    class Clocked(Walk):
        def prepare(self, task: Task) -> Any:
            clock[0] += 5
            return super().prepare(task)

        def step(self, state: Any) -> Any:
            clock[0] += 1
            return super().step(state)

        def result(self, state: Any) -> SyntheticSet | RealSet:
            clock[0] += 0.25
            return super().result(state)

    from bench import checkpoints

    save = checkpoints.save

    def slow_save(path: Path, tree: Any) -> None:
        clock[0] += 100
        save(path, tree)

    monkeypatch.setattr(checkpoints, "save", slow_save)
    checkpoint, method = tmp_path / "checkpoint", Clocked(iterations=4)
    with pytest.raises(Interrupted):
        run(method, tmp_path, checkpoint=checkpoint, report=interrupt_at(3))
    resumed = run(method, tmp_path, checkpoint=checkpoint)
    assert resumed.prepare.seconds == 5
    assert resumed.distill.seconds == 4.25


def test_experts_count_in_full_also_when_they_were_cached(tmp_path: Path) -> None:
    class Taught(Walk):
        def prepare(self, task: Task) -> Any:
            for _ in range(2):  # asked for twice, counted once
                task.experts.trajectory(NETWORK, Recipe(epochs=20), 0)
            return super().prepare(task)

    first, second = (run(Taught(), tmp_path).prepare for _ in range(2))
    service = Experts(folder=tmp_path, real=tiny_pair().train)
    service.trajectory(NETWORK, Recipe(epochs=20), 0)
    assert first.seconds >= service.seconds
    assert second.seconds >= service.seconds
    assert first.peak_bytes == second.peak_bytes == service.peak_bytes > 0


def test_a_made_set_says_where_it_comes_from(tmp_path: Path) -> None:
    made = make(plan("random", 4), tiny_pair().train, experts=tmp_path)
    assert isinstance(made.source, SyntheticSet)
    header = made.source.header
    assert header is not None
    assert (header.dataset, header.classes, header.budget) == (
        "tiny",
        ("left", "middle", "right"),
        Budget("ipc", 2),
    )
    assert (header.method, header.parameters) == ("random", {})
    assert header.preprocessing == tiny_pair().train.preprocessing.header()
    assert header.created["seed"] == 4
    assert header.created["key"] == plan("random", 4).key


def test_methods_without_steps_have_costs_too(tmp_path: Path) -> None:
    made = make(plan("herding", 4), tiny_pair().train, experts=tmp_path)
    assert made.curve == []
    assert made.prepare.peak_bytes > 0
    assert made.distill.seconds > 0
    assert made.distill.peak_bytes > tiny_pair().train.images().nbytes


def test_progress_tells_of_experts_and_steps(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def report(phase: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        told.append((phase, done, total))

    train = tiny_pair().train
    make(plan("herding", 4, teacher_epochs=2), train, experts=tmp_path, report=report)
    make(plan("dm", 4, **SMALL["dm"]), train, experts=tmp_path, report=report)
    assert told[:2] == [("expert 4", 1, 2), ("expert 4", 2, 2)]
    assert told[2:] == [("distill", done, 5) for done in range(1, 6)]


@pytest.mark.parametrize("name", plugins.names("methods"))
def test_every_method_resumes_to_the_same_result(name: str, tmp_path: Path) -> None:
    """The contract of any state, also a stranger's: an interruption changes nothing."""
    longer = {"iterations": 3} if "iterations" in cards.card(name).parameters else {}
    one, train = plan(name, 4, **longer), tiny_pair().train
    undisturbed = make(one, train, experts=tmp_path).source
    options: dict[str, Any] = {"checkpoint": tmp_path / "checkpoint", "checkpoint_seconds": 0}

    def report(phase: str, done: int, total: int, metrics: Mapping[str, float]) -> None:
        if phase == "distill" and done == 2:
            raise Interrupted

    try:
        make(one, train, experts=tmp_path, report=report, **options)
    except Interrupted:
        assert options["checkpoint"].exists()
    resumed = make(one, train, experts=tmp_path, **options).source
    ours, theirs = (source.epoch(generator("epoch")) for source in (resumed, undisturbed))
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])
