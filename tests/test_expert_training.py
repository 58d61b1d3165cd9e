"""Experts trained as one program are those of the plain loop, and as hard to lose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import expert_training, networks
from bench.checkpoints import load
from bench.environment import use_full_precision
from bench.errors import Diverged
from bench.evaluation import Choice, memory, start_training
from bench.evaluation.vectorised import Together
from bench.expert_training import MOST_TOGETHER, ExpertInTraining
from bench.experts import Expert, Experts
from bench.files import exclusive
from bench.recipes import Recipe
from bench.sharpness import Sharpness
from bench.training import Training
from tests.evaluation.students import assignment, hard_set
from tests.fakes import NETWORK, SPEC, tiny_pair

# 60 images in batches of 16: the last one of an epoch has 12; momentum must survive an interruption
RECIPE = Recipe(epochs=3, lr=0.05, batch=16, augmentation="dsa")
SHARPNESS = Sharpness(rho=0.05, alpha=0.4)
POOL = [Expert(NETWORK, RECIPE, index) for index in range(3)]
KINDS = {
    "momentum": POOL,
    "plain SGD": [
        replace(expert, recipe=replace(RECIPE, momentum=0.0, weight_decay=0.0)) for expert in POOL
    ],
    "batch norm": [replace(expert, network=f"{NETWORK}-bn") for expert in POOL],
    "sharpness": [replace(expert, sharpness=SHARPNESS) for expert in POOL],
    "sharpness and batch norm": [
        replace(expert, network=f"{NETWORK}-bn", sharpness=SHARPNESS) for expert in POOL
    ],
}


class Interrupted(BaseException):
    """As Ctrl-C or a kill would end the process."""


def service(folder: Path, strategy: Any = "vectorised", **options: Any) -> Experts:
    return Experts(folder=folder, real=tiny_pair().train, strategy=strategy, **options)


def trained(
    folder: Path, pool: Sequence[Expert], strategy: Any = "vectorised", **options: Any
) -> list[Tensor]:
    """All numbers of each expert: its trajectory, then its buffers."""
    experts = service(folder, strategy, **options)
    experts.train(pool)
    return [numbers(experts, expert) for expert in pool]


def numbers(experts: Experts, expert: Expert) -> Tensor:
    asked = (expert.network, expert.recipe, expert.index, expert.sharpness)
    buffers = [value.cpu().double().flatten() for value in experts.teacher(*asked).buffers()]
    return torch.cat([experts.trajectory(*asked).double().flatten(), *buffers])


def files(folder: Path, kind: str = "safetensors") -> set[str]:
    return {path.name for path in folder.glob(f"*.{kind}")}


def groups_of(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of the experts of every program that is trained from now on."""
    seen: list[list[str]] = []

    class Watched(Together):
        def __init__(self, trainings: Sequence[Training]) -> None:
            seen.append([NAMES[training.shuffle.initial_seed()] for training in trainings])
            super().__init__(trainings)

    monkeypatch.setattr(expert_training, "Together", Watched)
    return seen


