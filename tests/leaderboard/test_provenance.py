"""Who measured a row, and whether anybody else found the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bench.records import Record
from leaderboard.provenance import Provenance
from leaderboard.tables import tables

MakeSample = Callable[..., list[Record]]

REPORTED = [0.50, 0.52, 0.54]
ELSEWHERE = {"device": "CPU Otherium"}


def provenance(*measured: Sequence[Record]) -> Provenance:
    (table,) = tables([record for part in measured for record in part])
    (row,) = table.rows
    return row.provenance


def later(day: int) -> str:
    return f"2025-07-{day:02}T00:00:00Z"


def test_one_origin_reports_itself_however_often_it_ran(sample: MakeSample) -> None:
    again = sample("dm", REPORTED, time=later(1))
    assert provenance(sample("dm", REPORTED), again) == Provenance()


@pytest.mark.parametrize("change", [{"commit": "e" * 40}, {"torch": "2.12.0"}, ELSEWHERE])
def test_another_origin_that_agrees_reproduces(sample: MakeSample, change: dict[str, str]) -> None:
    again = sample("dm", [0.505, 0.525], time=later(1), environment=change)
    assert provenance(sample("dm", REPORTED), again) == Provenance(kind="reproduced", times=1)


def test_every_other_origin_counts_once(sample: MakeSample) -> None:
    second = sample("dm", [0.50, 0.52], time=later(1), environment=ELSEWHERE)
    third = sample("dm", REPORTED, time=later(2), environment={"commit": "e" * 40})
    fourth = sample("dm", REPORTED, time=later(3), environment={"commit": "e" * 40})
    found = provenance(sample("dm", REPORTED), second, third, fourth)
    assert found == Provenance(kind="reproduced", times=2)


@pytest.mark.parametrize("again", [[0.50], [0.60, 0.62]])
def test_too_little_or_something_else_is_a_mere_rerun(
    sample: MakeSample, again: list[float]
) -> None:
    repeated = sample("dm", again, time=later(1), environment=ELSEWHERE)
    assert provenance(sample("dm", REPORTED), repeated) == Provenance(kind="re-run")


@pytest.mark.parametrize(
    ("shift", "kind"), [(0.0, "reproduced"), (0.009, "reproduced"), (0.011, "re-run")]
)
def test_repetitions_share_seeds_so_their_spread_excuses_nothing(
    sample: MakeSample, shift: float, kind: str
) -> None:
    reported = [0.60, 0.70, 0.80]
    again = [value - shift for value in reported]
    repeated = sample("dm", again, time=later(1), environment=ELSEWHERE)
    assert provenance(sample("dm", reported), repeated).kind == kind


def test_a_failed_repetition_is_none(sample: MakeSample) -> None:
    failed = sample("dm", [0.5, 0.5], time=later(1), environment=ELSEWHERE, status="failed")
    assert provenance(sample("dm", REPORTED), failed) == Provenance()
