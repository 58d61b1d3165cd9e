"""The arrows of the house run one way: methods → bench ← protocols, leaderboard → bench."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from bench import augment, plugins

ROOT = Path(__file__).parents[1]
HOUSE = ("bench", "methods", "protocols", "leaderboard")
ALLOWED = {
    "bench": {"bench"},
    "methods": {"bench"},
    "protocols": {"bench"},
    "leaderboard": {"bench", "leaderboard"},
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


def test_leaderboard_imports_without_torch() -> None:
    names = [f"leaderboard.{path.stem}" for path in (ROOT / "leaderboard").glob("[!_]*.py")]
    code = f"import sys, {', '.join(names)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "module", ["bench", "bench.cli", "bench.runner", "bench.records", "leaderboard.command"]
)
def test_import_is_cheap(module: str) -> None:
    code = f"import sys, {module}; print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_bench_names_no_plugin() -> None:
    """No text of the framework is the name of a plug-in, but for the default of ``bench run``."""
    words = {*plugins.names("methods"), *plugins.names("protocols")}
    words -= {"random", *augment.names()}  # plain words of other things
    for path in (ROOT / "bench").rglob("*.py"):
        literals = {
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        allowed = {"ipc-grid"} if path.name == "run.py" else set()
        assert literals & words <= allowed, path
