"""Peak memory as an independent account of the same program gives it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.evaluation import start_training
from bench.measure import LiveStorage, Peak, calibrate, flops_per_second
from bench.recipes import Recipe
from tests.fakes import NETWORK, tiny_pair

CPU = torch.device("cpu")
FLOAT = 4


def peak_of(program: Callable[[], object]) -> int:
    live = LiveStorage()
    with live:
        program()
    return live.peak_bytes


class Account:
    """Bytes by hand: what is created, what shares, what is dropped."""

    def __init__(self) -> None:
        self.tensors: list[tuple[Tensor, int]] = []  # with the number of its storage
        self.sizes: dict[int, int] = {}
        self.peak = 0

    def live(self) -> int:
        return sum(self.sizes[number] for number in {number for _, number in self.tensors})

    def note(self) -> None:
        self.peak = max(self.peak, self.live())

    def act(self, action: str, number: int) -> None:
        if action == "create":
            self.sizes[len(self.sizes)] = FLOAT * number
            self.tensors.append((torch.ones(number), len(self.sizes) - 1))
        elif self.tensors:
            tensor, storage = self.tensors[number % len(self.tensors)]
            if action == "view":
                self.tensors.append((tensor.view(-1)[::2], storage))
            elif action == "in place":
                tensor.add_(1).mul_(2)
            else:
                del tensor
                del self.tensors[number % len(self.tensors)]
        self.note()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["create", "create", "view", "in place", "drop", "drop"]),
            st.integers(1, 50),
        ),
        max_size=30,
    )
)
def test_any_program_of_creating_viewing_changing_and_dropping(
    program: list[tuple[str, int]],
) -> None:
    account = Account()
    with LiveStorage() as live:
        for action, number in program:
            account.act(action, number)
            assert live.live_bytes == account.live()
    assert live.peak_bytes == account.peak


def test_addresses_used_again_are_counted_again() -> None:
    def program() -> int:
        addresses = set()
        for _ in range(200):
            addresses.add(torch.ones(64).untyped_storage()._cdata)
        return len(addresses)

    with LiveStorage() as live:
        assert program() < 200
        assert live.live_bytes == 0
        kept = [torch.ones(64) for _ in range(10)]
        assert live.live_bytes == 10 * 64 * FLOAT
    assert len(kept) == 10


def test_a_storage_lives_as_long_as_any_view_of_it() -> None:
    with LiveStorage() as live:
        whole = torch.ones(100)
        row = whole.view(10, 10)[3]
        del whole
        assert live.live_bytes == 100 * FLOAT
        del row
        assert live.live_bytes == 0


def test_what_existed_before_counts_from_its_first_use() -> None:
    before = torch.ones(100)
    with LiveStorage() as live:
        assert live.live_bytes == 0
        before.sum()
        assert live.live_bytes == 100 * FLOAT


def test_backward_keeps_what_the_graph_saves() -> None:
    """exp(2x).sum(): forward x, 2x, exp; backward x, exp, two gradients as they come and go."""
    n = 1000
    x = torch.ones(n, requires_grad=True)
    with LiveStorage() as live:
        loss = (x * 2).exp().sum()
        assert live.live_bytes == 2 * n * FLOAT + FLOAT  # x, exp, the sum
        loss.backward()
        assert live.live_bytes == 2 * n * FLOAT + FLOAT  # x, its gradient, the sum
    # x, exp and the gradient of 2x, beside the sum and the gradient 1 it starts from
    assert live.peak_bytes == 3 * n * FLOAT + 2 * FLOAT


def test_no_grad_needs_no_memory_for_the_graph() -> None:
    x = torch.ones(1000, requires_grad=True)

    def chain() -> Tensor:
        y = x
        for _ in range(10):
            y = y.sin()
        return y

    assert peak_of(torch.no_grad()(chain)) == 3 * 1000 * FLOAT
    assert peak_of(chain) == 11 * 1000 * FLOAT


def test_the_peak_repeats_exactly() -> None:
    def epoch() -> None:
        recipe = Recipe(epochs=1, batch=8)
        train = tiny_pair().train
        start_training(train, NETWORK, recipe, train, ("peak", 0)).run_epoch()

    first = peak_of(epoch)
    assert first == peak_of(epoch) > 0


def test_paused_work_has_its_own_account() -> None:
    with LiveStorage() as live:
        with LiveStorage.paused():
            with LiveStorage() as inner:
                torch.ones(1000)
            torch.ones(500)
        torch.ones(10)
    assert inner.peak_bytes == 1000 * FLOAT
    assert live.peak_bytes == 10 * FLOAT


def test_a_phase_is_counted_during_its_first_step() -> None:
    peak = Peak(CPU)
    for size in (10, 1000):
        with peak.sample():
            torch.ones(size)
    assert peak.bytes == 10 * FLOAT


def test_a_resumed_phase_keeps_the_peak_it_had() -> None:
    peak = Peak(CPU, known_bytes=123)
    with peak.sample():
        torch.ones(1000)
    assert peak.bytes == 123


def test_a_step_that_fails_ends_the_count() -> None:
    peak = Peak(CPU)
    with pytest.raises(RuntimeError, match="in the step"), peak.sample():
        raise RuntimeError("in the step")
    with LiveStorage() as live:
        torch.ones(10)
    assert live.peak_bytes == 10 * FLOAT


def test_the_calibration_kernel_takes_a_plausible_time() -> None:
    seconds = calibrate(CPU, repeats=1)
    assert 0 < seconds < 10
    assert 1e7 < flops_per_second(CPU) < 1e15
