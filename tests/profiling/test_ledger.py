"""The ledger against accounts that others keep of the same program."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.measure import LiveStorage
from bench.profiling.ledger import BLOCK_BYTES, DEVICE, Ledger
from bench.profiling.phases import open_phase
from tests.profiling.conftest import MakeSubject

CPU = torch.device("cpu")


def peak_by_profiler(program: Callable[[], object]) -> int:
    """The peak of all allocations, from the memory events that torch's profiler writes."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        program()
    events = profiler.profiler.kineto_results.events()
    changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    live = peak = 0
    for _, size in sorted(changes, key=lambda change: change[0]):
        live += size
        peak = max(peak, live)
    return peak


def chain(device: torch.device) -> None:
    """Forward, backward and double backward of a small network, all of it made inside."""
    images = torch.zeros(8, 3, 16, 16).to(device).requires_grad_()
    weight = torch.zeros(32, 3, 3, 3).to(device).requires_grad_()
    features = nn.functional.conv2d(images, weight, padding=1)
    features = nn.functional.group_norm(features, 32).relu()
    loss = nn.functional.avg_pool2d(features, 2).square().mean()
    (gradient,) = torch.autograd.grad(loss, weight, create_graph=True)
    torch.autograd.grad(gradient.square().sum(), images)


@pytest.mark.parametrize("method", ["mtt", "tesla", "apm", "dm"])
def test_live_storage_agrees_with_the_profilers_memory_events(
    subject: MakeSubject, method: str
) -> None:
    small = subject(method, budget=5)
    live = LiveStorage()
    with live:
        open_phase("distill", small, CPU).run()

    def program() -> None:
        open_phase("distill", small, CPU).run()

    assert live.peak_bytes == pytest.approx(peak_by_profiler(program), rel=0.02)


@pytest.mark.parametrize(("method", "changes"), [("mtt", {"batch_syn": 0}), ("dm", {})])
def test_a_device_without_data_needs_what_a_real_one_needs(
    subject: MakeSubject, method: str, changes: dict[str, int]
) -> None:
    """On the CPU draws, positions and experts are counted too: its figure is a little larger."""
    small = subject(method, budget=5, **changes)
    live, ledger = LiveStorage(), Ledger(block_bytes=1)
    with live:
        open_phase("distill", small, CPU).run()
    with ledger:
        open_phase("distill", small, DEVICE).run()
    assert ledger.peak_bytes == pytest.approx(live.peak_bytes, rel=0.03)


@given(st.lists(st.integers(0, 5000), max_size=20))
def test_allocations_are_rounded_up_to_blocks(sizes: list[int]) -> None:
    with Ledger() as ledger:
        kept = [torch.empty(size, dtype=torch.uint8, device=DEVICE) for size in sizes]
        blocks = [-(-size // BLOCK_BYTES) for size in sizes]
        assert ledger.live_bytes == BLOCK_BYTES * sum(blocks)
        del kept[::2]
        assert ledger.live_bytes == BLOCK_BYTES * sum(blocks[1::2])
    assert ledger.peak_bytes == BLOCK_BYTES * sum(blocks)


def test_what_is_remembered_has_the_shape_that_torch_infers() -> None:
    def program() -> list[Tensor]:
        images = torch.zeros(4, 3, 8, 8, device=DEVICE)
        flat = images.transpose(1, 3).contiguous().flatten(1)
        normed, mean, _ = torch.native_group_norm(images, None, None, 4, 3, 64, 3, 1e-5)
        return [flat, normed, mean, images.sum((2, 3)), images.double().mul_(2), flat.argmax(1)]

    expected = program()
    with Ledger():
        program()
        remembered = program()
    for ours, theirs in zip(remembered, expected, strict=True):
        assert (ours.shape, ours.stride(), ours.dtype) == (
            theirs.shape,
            theirs.stride(),
            theirs.dtype,
        )


def test_results_that_are_written_to_a_given_tensor_are_that_tensor() -> None:
    with Ledger() as ledger:
        first, given = (torch.empty(3, device=DEVICE) for _ in range(2))
        for _ in range(2):  # the second time from memory
            assert torch.add(first, 1, out=given) is given
        assert ledger.live_bytes == 2 * BLOCK_BYTES
        assert torch.add(first, 1, out=first) is first


def test_a_number_and_its_equal_of_another_type_are_told_apart() -> None:
    with Ledger():
        whole = torch.zeros(3, dtype=torch.int64, device=DEVICE)
        assert [(whole * factor).dtype for factor in (2, 2.0, 2)] == [
            torch.int64,
            torch.float32,
            torch.int64,
        ]


def test_views_share_and_cost_nothing() -> None:
    with Ledger() as ledger:
        whole = torch.empty(1024, device=DEVICE)
        before = sum(ledger.work.values())
        views = [whole.view(32, 32), whole[3:7], whole.view(32, 32).t(), whole.detach()]
        assert ledger.live_bytes == whole.nbytes
        assert sum(ledger.work.values()) == before
    assert len(views) == 4


def test_flops_are_those_that_torch_counts() -> None:
    with FlopCounterMode(display=False) as counter:
        chain(CPU)
    with Ledger() as ledger:
        chain(DEVICE)
    assert sum(n * cost.flops for cost, n in ledger.work.items()) == counter.get_total_flops()


def test_bytes_moved_are_those_of_operands_and_results() -> None:
    with Ledger() as ledger:
        first, second = (torch.empty(100, device=DEVICE) for _ in range(2))
        ledger.work.clear()
        first + second
    ((cost, count),) = ledger.work.items()
    assert (cost.bytes_moved, count) == (3 * 400, 1)


def test_numbers_for_the_host_are_zeros_on_the_cpu() -> None:
    with Ledger():
        moved = torch.empty(3, dtype=torch.int64, device=DEVICE).cpu()
    assert moved.tolist() == [0, 0, 0]
