"""How many students are trained together, planned and halved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.data import SyntheticSource
from bench.evaluation import Assignment, evaluate, memory, start_training, vectorised
from bench.evaluation.memory import bytes_of_one, free_bytes, group_size, in_groups
from bench.evaluation.vectorised import Together
from bench.measure import LiveStorage
from bench.recipes import Recipe
from bench.sharpness import Sharpness
from tests.evaluation.students import CPU, DISTILLED, PLAIN, assignment, hard_set, soft_set, trained
from tests.fakes import NETWORK, tiny_pair

DSA = replace(PLAIN, augmentation="dsa")


def room_for(most: int, asked: list[list[int]]) -> Any:
    def work(seeds: Sequence[int]) -> list[int]:
        asked.append(list(seeds))
        if len(seeds) > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return [10 * seed for seed in seeds]

    return work


@pytest.mark.parametrize(
    ("most", "groups"),
    [
        (5, [[0, 1, 2, 3, 4]]),
        (3, [[0, 1, 2, 3, 4], [0, 1, 2], [3, 4]]),
        (1, [[0, 1, 2, 3, 4], [0, 1, 2], [0, 1], [0], [1], [2], [3], [4]]),
    ],
)
def test_a_group_that_does_not_fit_is_halved(most: int, groups: list[list[int]]) -> None:
    asked: list[list[int]] = []
    assert in_groups(room_for(most, asked), range(5), 5) == [0, 10, 20, 30, 40]
    assert asked == groups


def test_one_student_that_does_not_fit_is_out_of_memory() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        in_groups(room_for(0, []), range(2), 2)


def accuracies(asked: Sequence[int] = range(5)) -> list[bytes]:
    found = evaluate(hard_set(), NETWORK, DSA, tiny_pair().test, asked, strategy="vectorised")
    return [one.correct for one in found]


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the groups that are trained together."""
    sizes: list[int] = []
    train = vectorised.train_all

    def noted(candidates: Any, students: Any, *rest: Any) -> Any:
        sizes.append(len(students))
        return train(candidates, students, *rest)

    monkeypatch.setattr(vectorised, "train_all", noted)
    return sizes


def capacity(monkeypatch: pytest.MonkeyPatch, students: float) -> None:
    """Memory for so many students of the tiny dataset, beside the margin."""
    one = bytes_of_one(assignment(DSA))
    free = int(students * one / (1 - memory.MARGIN))
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)


@pytest.mark.parametrize(
    ("room", "expected"),
    [(50, [5]), (5.1, [5]), (4.9, [3, 2]), (2.1, [2, 2, 1]), (1.1, [1] * 5), (0.1, [1] * 5)],
)
def test_groups_are_as_large_as_the_forecast_says_and_equal(
    monkeypatch: pytest.MonkeyPatch, groups: list[int], room: float, expected: list[int]
) -> None:
    together = accuracies()
    groups.clear()
    capacity(monkeypatch, room)
    assert accuracies() == together  # and in the order of the seeds
    assert groups == expected


def test_students_keep_their_order_in_groups() -> None:
    asked: list[list[int]] = []
    assert in_groups(room_for(9, asked), [3, 1, 4, 1, 5], 2) == [30, 10, 40, 10, 50]
    assert asked == [[3, 1], [4, 1], [5]]
    assert in_groups(room_for(9, asked), [], 2) == []


def test_a_forecast_that_was_too_small_is_made_up_for_by_halving(
    monkeypatch: pytest.MonkeyPatch, groups: list[int]
) -> None:
    together, train = accuracies(), vectorised.train_all

    def short(candidates: Any, students: Any, *rest: Any) -> Any:
        if len(students) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return train(candidates, students, *rest)

    capacity(monkeypatch, 4.9)
    monkeypatch.setattr(vectorised, "train_all", short)
    groups.clear()
    assert accuracies() == together
    assert groups == [1] * 5


@pytest.mark.parametrize(
    ("recipe", "source", "network"),
    [
        (PLAIN, hard_set(), NETWORK),
        (DSA, soft_set(), NETWORK),
        (replace(PLAIN, distillation=DISTILLED), hard_set(), NETWORK),
        (replace(PLAIN, mixing="cutmix"), hard_set(), f"{NETWORK}-bn"),
    ],
    ids=["plain", "soft", "teacher", "cutmix"],
)
def test_the_forecast_is_near_what_one_student_more_takes(
    recipe: Recipe, source: SyntheticSource, network: str
) -> None:
    given, peaks = assignment(replace(recipe, epochs=3), source, network), []
    for students in (2, 6):
        live = LiveStorage()
        with live:
            trained(vectorised.train_all, given, range(students))
        peaks.append(live.peak_bytes)
    one = (peaks[1] - peaks[0]) / 4
    # the ledger counts blocks of 512 bytes, and these networks are small
    assert 0.8 * one < bytes_of_one(given) < 1.6 * one


@pytest.mark.parametrize("sharpness", [None, Sharpness(rho=0.05, alpha=1.0)])
def test_the_forecast_is_near_what_one_expert_more_takes(sharpness: Sharpness | None) -> None:
    given = assignment(DSA, tiny_pair().train)
    peaks = [peak_of_experts(given, sharpness, count) for count in (2, 6)]
    one = (peaks[1] - peaks[0]) / 4
    assert 0.8 * one < bytes_of_one(given, sharpness) < 1.6 * one


def peak_of_experts(given: Assignment, sharpness: Sharpness | None, count: int) -> int:
    live = LiveStorage()
    with live:
        trainings = [
            start_training(given.source, NETWORK, given.recipe, given.test, ("memory", index))
            for index in range(count)
        ]
        for training in trainings:
            training.sharpness = sharpness
        together = Together(trainings)
        for _ in range(3):
            together.run_epoch()
    return live.peak_bytes


def test_a_forecast_is_made_once_for_all_that_are_alike() -> None:
    memory._step_bytes.cache_clear()
    for epochs, rate in ((7, 0.1), (9, 0.2), (7, 0.3)):
        bytes_of_one(assignment(replace(PLAIN, epochs=epochs, lr=rate)))
    assert memory._step_bytes.cache_info().misses == 1
    bytes_of_one(assignment(replace(PLAIN, batch=2)))
    assert memory._step_bytes.cache_info().misses == 2


def test_without_a_forecast_all_are_tried_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(given: Any, sharpness: Any) -> int:
        raise NotImplementedError("values of a meta tensor")

    monkeypatch.setattr(memory, "bytes_of_one", refuses)
    assert group_size(assignment(), 7) == 7


def test_a_forecast_leaves_global_randomness_alone() -> None:
    before = torch.get_rng_state()
    memory._step_bytes.cache_clear()
    bytes_of_one(assignment(DSA))
    assert torch.equal(torch.get_rng_state(), before)


def test_this_machine_has_memory_free() -> None:
    assert free_bytes(CPU) > 2**20
