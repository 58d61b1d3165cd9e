"""Commands and scripts of the README and of every documentation page run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
SKIP = ("pip", "tox", "git")
"""Installing is what the continuous integration does before it comes here."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    asked = [line[2:] for line in lines if line[:2] == "$ "]
    return [line for line in asked if shlex.split(line)[0] not in SKIP]


def scripts() -> Iterator[object]:
    for page in PAGES:
        for number, script in enumerate(blocks(page, "python")):
            yield pytest.param(script, id=f"{page.relative_to(ROOT)}-{number}")


def test_readme_opens_with_the_commands_that_newcomers_need() -> None:
    text = README.read_text(encoding="utf-8")
    assert "pip install . && bench run --protocol ipc-grid" in text
    assert "pip install tox && tox" in text
    assert commands(README), "the README shows no session"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if commands(page)], ids=lambda page: page.name
)
def test_commands_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    bin_folder = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": bin_folder + os.pathsep + os.environ["PATH"]}
    environment |= {"BENCH_CACHE": str(tmp_path / "cache"), "COLUMNS": "120"}
    environment.pop("BENCH_DATA", None)
    for line in commands(page):
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("script", list(scripts()))
def test_python_runs(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    exec(compile(script, "a page", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
