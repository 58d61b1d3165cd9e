"""Processes that may be struck down, started once for each module of tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from tests.reliability.runs import Victims

Report = Callable[[str], None]


@pytest.fixture(scope="session")
def victims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victims]:
    """Runs in processes of their own."""
    if sys.platform != "linux":
        pytest.skip("looks for open files in /proc")
    server = Victims(tmp_path_factory.mktemp("victims") / "site")
    yield server
    server.stop()


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Print a measured figure, also of tests that pass."""

    def print_now(sentence: str) -> None:
        with capsys.disabled():
            print(f"\n{sentence}")

    return print_now
