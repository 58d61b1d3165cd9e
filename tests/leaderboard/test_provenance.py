"""Who measured a row, and whether anybody else found the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from bench.records import Record
from leaderboard.columns import COLUMNS, PROVENANCE
from leaderboard.provenance import Provenance
from leaderboard.tables import tables

MakeSample = Callable[..., list[Record]]

REPORTED = [0.50, 0.52, 0.54]
ELSEWHERE = {"device": "CPU Otherium"}
OTHER_COMMIT = {"commit": "e" * 40}


def provenance(*measured: Sequence[Record]) -> Provenance:
    (table,) = tables([record for part in measured for record in part])
    (row,) = table.rows
    return row.provenance


def later(day: int) -> str:
    return f"2025-07-{day:02}T00:00:00Z"


def test_one_origin_reports_itself_however_often_it_ran(sample: MakeSample) -> None:
    again = sample("dm", REPORTED, time=later(1))
    assert provenance(sample("dm", REPORTED), again) == Provenance()


@pytest.mark.parametrize("change", [{"platform": "Plan 9"}, {"torch": "2.12.0"}, ELSEWHERE])
def test_another_machine_that_agrees_reproduces(sample: MakeSample, change: dict[str, str]) -> None:
    again = sample("dm", [0.505, 0.525], time=later(1), environment=change)
    assert provenance(sample("dm", REPORTED), again) == Provenance(kind="reproduced", times=1)


def test_another_commit_on_the_same_machine_merely_repeats(sample: MakeSample) -> None:
    again = sample("dm", [0.505, 0.525], time=later(1), environment=OTHER_COMMIT)
    assert provenance(sample("dm", REPORTED), again) == Provenance(kind="repeated", repeated=1)


def test_every_other_machine_counts_once_and_every_other_commit(sample: MakeSample) -> None:
    second = sample("dm", [0.50, 0.52], time=later(1), environment=ELSEWHERE)
    third = sample("dm", REPORTED, time=later(2), environment=ELSEWHERE | OTHER_COMMIT)
    fourth = sample("dm", REPORTED, time=later(3), environment=OTHER_COMMIT)
    fifth = sample("dm", REPORTED, time=later(4), environment=OTHER_COMMIT)
    found = provenance(sample("dm", REPORTED), second, third, fourth, fifth)
    assert found == Provenance(kind="reproduced", times=1, repeated=1)


@pytest.mark.parametrize("commit", ["", "e" * 40 + "-dirty"])
def test_code_of_no_commit_neither_repeats_nor_reports(sample: MakeSample, commit: str) -> None:
    unknown = ELSEWHERE | {"commit": commit}
    before = sample("dm", [0.1, 0.1, 0.1], time="2025-01-01T00:00:00Z", environment=unknown)
    again = sample("dm", REPORTED, time=later(1), environment=unknown)
    assert provenance(before, sample("dm", REPORTED), again) == Provenance()
    assert provenance(before) == Provenance()


def test_a_machine_that_disagrees_outweighs_commits_that_agree(sample: MakeSample) -> None:
    commit = sample("dm", REPORTED, time=later(1), environment=OTHER_COMMIT)
    machine = sample("dm", [0.7, 0.7], time=later(2), environment=ELSEWHERE)
    found = provenance(sample("dm", REPORTED), commit, machine)
    assert found == Provenance(kind="re-run", repeated=1)


@pytest.mark.parametrize("change", [ELSEWHERE, OTHER_COMMIT])
def test_differences_in_two_directions_do_not_cancel(
    sample: MakeSample, change: dict[str, str]
) -> None:
    repeated = sample("dm", [0.55, 0.47], time=later(1), environment=change)
    assert provenance(sample("dm", REPORTED), repeated) == Provenance(kind="re-run")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Provenance(), "self-reported"),
        (Provenance(kind="re-run"), "re-run"),
        (Provenance(kind="repeated", repeated=2), "repeated 2 × at other commits"),
        (Provenance(kind="reproduced", times=1), "reproduced 1 ×"),
        (
            Provenance(kind="reproduced", times=1, repeated=2),
            "reproduced 1 ×, repeated 2 × at other commits",
        ),
    ],
)
def test_tables_say_it_in_few_words(sample: MakeSample, source: Provenance, text: str) -> None:
    (table,) = tables(sample("dm", REPORTED))
    row = replace(table.rows[0], provenance=source)
    assert COLUMNS[PROVENANCE](row) == text


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
