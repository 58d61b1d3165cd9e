"""Loops that are cut short, against the same loops in full."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.profiling.forecast import forecast
from bench.profiling.ledger import DEVICE, Ledger
from bench.profiling.looks import CLOSE, GLANCE, Length, Look
from bench.profiling.rounds import ALIKE, Rounds
from tests.profiling.conftest import MakeSubject

Loop = Callable[[Tensor], int | None]
PARTS = 40
IN_FULL = Look(rounds=10**9)


def account(loop: Loop, most: int) -> tuple[float, int, int]:
    """Operators, bytes they move, and the peak of a loop over 40 parts of two and one of one."""
    ledger = Ledger()
    index = torch.arange(2 * PARTS + 1)
    with ledger, Rounds(ledger, most):
        loop(index)
    moved = sum(cost.bytes_moved * count for cost, count in ledger.work.items())
    return sum(ledger.work.values()), moved, ledger.peak_bytes


def alike(index: Tensor) -> int:
    """The same work in every round but the last."""
    images, rounds = torch.ones(81, 3, device=DEVICE), 0
    for part in index.split(2):
        (images[part.to(DEVICE)] * 2).exp()
        rounds += 1
    return rounds


def nested(index: Tensor) -> int:
    """Loops within a loop."""
    rounds = 0
    for part in index.split(2):
        torch.ones(len(part), 7, device=DEVICE).exp()
        rounds += alike(index)
    return rounds


def gathering(index: Tensor) -> int:
    """Rounds that leave something behind."""
    images = torch.ones(81, 3, device=DEVICE)
    made = [images[part.to(DEVICE)] * 2 for part in index.split(2)]
    assert len(torch.cat(made)) == len(index)
    return len(made)


def unpacked(index: Tensor) -> int:
    """Parts that are taken all at once."""
    first, *others = index.split(2)
    return len([first, *others])


def by_position(index: Tensor) -> int:
    """Parts that are looked up."""
    parts = index.split(2)
    return sum(len(parts[place]) > 0 for place in range(len(parts)))


@pytest.mark.parametrize("loop", [alike, nested, gathering, unpacked, by_position])
def test_the_account_of_a_loop_is_that_of_all_its_rounds(loop: Loop) -> None:
    assert account(loop, 10**9) == account(loop, 10)


def rounds_of(loop: Loop, most: int) -> int | None:
    ledger = Ledger()
    with ledger, Rounds(ledger, most):
        return loop(torch.arange(2 * PARTS + 1))


@pytest.mark.parametrize("most", [4, 10**9])
def test_rounds_that_are_all_alike_are_cut(most: int) -> None:
    # the first sets things up, the last may be smaller
    assert rounds_of(alike, most) == min(most, ALIKE + 1) + 1


@pytest.mark.parametrize("loop", [gathering, unpacked, by_position])
def test_a_loop_that_gathers_its_rounds_is_left_whole(loop: Loop) -> None:
    assert rounds_of(loop, 4) == PARTS + 1


def test_rounds_that_differ_count_by_their_mean() -> None:
    def differing(index: Tensor) -> None:
        for place, _ in enumerate(index.split(2)):
            torch.ones(100 * (1 + place % 2), device=DEVICE)

    whole, cut = account(differing, 10**9), account(differing, 13)
    assert cut[0] == whole[0]
    assert cut[1] == pytest.approx(whole[1], rel=0.05)


def test_classes_are_cut_as_parts_are() -> None:
    def over(labels: Iterable[int]) -> int:
        return sum(len(torch.ones(9, device=DEVICE)) == 9 for _ in labels)

    ledger = Ledger()
    with ledger, (rounds := Rounds(ledger, 4)):
        assert over(rounds.over(range(50))) == 5
    assert sum(ledger.work.values()) == 50


def test_without_a_forecast_nothing_is_cut() -> None:
    assert alike(torch.arange(2 * PARTS + 1)) == PARTS + 1


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("apm", {"segment": 1, "student_epochs": 5, "checkpoints": 1, "reuse": 1}),
        ("herding", {}),
        ("k-center", {}),
    ],
)
def test_a_close_look_is_exact_where_rounds_are_alike(
    subject: MakeSubject, method: str, changes: dict[str, Any]
) -> None:
    at = subject(method, budget=6, **changes)
    close, whole = (forecast(at, "distill", look=look) for look in (CLOSE, IN_FULL))
    assert close == whole


def test_the_smallest_segments_are_forecast_in_little_time(
    subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One segment an image: 2,500 a round in the papers' setting."""
    rounds: list[int] = []
    over = Rounds.over

    def counting(self: Rounds, items: Any) -> Any:
        taken = rounds if len(items) == 2500 else []
        taken.append(0)
        for item in over(self, items):
            taken[-1] += 1
            yield item

    monkeypatch.setattr(Rounds, "over", counting)
    at = subject("apm", tier="paper", segment=1, student_epochs=5, reuse=1)
    found = forecast(at, "distill")
    assert set(rounds) == {ALIKE + 2}
    assert sum(found.work.values()) > 2500 * 100


@pytest.mark.parametrize(
    ("method", "changes", "within"),
    [
        ("dc", {"outer_loops": 2}, 0.02),
        pytest.param("dsa", {"outer_loops": 3, "inner_epochs": 12}, 0.25, marks=pytest.mark.slow),
        ("dm", {}, 0.1),
        ("mtt", {"matching_steps": 12}, 0.1),
        pytest.param("datm", {"matching_steps": 12}, 0.1, marks=pytest.mark.slow),
        ("herding", {}, 0.02),
    ],
)
def test_a_glance_sees_what_a_close_look_sees(
    subject: MakeSubject, method: str, changes: dict[str, Any], within: float
) -> None:
    at = subject(method, budget=4, **changes)
    glance = forecast(at, "distill", look=GLANCE)
    whole = forecast(at, "distill", look=IN_FULL)
    assert glance.flops == pytest.approx(whole.flops, rel=within)
    assert glance.bytes_moved == pytest.approx(whole.bytes_moved, rel=within)
    assert glance.steps == whole.steps
    assert 0.95 * whole.peak_bytes <= glance.peak_bytes <= 1.3 * whole.peak_bytes


def test_memory_that_grows_with_a_length_is_extended_with_it(subject: MakeSubject) -> None:
    at = subject("mtt", matching_steps=20)
    look = Look(rounds=128, lengths=(Length("matching_steps", 4, 8, keeps=True),))
    extended, whole = (forecast(at, "distill", look=each) for each in (look, CLOSE))
    assert extended.peak_bytes == pytest.approx(whole.peak_bytes, rel=0.1)
    assert extended.peak_bytes > 1.5 * forecast(at.at("matching_steps", 8), "distill").peak_bytes


def test_a_look_names_a_length_in_place_of_the_rules(subject: MakeSubject) -> None:
    rules = subject("apm").rules
    assert ("student_epochs", 10, 20, False) in CLOSE.all_lengths(rules)
    assert ("student_epochs", 5, 10, False) in GLANCE.all_lengths(rules)
