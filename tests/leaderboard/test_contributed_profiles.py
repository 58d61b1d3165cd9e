"""Figures of ``bench profile`` in a contribution are judged line by line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.profiling.records import ProfileRecord, append, path_of
from leaderboard.contribution import Examination
from leaderboard.submission import examine
from tests.leaderboard.profiles import forecast, measured
from tests.records import ENVIRONMENT

HOME = Path("leaderboard")
STORE = Path("runs")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def submitted(*made: ProfileRecord, root: Path = STORE) -> Path:
    for record in made:
        append(root, record)
    return path_of(root, made[0])


def judged(*paths: Path, published: Path | None = None) -> Examination:
    return examine(paths, HOME / "results", lambda *_: None, published)


def test_sound_figures_have_no_fault_and_need_no_records() -> None:
    found = judged(submitted(forecast(), measured()))
    assert (found.profiles, found.faults) == (2, [])


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (forecast(protocol_hash="b" * 64), "under other rules than efficiency v1"),
        (forecast(version=9), "which is not installed"),
        (measured(seconds=(1.0, 2.0, 3.0)), "another time than the median"),
        (
            forecast(environment=ENVIRONMENT.model_copy(update={"commit": "c" * 40 + "-dirty"})),
            "uncommitted changes",
        ),
        (
            forecast(environment=ENVIRONMENT.model_copy(update={"commit": ""})),
            "knows no commit",
        ),
    ],
)
def test_a_figure_that_could_not_be_published_is_a_fault(record: ProfileRecord, words: str) -> None:
    path = submitted(record)
    (fault,) = judged(path).faults
    assert str(fault).startswith(f"{path}:1: ")
    assert words in str(fault)


def test_damaged_lines_are_told_with_their_number() -> None:
    path = submitted(forecast())
    path.write_text(f"broken\n{path.read_text()}")
    found = judged(path)
    assert [(fault.line, found.profiles) for fault in found.faults] == [(1, 1)]


def test_a_figure_that_is_given_twice_is_a_fault() -> None:
    path = submitted(forecast(), forecast(time="2026-01-01T00:00:00Z", peak=7))
    (fault,) = judged(path).faults
    assert f"repeats the figure of {path}:1" in str(fault)


def test_what_stands_in_the_trusted_copy_is_neither_judged_nor_repeated() -> None:
    path = submitted(forecast(protocol_hash="b" * 64), root=HOME)
    shutil.copytree(HOME, "trusted")
    submitted(measured(), root=HOME)
    found = judged(path, published=Path("trusted/results"))
    assert (found.profiles, found.faults) == (1, [])
    again = judged(submitted(forecast(protocol_hash="b" * 64)), published=Path("trusted/results"))
    assert "repeats a published figure" in str(again.faults[0])


def test_a_figure_in_the_file_of_another_method_is_told_where_it_belongs() -> None:
    path = submitted(forecast(), root=HOME)
    wrong = path.with_name("tesla.jsonl")
    path.rename(wrong)
    (fault,) = judged(wrong).faults
    assert str(fault) == f"{wrong}:1: belongs in {path}."
