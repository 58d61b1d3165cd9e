"""Generated hostile files: taken, or refused in one sentence; nothing run, nothing left elsewhere.

Every case runs under an audit hook that sees processes, connections and pickled names, and every
file that is written outside the test's own folder; and the peak of memory is measured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from bench.errors import BenchError
from tests import fakes
from tests.reliability import hostile_imports, hostile_records, hostile_requests, hostile_tensors
from tests.reliability.conftest import Report
from tests.reliability.hostile import Family
from tests.reliability.knocks import CHANGES, WRITES

FAMILIES: tuple[Callable[[Path], Family], ...] = (
    hostile_tensors.artefact_headers,
    hostile_tensors.artefact_layouts,
    hostile_tensors.artefact_headers_alone,
    hostile_tensors.checkpoint_trees,
    hostile_records.record_lines,
    hostile_records.record_files,
    hostile_records.submissions,
    hostile_records.profile_lines,
    hostile_records.baselines,
    hostile_records.notes,
    hostile_records.cache_facts,
    hostile_requests.presets,
    hostile_requests.nas_tables,
    hostile_requests.references,
    hostile_requests.requests,
    hostile_imports.torch_files,
    hostile_imports.numpy_files,
    hostile_imports.parquet_files,
    hostile_imports.archives,
    hostile_imports.trees,
)
"""Twenty kinds of hostile files."""

CASES, MANY_CASES = 25, 400
"""Of each family in the normal and in the long run."""

MEMORY_BYTES = 256 * 2**20
"""More than this no family may ask for beside what the process has already."""

FORBIDDEN = frozenset(
    {"os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen", "pty.spawn"}
    | {"socket.connect", "pickle.find_class", "os.symlink", "os.link"}
)


class Watch:
    """An audit hook, of which Python can rid itself no more: it is silent outside of a case."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._heard)

    @contextmanager
    def over(self, folder: Path) -> Iterator[None]:
        """Note everything that a reader of files in ``folder`` must not do.

        Raises:
            AssertionError: it did.
        """
        self.folder, self.seen = folder, []
        try:
            yield
        finally:
            self.folder = None
        assert not self.seen

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        changes = event in CHANGES or (event == "open" and bool(arguments[2] & WRITES))
        if event in FORBIDDEN or (changes and self._is_elsewhere(arguments[0])):
            self.seen.append(f"{event} {arguments!r:.200}")

    def _is_elsewhere(self, place: object) -> bool:
        if not isinstance(place, str | bytes | os.PathLike):
            return False  # an open file: its opening was seen
        path = Path(os.fsdecode(place)).absolute()
        own = self.folder is not None and path.is_relative_to(self.folder)
        return not (own or "__pycache__" in path.parts)


@pytest.fixture(scope="session")
def watch() -> Watch:
    """The one hook."""
    return Watch()


pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for all that readers may write, the cache too."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    yield tmp_path
    fakes.forget_plugins()  # and hostile cards


def attack(
    family: Family, count: int, folder: Path, judge: Callable[[Any], bool]
) -> tuple[int, int]:
    """Judge ``count`` cases of a family: how many there were, and how many were refused."""
    verdicts: list[bool] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(family.cases)
    def each(case: Any) -> None:
        verdicts.append(judge(case))

    each()
    assert not list(folder.rglob("*executed*"))
    return len(verdicts), sum(verdicts)


def is_refused(family: Family, folder: Path, watch: Watch) -> Callable[[Any], bool]:
    """Give a case to a family's reader: whether it is refused, and then how."""

    def judge(case: Any) -> bool:
        with watch.over(folder):
            try:
                family.read(case)
            except BenchError as error:
                check_sentence(str(error))
                return True
        return False

    return judge


def check_sentence(said: str) -> None:
    """One line, without characters that would command a terminal."""
    assert said
    assert said.isprintable(), repr(said[:300])
    assert len(said) < 20_000


@contextmanager
def bounded_memory() -> Iterator[Callable[[], int]]:
    """Measure the growth of this process's peak, in bytes; Linux alone says it."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    before = _resident(status, "VmRSS") if status.exists() else 0
    if before:
        reset.write_text("5")
    yield lambda: _resident(status, "VmHWM") - before if before else 0


def _resident(status: Path, field: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


COLLECTING = (
    hostile_records.submissions,
    hostile_records.cache_facts,
    hostile_records.profile_lines,
)
"""Families whose readers collect faults, or read anew, instead of refusing."""


@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_files_are_refused_in_a_sentence(
    family: Callable[[Path], Family], folder: Path, watch: Watch
) -> None:
    made = family(folder)
    with bounded_memory() as grown:
        _, refused = attack(made, CASES, folder, is_refused(made, folder, watch))
    assert grown() < MEMORY_BYTES
    assert refused or family in COLLECTING


@pytest.mark.slow
def test_thousands_of_hostile_files_are_refused_in_a_sentence(
    folder: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    total = 0
    with bounded_memory() as grown:
        for family in FAMILIES:
            place = folder / family.__name__
            place.mkdir()
            monkeypatch.setenv("BENCH_CACHE", str(place / "cache"))
            made = family(place)
            count, refused = attack(made, MANY_CASES, folder, is_refused(made, folder, watch))
            report(f"{family.__name__}: {count} cases, {refused} refused")
            total += count
    report(f"{total} cases; memory grew by {grown() / 2**20:.0f} MiB at most")
    assert total >= 5000
    assert grown() < MEMORY_BYTES


EVALUATE = ("--dataset", "tiny", "--epochs", "1", "--seeds", "1", "--device", "cpu")
RUN = ("run", "--protocol", "tiny-grid", "--method", "walk", "--device", "cpu", "--store", "runs")
COMMANDS: dict[Callable[[Path], Family], tuple[str, ...]] = {
    hostile_tensors.artefact_headers: ("evaluate", "a.safetensors", *EVALUATE),
    hostile_tensors.artefact_layouts: ("export", "b.safetensors", "--to", "pt", "--overwrite"),
    hostile_imports.torch_files: ("evaluate", "set.pt", *EVALUATE),
    hostile_imports.parquet_files: ("evaluate", "set.parquet", *EVALUATE),
    hostile_imports.archives: (*RUN, "--dataset", "mine=mine.zip"),
    hostile_records.record_files: ("leaderboard", "show", "--results", "results"),
    hostile_records.submissions: ("submit", "given/dm.jsonl", "given/set.safetensors"),
}


@pytest.mark.parametrize("family", COMMANDS)
def test_the_command_ends_hostile_files_with_a_sentence(
    family: Callable[[Path], Family], folder: Path, bench: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made, arguments = family(folder), COMMANDS[family]
    # the board reads what can be read and reports the rest, as the examination of a contribution
    allowed = (1, 2) if arguments[0] in ("leaderboard", "submit") else (2,)

    def judge(case: Any) -> bool:
        try:
            made.read(case)
            refused = False
        except BenchError:
            refused = True
        code, _, said = bench(*arguments)
        assert code in (allowed if refused else (0, *allowed)), said
        assert "Traceback" not in said
        return bool(code)

    attack(made, 4, folder, judge)
