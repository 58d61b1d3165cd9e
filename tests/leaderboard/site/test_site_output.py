"""A site on disk: whole, without leftovers, and never over somebody's own files."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from bench.errors import BadFile, InvalidValue
from leaderboard.site.output import MANIFEST, write


def test_what_an_earlier_build_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write({"index.html": b"1", "methods/old.html": b"2"}, folder)
    write({"index.html": b"1", "methods/new.html": b"3"}, folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"index.html", "methods/new.html", MANIFEST}


def test_files_that_did_not_change_are_left_alone(tmp_path: Path) -> None:
    write({"index.html": b"1"}, tmp_path)
    assert write({"index.html": b"1"}, tmp_path) == 0
    assert write({"index.html": b"2"}, tmp_path) == 1


@pytest.mark.parametrize("written", range(5))
def test_an_interrupted_build_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    folder = tmp_path / "site"
    write_bytes, left = Path.write_bytes, written

    def interrupted(path: Path, content: bytes) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return write_bytes(path, content)

    for files in ({"a.html": b"1", "b/old.html": b"1"}, {"a.html": b"2", "b/new.html": b"2"}):
        left = written
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(Path, "write_bytes", interrupted)
            write(files, folder)
    write({"c.html": b"3"}, folder)
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"c.html", MANIFEST}


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InvalidValue, match="other files than a site"):
        write({"index.html": b""}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["../thesis.tex", "/etc/passwd", "a/../../thesis.tex"])
def test_a_manifest_that_points_outside_deletes_nothing(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "site"
    write({"index.html": b""}, folder)
    (folder / MANIFEST).write_text(f"{name}\n")
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadFile, match="outside the site"):
        write({"index.html": b""}, folder)
    assert (tmp_path / "thesis.tex").exists()
