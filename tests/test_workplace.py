"""A writer's folder: its own alone, and cleared of what a killed one left."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench import files
from bench.workplace import workplace

DIE = """
import os, sys
from pathlib import Path
from bench.workplace import workplace
with workplace(Path(sys.argv[1])) as folder:
    (folder / ".tmpX1").write_text("a library's own file")
    os.kill(os.getpid(), 9)
"""


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with workplace(tmp_path / "file") as folder:
        (folder / "begun").write_text("half")
    assert list(tmp_path.iterdir()) == []


def test_the_next_writer_clears_what_a_kill_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    killed = subprocess.run([sys.executable, "-c", DIE, path], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [left.name for left in tmp_path.rglob("*")] != []
    with workplace(path) as folder:
        assert [left.name for left in folder.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == []


def test_many_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def write(number: int) -> None:
        for _ in range(20):
            with workplace(tmp_path / "file") as folder:
                inside.append(number)
                most.append(len(inside))
                (folder / "begun").write_text(str(number))
                assert (folder / "begun").read_text() == str(number)
                inside.remove(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 120
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_is_passed_on_and_clears_up(tmp_path: Path) -> None:
    def fail() -> None:
        with workplace(tmp_path / "file") as folder:
            (folder / "begun").write_text("half")
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_beside_others_of_the_same_beginning(tmp_path: Path) -> None:
    for name in ("a", "a.b", ".a", "ä"):
        files.write_text(tmp_path / name, name)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "a.b", ".a", "ä"}
