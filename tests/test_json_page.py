"""What ``docs/json.md`` promises of running, scoring and listing is what the commands print."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench.demand import Demand, Peak
from tests.leaderboard.shapes import misfits

Bench = Callable[..., tuple[int, str, str]]
TINY = ("--dataset", "tiny", "--network", "convnet-d1-w8", "--epochs", "2", "--device", "cpu")

HERE = {  # with those in tests/leaderboard: every block of the page
    "data_status",
    "dry_run",
    "equivalence",
    "evaluate",
    "forecast",
    "list_datasets",
    "list_devices",
    "list_methods",
    "list_networks",
    "list_protocols",
    "run",
}


def printed(bench: Bench, *words: str) -> Any:
    return json.loads(bench(*words, "--json")[1])


@pytest.mark.usefixtures("registered")
def test_run_and_evaluate(bench: Bench, tmp_path: Path) -> None:
    asked = ["run", "-p", "tiny-grid", "-m", "random,diverges", "--jobs", "1", "--device", "cpu"]
    planned = printed(bench, *asked, "--dry-run")
    assert planned["rows"]
    assert misfits("dry_run", planned) == []
    found = printed(bench, *asked)
    assert found["mishaps"]
    assert misfits("run", found) == []
    (file, *_) = (tmp_path / "runs" / "artifacts").iterdir()
    for seeds in ("1", "2"):
        scored = printed(bench, "evaluate", str(file), *TINY, "--seeds", seeds)
        assert scored["notes"]
        assert misfits("evaluate", scored) == []


def test_run_with_tables_of_its_protocol(bench: Bench) -> None:
    tiny = ["run", "-p", "ablation", "--seeds", "1", "--sweep", "dm.iterations=1,2"]
    found = printed(bench, *tiny, "--track", "standard", "--jobs", "1")
    assert found["studies"][0]["rows"]
    assert misfits("run", found) == []


def test_forecast_of_the_paper_tier() -> None:
    peak = Peak(bytes=1, phase="distill", method="dm", dataset="tiny", budget="1", network="mlp")
    demand = Demand(
        seconds={"t4": {"distil": 1.5}},
        too_large={"t4": 1},
        peak=peak,
        disk_bytes={"records": 3},
        pieces=2,
        unknown=0,
    )
    assert misfits("forecast", asdict(demand)) == []


@pytest.mark.usefixtures("registered")
def test_equivalence(bench: Bench) -> None:
    found = printed(bench, "equivalence", *TINY, "--ipc", "1")
    assert len(found["reference"]) == 20
    assert misfits("equivalence", found) == []


@pytest.mark.parametrize("kind", ["datasets", "devices", "methods", "networks", "protocols"])
def test_list(bench: Bench, kind: str) -> None:
    found = printed(bench, "list", kind)
    assert (found["kind"], bool(found["rows"])) == (kind, True)
    assert misfits(f"list_{kind}", found) == []


def test_data_status(bench: Bench) -> None:
    found = printed(bench, "data", "status")
    assert {one["present"] for one in found["datasets"]} == {True, False}
    assert misfits("data_status", found) == []
