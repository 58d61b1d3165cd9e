"""The workflow for contributions lets nothing through but new lines in plain files of results."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

WORKFLOW = Path(__file__).parents[2] / ".github" / "workflows" / "submission.yml"
RESULTS = "leaderboard/results/ipc-grid-v1/quick/digits"
STEPS = (
    "Only results and the pages made of them are contributed",
    "Published lines are never changed",
)


def script(step: str) -> str:
    """What a step runs."""
    _, _, rest = WORKFLOW.read_text().partition(f"- name: {step}\n")
    _, _, rest = rest.partition("run: |\n")
    return dedent(rest.partition("\n\n")[0])


def git(*words: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    command = ["git", *who, *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit() -> str:
    git("add", "--all")
    git("commit", "--quiet", "--message", "x")
    return git("rev-parse", "HEAD")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A checkout with published results; the commit."""
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    Path(RESULTS).mkdir(parents=True)
    Path("leaderboard/profiles").mkdir()
    files = ("leaderboard/code.py", "leaderboard/profiles/mtt.jsonl", "README.md", "thesis.jsonl")
    for name in (f"{RESULTS}/dm.jsonl", *files):
        Path(name).write_text("one\ntwo\n")
    return commit()


def refused(base: str) -> str:
    """What the steps say against the present commit."""
    said = ""
    for step in STEPS:
        environment = os.environ | {"BASE": base}
        run = subprocess.run(
            ["bash", "-e", "-c", script(step)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert (run.returncode != 0) == bool(run.stdout), run
        said += run.stdout
    return said


def test_new_lines_and_files_and_pages_pass(base: str) -> None:
    with Path(RESULTS, "dm.jsonl").open("a") as stream:
        stream.write("three\n")
    Path(RESULTS, "dc.jsonl").write_text("one\n")
    Path("leaderboard/profiles/dm.jsonl").write_text("one\n")
    Path("README.md").write_text("other\n")
    commit()
    assert refused(base) == ""


def link() -> None:
    Path(RESULTS, "dc.jsonl").symlink_to("/etc/passwd")


def edit() -> None:
    Path(RESULTS, "dm.jsonl").write_text("one\n2\n")


def edit_a_profile() -> None:
    Path("leaderboard/profiles/mtt.jsonl").write_text("2\n")


def rename() -> None:
    Path(RESULTS, "dm.jsonl").rename(Path(RESULTS, "dc.jsonl"))


def bring_in() -> None:
    Path("thesis.jsonl").rename(Path(RESULTS, "dc.jsonl"))


def remove() -> None:
    Path(RESULTS, "dm.jsonl").unlink()


def make_executable() -> None:
    Path(RESULTS, "dm.jsonl").chmod(0o755)


def change_code() -> None:
    Path("leaderboard/code.py").write_text("other\n")


def hide_in_an_odd_name() -> None:
    Path("leaderboard", 'é "results".py').write_text("x\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (link, "mode 120000"),
        (edit, "changes or removes published lines"),
        (edit_a_profile, "changes or removes published lines"),
        (rename, "dm.jsonl is removed"),
        (bring_in, "thesis.jsonl is no result"),
        (remove, "dm.jsonl is removed"),
        (make_executable, "mode 100755"),
        (change_code, "leaderboard/code.py is no result"),
        (hide_in_an_odd_name, "is no result"),
    ],
)
def test_everything_else_is_refused(base: str, change: Callable[[], None], words: str) -> None:
    change()
    commit()
    assert words in refused(base)
