"""``bench leaderboard build --site``: what it writes, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bench import records
from bench.errors import InvalidValue
from bench.records import Record
from leaderboard import command

PUBLISHED = Path("leaderboard/results")


def build(*words: str) -> Result:
    return CliRunner().invoke(command.app, ["build", "--site", "site", *words])


@pytest.fixture(autouse=True)
def checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Callable[..., list[Record]]
) -> None:
    """A folder with published results of two methods."""
    monkeypatch.chdir(tmp_path)
    for record in sample("dm", [0.60, 0.62]) + sample("random", [0.40, 0.42]):
        records.append(PUBLISHED, record)


def test_a_site_is_written_and_the_markdown_pages_are_not() -> None:
    result = build()
    assert result.exit_code == 0, result.output
    assert "site/index.html: written" in result.stdout
    assert Path("site/methods/dm.html").is_file()
    assert not Path("leaderboard/README.md").exists()


def test_with_an_output_both_are_written() -> None:
    assert build("--output", "board.md").exit_code == 0
    assert Path("board.md").is_file()
    assert Path("site/index.html").is_file()


def test_a_damaged_line_is_told_by_its_number_and_the_rest_is_rendered() -> None:
    path = next(PUBLISHED.rglob("dm.jsonl"))
    path.write_text("{broken\n" + path.read_text())
    result = build()
    assert result.exit_code == 1
    assert "dm.jsonl:1" in result.stderr
    assert "61.0 ± 1.0" in Path("site/methods/dm.html").read_text()


def test_the_footer_states_the_commit_that_is_given() -> None:
    assert build("--commit", "abcdef0123456789").exit_code == 0
    assert "abcdef012345" in Path("site/index.html").read_text()


def test_check_and_site_exclude_each_other() -> None:
    result = build("--check")
    assert isinstance(result.exception, InvalidValue)
    assert not Path("site").exists()
