"""What ``docs/json.md`` promises is what the commands print."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bench import records
from bench.planning import load_rules, rules_hash
from bench.profiling.records import append
from bench.records import Record
from leaderboard import command, exporting, submitting
from leaderboard.rerun import Repetition
from leaderboard.submitting import _data
from tests.leaderboard.profiles import forecast
from tests.leaderboard.shapes import SHAPES, misfits
from tests.test_json_page import HERE

Sample = Callable[..., list[Record]]
FILE = "runs/records/ipc-grid-v1/quick/digits/dm.jsonl"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Sample) -> None:
    """A store with two methods, one of them profiled."""
    monkeypatch.chdir(tmp_path)
    for record in [*sample("dm", [0.5, 0.6, 0.55]), *sample("random", [0.2, 0.3, 0.25])]:
        records.append(Path("runs/records"), record)
    append(Path("runs"), forecast())


def printed(call: Callable[..., Any], *words: str) -> Any:
    app = typer.Typer()
    app.command()(call)
    return json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)


def test_compare() -> None:
    found = printed(command.compare, "dm", "random")
    assert found
    assert misfits("compare", found) == []


def test_submit(sample: Sample) -> None:
    found = printed(submitting.submit, FILE)
    assert found["faults"]  # the rules are made up
    assert found["rerun"] is None
    assert isinstance(found["remarks"], list)
    stated, measured = sample("dm", [0.5, 0.6])
    again = _data(Repetition(stated=stated, measured=measured))
    assert misfits("submit", found | {"rerun": again}) == []


def test_publish() -> None:
    found = printed(command.publish)
    assert found["refused"]
    assert found["profiles"]["published"] == 1
    assert misfits("publish", found) == []


def test_table(sample: Sample) -> None:
    """With a protocol's own tables: of the installed rules, no others may speak."""
    rules = load_rules("aug-robust", "quick")
    where = {"protocol": "aug-robust", "protocol_hash": rules_hash(rules)}
    for record in sample("dm", [0.5, 0.6], trial=where):
        records.append(Path("runs/records"), record)
    app = typer.Typer()
    app.command()(exporting.table)
    found = json.loads(CliRunner().invoke(app, ["--format", "json"]).stdout)
    assert all(found[part] for part in ("tables", "standings", "studies"))
    assert misfits("table", found) == []
    chosen = CliRunner().invoke(app, ["--format", "json", "--protocol", "ipc-grid"])
    assert json.loads(chosen.stdout)["studies"] == []
    app = typer.Typer()
    app.command()(command.show)
    shown = " ".join(CliRunner().invoke(app, []).stdout.split())
    for study in found["studies"]:
        assert study["title"] in shown
        assert all(note in shown for note in study["notes"])


def test_profile(bench: Any) -> None:
    asked = ["--method", "dm", "--forecast", "t4", "--tier", "quick", "--phase", "distill"]
    code, out, _ = bench("profile", *asked, "--largest", "budget=2", "--json")
    found = json.loads(out)
    assert (code, len(found["rows"]), len(found["largest"])) == (0, 1, 1)
    assert misfits("profile", found) == []


def test_every_command_of_the_page_is_held_against_it() -> None:
    """``check`` and ``coverage`` have tests of their own; running and listing are in others."""
    here = {"check", "compare", "coverage", "profile", "publish", "submit", "table"}
    assert set(SHAPES) == here | HERE


@pytest.mark.parametrize(
    "value",
    [
        {"passed": 1, "verdicts": []},
        {"passed": True},
        {"passed": True, "verdicts": [], "more": 0},
        {"passed": True, "verdicts": [{"cell": "a"}]},
    ],
)
def test_another_shape_is_noticed(value: Any) -> None:
    assert misfits("check", value)