NAMES = {
    start_training(
        tiny_pair().train, NETWORK, RECIPE, tiny_pair().train, ("expert", "tiny", NETWORK, index)
    ).shuffle.initial_seed(): f"expert {index}"
    for index in range(MOST_TOGETHER + 2)
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_is_the_one_that_is_trained_one_by_one(tmp_path: Path, kind: str) -> None:
    pool = KINDS[kind]
    ours = trained(tmp_path / "together", pool)
    theirs = trained(tmp_path / "alone", pool, strategy="reference")
    assert files(tmp_path / "together") == files(tmp_path / "alone")
    for mine, plain in zip(ours, theirs, strict=True):
        assert (mine - plain).norm() < 1e-5 * plain.norm()


@pytest.mark.parametrize("sharpness", [None, SHARPNESS], ids=["plain", "sharpness"])
def test_in_float64_they_agree_to_ten_digits(tmp_path: Path, sharpness: Sharpness | None) -> None:
    def trajectories(strategy: Any) -> list[Tensor]:
        source = hard_set(torch.float64)
        pool = []
        for index in range(3):
            training = start_training(source, NETWORK, RECIPE, tiny_pair().test, ("pool", index))
            training.network.to(torch.float64)
            training.sharpness = sharpness
            pool.append(ExpertInTraining(name="", training=training, partial=tmp_path / str(index)))
        given = assignment(RECIPE, source)
        expert_training.train(pool, given, strategy, report=None, checkpoint_seconds=60)
        return [expert.tensors()["trajectory"] for expert in pool]

    pairs = zip(trajectories("vectorised"), trajectories("reference"), strict=True)
    for mine, plain in pairs:
        assert torch.equal(mine[0], plain[0])
        assert (mine - plain).norm() < 1e-10 * plain.norm()


def test_a_pool_is_one_program_of_at_most_so_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = groups_of(monkeypatch)
    pool = [replace(POOL[0], index=index) for index in range(MOST_TOGETHER + 2)]
    told: list[tuple[str, int]] = []
    service(tmp_path, report=lambda what, done, total: told.append((what, done))).train(pool)
    names = [f"expert {expert.index}" for expert in pool]
    assert seen == [names[:MOST_TOGETHER], names[MOST_TOGETHER:]]
    assert sorted(told) == sorted((name, epoch + 1) for name in names for epoch in range(3))


def test_what_is_there_already_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service(tmp_path, strategy="reference").train(POOL[1:2])
    seen = groups_of(monkeypatch)
    first = service(tmp_path)
    first.train([*POOL, *POOL])
    assert seen == [["expert 0", "expert 2"]]
    again = service(tmp_path)
    again.train(POOL)
    assert len(seen) == 1
    assert again.seconds == pytest.approx(first.seconds, rel=1e-12)
    assert again.peak_bytes == first.peak_bytes > 0


def test_each_expert_costs_an_equal_share(tmp_path: Path) -> None:
    start = time.perf_counter()
    experts = service(tmp_path)
    experts.train(POOL)
    taken = time.perf_counter() - start
    alone = service(tmp_path)
    alone.train(POOL[:1])
    assert alone.seconds == pytest.approx(experts.seconds / len(POOL), rel=1e-9)
    assert experts.seconds < experts.waited_seconds <= taken


def test_what_another_worker_trains_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, shared = tmp_path / "elsewhere", tmp_path / "shared"
    service(elsewhere, strategy="reference").train(POOL[:1])
    (name,) = files(elsewhere)
    seen = groups_of(monkeypatch)
    worker = threading.Thread(target=service(shared).train, args=(POOL,), daemon=True)
    with exclusive(shared / name.replace(".safetensors", ".lock")):
        worker.start()
        deadline = time.monotonic() + 60
        while len(files(shared)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert worker.is_alive()
        (elsewhere / name).rename(shared / name)
    worker.join(60)
    assert not worker.is_alive()
    assert seen == [["expert 1", "expert 2"]]


def interrupt_after(epochs: int) -> Callable[[str, int, int], None]:
    def report(what: str, done: int, total: int) -> None:
        if done > epochs:
            raise Interrupted

    return report


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_pool_goes_on_where_it_was(tmp_path: Path, kind: str) -> None:
    pool, folder = KINDS[kind], tmp_path / "interrupted"
    with pytest.raises(Interrupted):
        trained(folder, pool, report=interrupt_after(1), checkpoint_seconds=0.0)
    assert files(folder) == set()
    assert len(files(folder, "partial")) == len(pool)
    told: list[int] = []
    resumed = trained(folder, pool, report=lambda _, done, total: told.append(done))
    assert told == [2] * len(pool) + [3] * len(pool)
    assert files(folder, "partial") == set()
    for ours, whole in zip(resumed, trained(tmp_path / "whole", pool), strict=True):
        assert torch.equal(ours, whole)


def test_experts_interrupted_at_different_epochs_go_on_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted):
        trained(tmp_path, POOL[1:2], report=interrupt_after(1), checkpoint_seconds=0.0)
    seen = groups_of(monkeypatch)
    ours = trained(tmp_path, POOL)
    assert seen == [["expert 0", "expert 2"], ["expert 1"]]
    plain = trained(tmp_path / "alone", POOL, strategy="reference")
    for mine, theirs in zip(ours, plain, strict=True):
        assert (mine - theirs).norm() < 1e-5 * theirs.norm()


def test_a_checkpoint_is_due_after_so_much_of_everybodys_time(tmp_path: Path) -> None:
    training = start_training(tiny_pair().train, NETWORK, RECIPE, tiny_pair().train, ("one",))
    expert = ExpertInTraining(name="", training=training, partial=tmp_path / "partial")
    expert.seconds, expert.unsaved_seconds = 1.0, 16.0
    expert.save(17.0)
    assert not expert.partial.exists()
    expert.save(16.0)
    assert load(expert.partial)["own"]["seconds"] == 1.0
    assert expert.unsaved_seconds == 0.0


def on_a_gpu(network: str = NETWORK, **changes: Any) -> str:
    """How an expert would be trained if there were one."""
    real = replace(tiny_pair().train, device=torch.device("cuda"))
    experts = Experts(folder=Path(), real=real)
    return experts._strategy(replace(POOL[0], network=network, **changes))


def test_on_a_gpu_experts_are_one_program_unless_their_network_draws() -> None:
    assert on_a_gpu() == "vectorised"
    assert on_a_gpu(sharpness=SHARPNESS) == "vectorised"
    assert on_a_gpu("vit") == "reference"


def test_on_the_cpu_long_trainings_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    experts = Experts(folder=Path(), real=tiny_pair().train)
    assert experts._strategy(POOL[0]) == "reference"
    monkeypatch.setattr("bench.evaluation.engine.COMPILING_PAYS", 1.0)
    monkeypatch.setattr("bench.evaluation.compiled.available", lambda device: True)
    assert experts._strategy(POOL[0]) == "compiled"
    assert experts._strategy(replace(POOL[0], sharpness=SHARPNESS)) == "compiled"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_experts_are_those_of_the_plain_loop_and_go_on_where_they_were(
    tmp_path: Path, kind: str
) -> None:
    pool, folder = KINDS[kind][:1], tmp_path / "interrupted"
    with pytest.raises(Interrupted):
        trained(folder, pool, "compiled", report=interrupt_after(1), checkpoint_seconds=0.0)
    (resumed,) = trained(folder, pool, "compiled")
    (whole,) = trained(tmp_path / "whole", pool, "compiled")
    (plain,) = trained(tmp_path / "plain", pool, "reference")
    assert torch.equal(resumed, whole)
    assert (whole - plain).norm() < 1e-4 * plain.norm()


def test_a_pool_that_does_not_fit_is_halved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = groups_of(monkeypatch)
    whole = Together.run_epoch

    def run_epoch(program: Any) -> Tensor:
        if len(program.losses) > 2:
            raise torch.OutOfMemoryError
        return whole(program)

    monkeypatch.setattr(Together, "run_epoch", run_epoch)
    service(tmp_path).train(replace(POOL[0], index=index) for index in range(5))
    assert [len(group) for group in seen] == [5, 3, 2, 2, 1]
    assert len(files(tmp_path)) == 5


def test_a_pool_is_divided_by_what_one_expert_is_expected_to_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = groups_of(monkeypatch)
    asked: list[Sharpness | None] = []

    def one(assignment: Any, sharpness: Sharpness | None) -> int:
        asked.append(sharpness)
        return 100

    monkeypatch.setattr(memory, "bytes_of_one", one)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 300)
    sharp = replace(POOL[0], sharpness=SHARPNESS)
    service(tmp_path).train(replace(sharp, index=index) for index in range(5))
    assert [len(group) for group in seen] == [2, 2, 1]  # beside a margin of a fifth
    assert asked == [SHARPNESS]


