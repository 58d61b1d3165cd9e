"""Tables for other programs: pinned shapes, inert texts, nothing lost."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench import records
from bench.errors import BenchError, InvalidValue, UnknownName
from bench.records import Record
from leaderboard import formats
from leaderboard.state import state
from leaderboard.tables import tables
from tests.calls import call

MakeRecord = Callable[..., Record]
MakeSample = Callable[..., list[Record]]

DOCS = Path(__file__).parents[2] / "docs" / "ranks.md"
HOSTILE = '=cmd|"/c calc"!A1\n\\input{x} & <b> %'


def add(root: str, made: list[Record]) -> None:
    for record in made:
        records.append(Path(root), record)


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: MakeSample) -> None:
    """A folder with results of two methods, two budgets and two datasets."""
    monkeypatch.chdir(tmp_path)
    for budget in (1, 10):
        add("leaderboard/results", sample("dm", [0.60, 0.62, 0.64], budget=budget))
        add("leaderboard/results", sample("random", [0.40, 0.42, 0.44], budget=budget))
    add("leaderboard/results", sample("dm", [0.5], dataset="mnist"))


def test_json_has_its_pinned_shape() -> None:
    answer = json.loads(call("table", "--format", "json").stdout)
    assert set(answer) == {"schema", "state", "sources", "tables", "standings", "studies"}
    assert answer["schema"] == 1
    assert set(answer["state"]) == {
        "records",
        "newest",
        "record_schema",
        "protocols",
        "commits",
        "packages",
        "torch",
        "python",
        "devices",
    }
    table, *_ = answer["tables"]
    assert set(table) == {
        "protocol",
        "version",
        "protocol_hash",
        "tier",
        "track",
        "dataset",
        "checksum",
        "budget",
        "smallest_gaps",
        "warnings",
        "rows",
    }
    assert set(table["rows"][0]) == {
        "method",
        "changes",
        "parameters",
        "architecture",
        "network",
        "ceiling",
        "rank",
        "seeds",
        "values",
        "summary",
        "labels",
        "stored_bytes",
        "prepare",
        "distill",
        "evaluate",
        "mishaps",
        "provenance",
        "devices",
        "distilled_on",
        "recipe",
        "trials",
    }
    assert set(table["rows"][0]["provenance"]) == {"kind", "times", "repeated"}
    standing, *_ = answer["standings"]
    assert set(standing) == {
        "protocol",
        "version",
        "protocol_hash",
        "tier",
        "track",
        "budget_kind",
        "cells",
        "all_cells",
        "methods",
    }
    assert set(standing["methods"][0]) == {"method", "average_rank", "borda"}


def test_the_state_dates_the_board(record: MakeRecord) -> None:
    made = state(
        [
            record(time="2025-06-02T00:00:00Z"),
            record(time="2025-06-01T00:00:00Z", environment={"torch": "2.12.0"}),
        ]
    )
    assert made.newest == "2025-06-02T00:00:00Z"
    assert made.torch == ("2.11.0", "2.12.0")
    assert made.protocols == ("ipc-grid v1 quick aaaaaaaaaaaa",)


def test_csv_keeps_every_number() -> None:
    rows = list(csv.DictReader(io.StringIO(call("table", "-f", "csv").stdout)))
    assert len(rows) == 5
    dm = next(row for row in rows if (row["method"], row["budget"]) == ("dm", "10"))
    assert float(dm["mean"]) == pytest.approx(0.62)
    assert json.loads(dm["values"]) == [0.60, 0.62, 0.64]
    assert (dm["provenance"], dm["reproductions"], dm["rank"]) == ("self-reported", "0", "1")
    alone = next(row for row in rows if row["dataset"] == "mnist")
    assert (alone["interval_low"], alone["rank"]) == ("", "")


def test_csv_columns_and_json_keys_are_documented() -> None:
    documented = DOCS.read_text(encoding="utf-8")
    head = call("table", "-f", "csv").stdout.splitlines()[0]
    table = json.loads(call("table", "-f", "json").stdout)["tables"][0]
    for name in [*head.split(","), *table, *table["rows"][0]]:
        assert f"`{name}`" in documented, name


def test_hostile_strings_stay_texts(sample: MakeSample) -> None:
    made = sample("dm", [0.1, 0.2], parameters={"init": HOSTILE}, preset="quick init=x")
    hostile = [r.model_copy(update={"labels": None}) for r in made]
    found = tables([*hostile, *sample("=x", [0.1], dataset="-1+1")])
    for row in csv.DictReader(io.StringIO(formats.as_csv(found))):
        texts = (row["method"], row["dataset"], row["changes"])
        assert not any(value.startswith(("=", "+", "-", "@")) for value in texts)
    latex = formats.as_latex(found)
    assert "\\input" not in latex
    assert r"\& <b>" in latex.replace(r"\ensuremath{<}", "<").replace(r"\ensuremath{>}", ">")


def test_latex_is_one_tabular_a_table() -> None:
    text = call("table", "-f", "latex", "--dataset", "digits").stdout
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert r"62.0 $\pm$ 1.6" in text
    assert "% ipc-grid v1, quick tier, standard track: digits, ipc 10" in text


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--dataset", "mnist"], 1),
        (["--budget", "10"], 1),
        (["--budget", "ipc 1"], 2),
        (["--tier", "quick", "--track", "standard", "--protocol", "ipc-grid"], 3),
    ],
)
def test_filters_choose_tables(words: list[str], left: int) -> None:
    assert len(json.loads(call("table", "-f", "json", *words).stdout)["tables"]) == left


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--dataset", "mnits"], UnknownName),
        (["--budget", "7"], UnknownName),
        (["--budget", "many"], InvalidValue),
        (["--format", "xml"], UnknownName),
    ],
)
def test_a_filter_that_fits_nothing_is_refused(words: list[str], error: type[BenchError]) -> None:
    assert isinstance(call("table", *words).exception, error)


def test_markdown_is_the_default() -> None:
    assert call("table").stdout.startswith("# Leaderboard")


def test_parquet_holds_every_record(sample: MakeSample) -> None:
    add("leaderboard/results", sample("dm", [0.1], split="validation"))
    add("leaderboard/results", sample("dm", [0.7], time="2025-07-01T00:00:00Z"))
    assert call("export", "--to", "all.parquet").stdout == "all.parquet: 15 records\n"
    table = pq.read_table("all.parquet")
    rows = table.to_pylist()
    assert sum(row["counted"] for row in rows) == 13
    first = rows[0]
    assert (first["method"], first["metric_accuracy"], first["budget"]) == ("dm", 0.60, 1)
    assert json.loads(first["parameters"]) == {"iterations": 1000, "lr_images": 1.0}
    assert first["distill_peak_bytes"] == 2_500_000
    documented = DOCS.read_text(encoding="utf-8")
    for name in table.column_names:
        assert name.startswith("metric_") or f"`{name}`" in documented, name


def test_parquet_needs_its_ending() -> None:
    assert isinstance(call("export", "--to", "all.csv").exception, InvalidValue)


@pytest.mark.parametrize("words", [["table", "-f", "csv"], ["export", "--to", "all.parquet"]])
def test_a_broken_line_is_named_and_the_rest_is_there(words: list[str]) -> None:
    path = Path("leaderboard/results/ipc-grid-v1/quick/digits/dm.jsonl")
    path.write_text(path.read_text() + "broken\n")
    result = call(*words)
    assert result.exit_code == 1
    assert f"{path}:7 is no record" in result.stderr
    assert result.stdout


def test_another_schema_is_refused_and_another_hash_stands_apart(sample: MakeSample) -> None:
    add("leaderboard/results", sample("dc", [0.9], trial={"protocol_hash": "b" * 64}))
    add("leaderboard/results", sample("dc", [0.9], trial={"version": 2}))
    path = Path("leaderboard/results/ipc-grid-v1/quick/digits/dc.jsonl")
    line = path.read_text().splitlines()[0].replace('"schema":1', '"schema":2')
    path.write_text(path.read_text() + line + "\n")
    result = call("table", "-f", "json", "--dataset", "digits", "--budget", "1")
    assert f"{path}:2 is" in result.stderr
    found = json.loads(result.stdout)["tables"]
    assert [(entry["version"], entry["protocol_hash"][0]) for entry in found] == [
        (2, "a"),
        (1, "a"),
        (1, "b"),
    ]
    assert [len(entry["rows"]) for entry in found] == [1, 2, 1]


@pytest.mark.parametrize("name", ["table", "export"])
def test_every_help_has_an_example(name: str) -> None:
    assert "Example: " in " ".join(call(name, "--help").stdout.replace("│", " ").split())


@pytest.mark.slow
def test_ten_thousand_records_render_within_five_seconds(record: MakeRecord) -> None:
    lines: dict[Path, list[str]] = {}
    for number in range(10_000):
        made = record(
            f"m{number % 20}",
            0.3 + (number * 7919 % 1000) / 2000,
            number // 20 % 10,
            dataset=f"d{number // 200 % 10}",
            budget=1 + number // 2000,
        )
        path = records.path_of(Path("many"), made.trial, made.method.name)
        lines.setdefault(path, []).append(made.line())
    for path, members in lines.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(members))
    for words in (["build", "--output", "many.md"], ["table", "-f", "csv"]):
        start = time.process_time()
        assert call(*words, "--results", "many").exit_code == 0
        assert time.process_time() - start < 5
