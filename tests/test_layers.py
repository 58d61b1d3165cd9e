"""The arrows of the house run one way: methods → bench ← protocols, leaderboard → bench."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ("bench", "methods", "protocols", "leaderboard")
ALLOWED = {
    "bench": {"bench"},
    "methods": {"bench"},
    "protocols": {"bench"},
    "leaderboard": {"bench", "leaderboard"},
}
LEADERBOARD_MAY_USE = {
    "bench.artifacts",
    "bench.cli.options",
    "bench.errors",
    "bench.files",
    "bench.planning",
    "bench.records",
    "bench.specs",
    "bench.statistics",
    "bench.store",
    "bench.trials",
}


def imports(path: Path) -> set[str]:
    """Modules of the house that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in HOUSE}


def modules() -> list[Path]:
    return [path for folder in HOUSE for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_run_one_way(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    reached = {name.split(".")[0] for name in imports(path)}
    assert reached <= ALLOWED[folder], f"{path} must not import {reached - ALLOWED[folder]}"


@pytest.mark.parametrize("folder", ["methods", "protocols"])
def test_plugins_do_not_import_each_other(folder: str) -> None:
    for path in (ROOT / folder).glob("*.py"):
        assert not {name for name in imports(path) if name.startswith(folder)}, path


def test_leaderboard_reads_records_and_trains_nothing() -> None:
    for path in (ROOT / "leaderboard").rglob("*.py"):
        reached = {name for name in imports(path) if name.startswith("bench.")}
        modules_reached = {
            name
            for name in reached
            if (ROOT / f"{name.replace('.', '/')}.py").exists()
            or (ROOT / name.replace(".", "/")).is_dir()
        }
        assert modules_reached <= LEADERBOARD_MAY_USE | {"bench.cli"}, path


@pytest.mark.parametrize(
    "module", ["bench", "bench.cli", "bench.runner", "bench.records", "leaderboard.command"]
)
def test_import_is_cheap(module: str) -> None:
    code = f"import sys, {module}; print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_bench_names_no_plugin() -> None:
    """The framework knows no method and no protocol by name (the ceiling row is an estimate key)."""
    words = {"tesla", "datm", "mtt", "herding", "k-center", "ipc-grid", "cross-arch"}
    for path in (ROOT / "bench").rglob("*.py"):
        literals = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not literals & words or path.name == "run.py", path
