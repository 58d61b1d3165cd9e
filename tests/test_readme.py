"""Commands in the README run: every ``console`` block is executed in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SKIP = ("pip", "tox", "git")
"""Installing is what the continuous integration does before it comes here."""


def commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line[:2] == "$ "]
    return [line for line in lines if shlex.split(line)[0] not in SKIP]


def scripts() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_readme_opens_with_the_commands_that_newcomers_need() -> None:
    assert "pip install . && bench run --protocol ipc-grid" in README
    assert "pip install tox && tox" in README


def test_commands_run_one_after_the_other(tmp_path: Path) -> None:
    bin_folder = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": bin_folder + os.pathsep + os.environ["PATH"]}
    environment |= {"BENCH_CACHE": str(tmp_path / "cache"), "COLUMNS": "120"}
    environment.pop("BENCH_DATA", None)
    assert commands(), "the README shows no session"
    for line in commands():
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("script", scripts())
def test_python_runs(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    exec(compile(script, "README.md", "exec"), {"__name__": "__main__"})
