"""A disk that is full, a store that may not be written, a file that vanishes: a clear end.

Every operation on a file is made to fail in turn; and a real file system of a few pages fills up.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.reliability.conftest import Report
from tests.reliability.runs import (
    Victims,
    check_whole,
    facts,
    leftovers,
    results,
    store_in,
    tensors,
)

SMALL = {"methods": "taught", "seeds": 1}
FAILURES = ("ENOSPC", "EROFS", "EIO", "vanish")


def fails(victims: Victims, folder: Path, model: Path, knock: str, at: int) -> int:
    """Let one operation fail (or all from it on); then all is well again. How the run ended."""
    outcome = victims.run(folder, knock=knock, at=at, **SMALL)
    place = f"{knock} at {at}: {outcome.errors}"
    assert outcome.code in (0, 1, 2), place
    if outcome.code == 2:
        assert outcome.errors.splitlines()[-1].startswith("error: "), place
    check_whole(folder)
    recorded = results(folder)
    assert set(outcome.told) <= recorded.keys()
    after = victims.run(folder, **SMALL)
    assert after.code == 0, place + after.errors
    standing = {key: said for key, said in recorded.items() if said["status"] == "ok"}
    final = last_results(folder)
    assert standing.items() <= final.items(), place
    assert final == results(model), place
    assert tensors(folder) == tensors(model), place
    assert not leftovers(folder), place
    return outcome.code


def last_results(folder: Path) -> dict[str, dict[str, object]]:
    """What counts of every trial: a failed one was tried again and has two records."""
    return {key: facts(record) for key, record in store_in(folder).done().items()}


def survive(
    victims: Victims, tmp_path: Path, moments: Iterable[tuple[str, int]]
) -> dict[str, list[int]]:
    """Exit codes by failure."""
    codes: dict[str, list[int]] = {knock: [] for knock in FAILURES}
    for knock, at in moments:
        folder = tmp_path / f"{knock}-{at}"
        codes[knock].append(fails(victims, folder, tmp_path / "model", knock, at))
    return codes


def test_a_store_that_fails_ends_the_run_in_a_sentence_and_stays_whole(
    victims: Victims, tmp_path: Path
) -> None:
    total = victims.run(tmp_path / "model", **SMALL).operations
    rng = random.Random(3)
    # before the records, which are written last
    moments = [(knock, rng.randrange(1, 3 * total // 4)) for knock in FAILURES]
    codes = survive(victims, tmp_path, moments)
    assert codes["ENOSPC"] == codes["EROFS"] == [2]


Disk = Callable[[str], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Disk]]:
    """A file system of its own and what mounts it again with other options; root alone may."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        subprocess.run(command, check=True, capture_output=True)

    try:
        mount("size=4k")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield folder, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(victims: Victims, disk: tuple[Path, Disk], model: Path, sizes: Iterable[int]) -> list[int]:
    """Let a disk of so many KiB fill up, then give it room; how the runs ended."""
    folder, remount = disk
    codes = []
    for size in sizes:
        for left in folder.iterdir():
            shutil.rmtree(left)
        remount(f"size={size}k")
        outcome = victims.run(folder, **SMALL)
        assert outcome.code in (0, 2), outcome.errors
        assert "Traceback" not in outcome.errors
        assert (outcome.code == 2) == ("No space left on device" in outcome.errors)
        check_whole(folder)
        assert set(outcome.told) <= results(folder).keys()
        remount("size=64m")
        assert victims.run(folder, **SMALL).code == 0
        assert results(folder) == results(model)
        assert tensors(folder) == tensors(model)
        assert not leftovers(folder)
        codes.append(outcome.code)
    return codes


def test_a_full_and_a_read_only_disk_are_said_so(
    victims: Victims, tmp_path: Path, disk: tuple[Path, Disk]
) -> None:
    model = tmp_path / "model"
    victims.run(model, **SMALL)
    assert fill(victims, disk, model, [16, 40]) == [2, 2]
    folder, remount = disk
    remount("ro")
    assert victims.run(folder, **SMALL).code == 0  # what is done can be shown
    outcome = victims.run(folder, methods="taught", seeds=2)
    assert outcome.code == 2
    assert "Read-only file system" in outcome.errors
    assert "Traceback" not in outcome.errors


@pytest.mark.slow
def test_a_disk_of_any_size_fills_up_and_goes_on(
    victims: Victims, tmp_path: Path, disk: tuple[Path, Disk], report: Report
) -> None:
    model = tmp_path / "model"
    victims.run(model, **SMALL)
    codes = fill(victims, disk, model, range(4, 84, 4))
    report(f"{len(codes)} disks of 4 to 80 KiB: {codes.count(2)} filled up")


@pytest.mark.slow
def test_any_operation_on_the_store_may_fail(
    victims: Victims, tmp_path: Path, report: Report
) -> None:
    total = victims.run(tmp_path / "model", **SMALL).operations
    strides = {"ENOSPC": 2, "EROFS": 8, "EIO": 4, "vanish": 4}
    moments = [(knock, at) for knock in FAILURES for at in range(1, total + 1, strides[knock])]
    codes = survive(victims, tmp_path, moments)
    for knock, ended in codes.items():
        counted = ", ".join(f"{ended.count(code)} ended with {code}" for code in (0, 1, 2))
        report(f"{knock} at {len(ended)} of {total} operations: {counted}")