def test_a_pool_that_diverges_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    wild = [replace(expert, recipe=replace(RECIPE, lr=1e20)) for expert in POOL]
    with pytest.raises(Diverged, match="an expert at epoch"):
        service(tmp_path).train(wild)
    assert files(tmp_path) == set()


def test_on_the_cpu_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = groups_of(monkeypatch)
    Experts(folder=tmp_path, real=tiny_pair().train).train(POOL)
    assert seen == []
    train = tiny_pair().train
    training = start_training(train, NETWORK, RECIPE, train, ("expert", SPEC.name, NETWORK, 0))
    for _ in range(RECIPE.epochs):
        training.run_epoch()
    served = Experts(folder=tmp_path, real=train).trajectory(NETWORK, RECIPE, 0)
    assert torch.equal(served[-1], networks.flatten(training.network))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_on_a_gpu_is_the_one_that_is_trained_one_by_one_there(
    tmp_path: Path, kind: str
) -> None:
    use_full_precision()
    real, found = tiny_pair().train.to("cuda"), {}
    strategies: tuple[Choice, ...] = ("auto", "reference")
    for strategy in strategies:
        experts = Experts(folder=tmp_path / strategy, real=real, strategy=strategy)
        experts.train(KINDS[kind])
        found[strategy] = [numbers(experts, expert) for expert in KINDS[kind]]
    for mine, plain in zip(*found.values(), strict=True):
        assert (mine - plain).norm() < 1e-3 * plain.norm()
