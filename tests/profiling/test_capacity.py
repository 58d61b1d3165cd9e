"""What fits where."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from bench.profiling import catalogue
from bench.profiling.capacity import fits, halved_until, largest, room_bytes
from bench.profiling.rules import load_rules

ALLOWANCES = load_rules("efficiency", "quick").allowances


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=150), st.integers(0, 10_000))
def test_the_search_finds_the_last_with_room_however_peaks_grow(
    growth: list[int], room: int
) -> None:
    peaks = dict(enumerate(accumulate(growth), 1))
    tried: list[int] = []

    def peak(value: int) -> int:
        tried.append(value)
        return peaks[value]

    expected = max((n for n, found in peaks.items() if found <= room), default=None)
    assert largest(peak, room, 1, len(peaks)) == expected
    assert len(tried) <= 6 + 2 * len(peaks).bit_length()


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(0, 10**12), st.integers(2, 10**6))
def test_on_a_straight_line_few_tries_are_enough(
    first: int, slope: int, room: int, high: int
) -> None:
    tried: list[int] = []

    def peak(value: int) -> int:
        tried.append(value)
        return first + slope * value

    found = largest(peak, room, 1, high)
    assert found == (min(high, (room - first) // slope) if room >= first + slope else None)
    assert len(tried) <= 5
    assert found in (None, high) or {found, found + 1} <= set(tried)


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
