"""What fits where."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.profiling import catalogue
from bench.profiling.capacity import fits, halved_until, largest, room_bytes
from bench.profiling.rules import load_rules

ALLOWANCES = load_rules("efficiency", "quick").allowances


@given(st.integers(0, 200), st.integers(1, 150))
def test_bisection_finds_the_last_that_holds(limit: int, high: int) -> None:
    tried: list[int] = []

    def holds(value: int) -> bool:
        tried.append(value)
        return value <= limit

    expected = max((n for n in range(1, high + 1) if n <= limit), default=None)
    assert largest(holds, 1, high) == expected
    assert len(tried) <= 2 + high.bit_length()


@given(st.integers(1, 10_000), st.integers(0, 10_000))
def test_halving_ends_below_the_limit_or_says_that_nothing_fits(start: int, limit: int) -> None:
    found = halved_until(lambda value: value <= limit, start)
    halves = [start >> n for n in range(1, start.bit_length())]
    assert found == next((value for value in halves if value <= limit), None)


def test_what_fits_leaves_room_for_libraries_and_context() -> None:
    device = catalogue.device("rtx4090")
    room = room_bytes(device, ALLOWANCES)
    assert fits(room, device, ALLOWANCES)
    assert not fits(room + 1, device, ALLOWANCES)
    assert room < device.memory_bytes - ALLOWANCES.context_bytes
