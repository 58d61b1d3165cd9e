"""The commands: what they print, write and return."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from typer.testing import Result

from bench import records
from bench.errors import BenchError, MissingData, UnknownName
from bench.records import Record
from leaderboard import command
from leaderboard.pages import BEGIN, END
from tests.calls import call, compare
from tests.records import correct_of

MakeSample = Callable[..., list[Record]]

PAGE = Path("leaderboard/README.md")


def add(root: str | Path, made: list[Record]) -> None:
    for record in made:
        records.append(Path(root), record, correct_of(record))


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: MakeSample) -> Path:
    """A folder with published results of two methods and a readme with a block."""
    monkeypatch.chdir(tmp_path)
    add("leaderboard/results", sample("dm", [0.60, 0.62, 0.64]))
    add("leaderboard/results", sample("random", [0.40, 0.42, 0.44]))
    Path("README.md").write_text(f"top\n{BEGIN}\n{END}\nbottom\n")
    return tmp_path


def test_build_writes_the_page_and_the_block() -> None:
    result = call("build")
    assert result.exit_code == 0
    assert "1 tables of 6 records" in result.stdout
    assert "62.0 ± 1.6" in PAGE.read_text()
    assert "62.0 ± 1.6" in Path("README.md").read_text()


def test_check_accepts_what_build_wrote_and_writes_nothing() -> None:
    assert call("build").exit_code == 0
    written = PAGE.stat().st_mtime_ns
    assert call("build", "--check").exit_code == 0
    assert call("build").exit_code == 0
    assert PAGE.stat().st_mtime_ns == written


@pytest.mark.parametrize("name", ["leaderboard/README.md", "README.md"])
def test_check_tells_which_page_is_stale(name: str) -> None:
    call("build")
    page = Path(name)
    page.write_text(page.read_text().replace("62.0", "99.9"))
    result = call("build", "--check")
    assert result.exit_code == 1
    assert f"{name}: stale" in result.stdout.splitlines()
    assert "99.9" in page.read_text()


def test_a_new_record_makes_the_pages_stale(sample: MakeSample) -> None:
    call("build")
    add("leaderboard/results", sample("dc", [0.5]))
    assert call("build", "--check").exit_code == 1


def test_another_output_leaves_the_readme_alone_unless_named() -> None:
    before = Path("README.md").read_text()
    call("build", "--output", "board.md")
    assert "62.0 ± 1.6" in Path("board.md").read_text()
    assert Path("README.md").read_text() == before
    call("build", "--output", "board.md", "--readme", "README.md")
    assert "(board.md)" in Path("README.md").read_text()


def test_a_broken_line_is_named_and_everything_else_rendered() -> None:
    path = Path("leaderboard/results/ipc-grid-v1/quick/digits/dm.jsonl")
    path.write_text("broken\n" + path.read_text())
    result = call("build")
    assert result.exit_code == 1
    assert f"{path}:1 is no record" in result.stderr
    assert "62.0 ± 1.6" in PAGE.read_text()


def test_stores_count_beside_the_results(sample: MakeSample) -> None:
    add("runs/records", sample("dc", [0.7, 0.8]))
    call("build", "--store", "runs")
    assert "75.0 ± 5.0" in PAGE.read_text()


def test_a_method_that_is_not_installed_has_its_row_all_the_same(sample: MakeSample) -> None:
    add("leaderboard/results", sample("towards-the-mean", [0.7, 0.8]))
    assert call("build", "--site", "board").exit_code == 0
    assert call("build").exit_code == 0
    for page in (PAGE, Path("board/index.html")):
        assert "towards-the-mean" in page.read_text()


def test_build_prints_data() -> None:
    (table,) = json.loads(call("build", "--json").stdout)
    assert [row["method"] for row in table["rows"]] == ["dm", "random"]


def test_show_prints_tables_and_data() -> None:
    assert "quick tier" in call("show").stdout
    (table,) = json.loads(call("show", "--dataset", "digits", "--json").stdout)
    assert table["dataset"] == "digits"


def test_own_runs_count_by_default_where_nothing_is_written(sample: MakeSample) -> None:
    add("runs/records", sample("dc", [0.7, 0.8]))
    (table,) = json.loads(call("show", "--json").stdout)
    assert [row["method"] for row in table["rows"]] == ["dc", "dm", "random"]
    assert compare("dc", "dm").exit_code == 0
    call("build")
    assert "75.0 ± 5.0" not in PAGE.read_text()


def test_show_suggests_a_dataset() -> None:
    assert isinstance(call("show", "--dataset", "digit").exception, UnknownName)


@pytest.mark.parametrize("words", [["--results", "nowhere"], ["--store", "nowhere"]])
def test_no_records_at_all_are_missing_data(words: list[str]) -> None:
    for name in ("build", "show"):
        assert isinstance(call(name, *words).exception, MissingData)


def test_publish_reports_what_it_did(sample: MakeSample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "installed_hash", lambda name, version, tier: "a" * 64)
    add("runs/records", sample("dc", [0.7]))
    add("runs/records", sample("herding", [0.8], trial={"protocol_hash": "b" * 64}))
    result = call("publish")
    assert result.exit_code == 1
    assert "1 published, 0 there already, 0 not for publication, 1 refused" in result.stdout
    assert "other rules than ipc-grid v1 (quick)" in result.stderr
    again = call("publish", "--json")
    assert json.loads(again.stdout)["present"] == 1


def test_publish_from_an_empty_store_is_missing_data() -> None:
    assert isinstance(call("publish", "--store", "nowhere").exception, MissingData)


def test_schema_prints_the_published_schema() -> None:
    published = Path(__file__).parents[2] / "leaderboard" / "record.schema.json"
    assert call("schema").stdout == published.read_text(encoding="utf-8")


def test_compare_prints_a_verdict() -> None:
    result = compare("dm", "random")
    assert result.exit_code == 0
    (cell,) = json.loads(compare("dm", "random", "--json").stdout)
    assert cell["verdict"] == "dm is better than random by 20.0 points."


def test_compare_refuses_a_method_without_records() -> None:
    assert isinstance(compare("dm", "rando").exception, BenchError)


def test_compare_refuses_one_method_before_it_reads_anything() -> None:
    error = compare("dm", "dm", "--results", "nowhere").exception
    assert "'dm' cannot be compared with itself" in str(error)


def test_a_choice_of_tables_narrows_the_family(sample: MakeSample) -> None:
    for budget in (10, 50):
        add("leaderboard/results", sample("dm", [0.70, 0.72], budget=budget))
        add("leaderboard/results", sample("random", [0.71, 0.70], budget=budget))
    assert {cell["family"] for cell in json.loads(compare("dm", "random", "--json").stdout)} == {3}
    (cell,) = json.loads(compare("dm", "random", "--budget", "10", "--json").stdout)
    assert (cell["budget"]["count"], cell["family"], cell["adjusted_p"]) == (10, 1, cell["p"])
    assert "a family of 1" in compare("dm", "random", "--budget", "10").stdout


CHOOSING = pytest.mark.parametrize(
    "call", [partial(call, "show"), partial(compare, "dm", "random")]
)


@CHOOSING
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tier", "huge"], "No tier named 'huge'"),
        (["--track", "fast"], "No track named 'fast'"),
        (["--budget", "many"], "many"),
    ],
)
def test_what_can_be_refused_at_once_is_refused_before_reading(
    call: Callable[..., Result], words: list[str], sentence: str
) -> None:
    error = call(*words, "--results", "nowhere").exception
    assert isinstance(error, BenchError)
    assert not isinstance(error, MissingData)
    assert sentence in str(error)


@CHOOSING
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--tier", "paper"], "No tier with records named 'paper'. Known: quick."),
        (["--dataset", "digit"], "Did you mean 'digits'?"),
        (["--budget", "10"], "No budget with records named 'ipc 10'."),
    ],
)
def test_no_table_is_made_for_a_choice_that_holds_none(
    call: Callable[..., Result],
    words: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("leaderboard.tables.rows", None)
    assert sentence in str(call(*words).exception)


@CHOOSING
def test_a_pipe_is_no_narrow_terminal(
    call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    printed = call().stdout
    assert 80 < max(map(len, printed.splitlines())) <= 160


@pytest.mark.parametrize("name", ["build", "show", "publish", "schema"])
def test_every_help_has_an_example(name: str) -> None:
    assert "Example: " in " ".join(call(name, "--help").stdout.replace("│", " ").split())


def test_importing_the_command_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "scipy", "pydantic", "rich.console", "tabulate")
    code = (
        "import sys, typer; before = set(sys.modules); import leaderboard.command; "
        f"new = set(sys.modules) - before; print([m for m in {heavy!r} if m in new])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
