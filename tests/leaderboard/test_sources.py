"""Local records count beside published ones, and never pass for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import records
from bench.records import Record
from leaderboard.reading import read
from tests.calls import call, compare

MakeSample = Callable[..., list[Record]]

RESULTS, STORE = Path("leaderboard/results"), Path("runs/records")
LATER = "2025-07-01T00:00:00Z"
UNCOMMITTED = pytest.mark.parametrize("commit", ["", "e" * 40 + "-dirty"])


def add(root: Path, made: list[Record]) -> None:
    for record in made:
        records.append(root, record)


@pytest.fixture(autouse=True)
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: MakeSample) -> None:
    """A folder with published results of two methods."""
    monkeypatch.chdir(tmp_path)
    add(RESULTS, sample("dm", [0.60, 0.62]))
    add(RESULTS, sample("random", [0.40, 0.42]))


def means() -> dict[str, float]:
    (table,) = json.loads(call("show", "--json").stdout)
    return {row["method"]: row["summary"]["mean"] for row in table["rows"]}


def test_published_results_alone_are_named() -> None:
    for result in (call("show"), call("table"), compare("dm", "random")):
        assert result.stderr == "Source: published results.\n"


def test_a_local_record_of_a_commit_replaces_an_older_one_and_is_told(sample: MakeSample) -> None:
    add(STORE, sample("dm", [0.70, 0.72], time=LATER))
    assert means()["dm"] == pytest.approx(0.71)
    said = "Sources: published results and runs: 2 local records, none of them from uncommitted"
    for result in (call("show"), call("table"), compare("dm", "random")):
        assert result.stderr.startswith(said)


@UNCOMMITTED
def test_no_record_of_uncommitted_code_replaces_a_published_one(
    sample: MakeSample, commit: str
) -> None:
    add(STORE, sample("dm", [0.70, 0.72, 0.74], time=LATER, environment={"commit": commit}))
    found = read([RESULTS], [STORE])
    assert [record.trial.evaluation_seed for record in found.local] == [2]
    assert means()["dm"] == pytest.approx((0.60 + 0.62 + 0.74) / 3)
    assert call("show").stderr == (
        "Sources: published results and runs: 1 local record, 1 of them from uncommitted code; "
        "2 more left out, as their trials are published.\n"
    )
    expected = {"published": 4, "local": 1, "uncommitted": 1, "left_out": 2}
    for shown in (call("show", "--json"), compare("dm", "random", "--json")):
        assert json.loads(shown.stdout)[0]["sources"] == expected
    assert json.loads(call("table", "--format", "json").stdout)["sources"] == expected


@UNCOMMITTED
def test_without_published_results_everything_local_counts(sample: MakeSample, commit: str) -> None:
    add(STORE, sample("dm", [0.70], environment={"commit": commit}))
    assert call("show", "--results", "none").stderr == (
        "Sources: runs: 1 local record, 1 of them from uncommitted code.\n"
    )


def test_a_copy_of_a_published_record_is_that_record(sample: MakeSample) -> None:
    add(STORE, sample("dm", [0.60, 0.62]))
    found = read([RESULTS], [STORE])
    assert (len(found.records), found.local, found.left_out) == (4, [], [])


def test_an_export_keeps_what_is_left_out(sample: MakeSample) -> None:
    import pyarrow.parquet as pq

    add(STORE, sample("dm", [0.70], time=LATER, environment={"commit": ""}))
    assert call("export", "--to", "all.parquet").stdout == "all.parquet: 5 records\n"
    *published, own = pq.read_table("all.parquet").to_pylist()
    assert (own["local"], own["counted"]) == (True, False)
    assert all(row["counted"] and not row["local"] for row in published)
