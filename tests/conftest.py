"""What every test gets: an empty cache, one torch thread, and a store of its own if it asks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ["OMP_NUM_THREADS"] = "1"  # before torch, and for every process that a test starts

import torch

from bench.datasets import RealPair
from bench.store import Store
from tests import fakes

# a machine that is busy is no failure, and a test run leaves nothing in the checkout
settings.register_profile("suite", deadline=None, database=None)
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Datasets are cached under a temporary folder, shared by the whole session."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Runs set the number of threads; every test starts with one."""
    torch.set_num_threads(1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "runs")


@pytest.fixture(scope="session")
def tiny() -> RealPair:
    """Three classes of 8×8 images, 60 to train on and 45 to test on."""
    return fakes.tiny_pair()


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Call the command in this process: ``(exit code, stdout, stderr)``."""
    from bench.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.delenv("BENCH_DATA", raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


Install = Callable[[Mapping[str, Mapping[str, str]]], Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a stranger's package with these entry points; returns the folder it is found in."""

    def install(groups: Mapping[str, Mapping[str, str]]) -> Path:
        site = tmp_path / "site"
        fakes.register(site, groups)
        monkeypatch.setattr(sys, "path", [str(site), *sys.path])
        fakes.forget_plugins()
        return site

    yield install
    monkeypatch.undo()
    fakes.forget_plugins()


@pytest.fixture
def registered(install: Install) -> None:
    """The fakes as plug-ins."""
    install(fakes.ENTRY_POINTS)
