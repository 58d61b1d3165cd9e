"""Profile records as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import records as trial_records
from bench.errors import BadFile
from bench.lines import lines
from bench.profiling.profile import Cache, forecast_rows
from bench.profiling.records import append, parse, path_of
from tests.profiling.conftest import MakeSubject


def forecasts(subject: MakeSubject, **changes: int) -> list:  # type: ignore[type-arg]
    at = subject("dm", **changes)
    return list(forecast_rows([at], ["distill"], ["rtx4090", "t4"], Cache(), lambda text: None))


def test_what_is_appended_is_read_again(subject: MakeSubject, tmp_path: Path) -> None:
    rows = forecasts(subject)
    for row in rows:
        append(tmp_path, row)
    path = path_of(tmp_path, rows[0])
    assert [parse(line, "") for _, line in lines(path)] == rows
    expected = tmp_path / "profiles" / "efficiency-v1" / "quick" / "digits" / "dm.jsonl"
    assert path == expected


@pytest.mark.parametrize("name", ["../../../elsewhere", "/elsewhere", ".hidden", "a/b", "..", ""])
def test_no_name_leads_out_of_the_folder(subject: MakeSubject, tmp_path: Path, name: str) -> None:
    for field in ("method", "dataset"):
        row = forecasts(subject)[0].model_copy(update={field: name})
        path = path_of(tmp_path, row)
        assert path.resolve().is_relative_to((tmp_path / "profiles").resolve())
        assert len(path.relative_to(tmp_path).parts) == 5


def test_records_of_trials_are_read_without_those_of_profiles(
    subject: MakeSubject, tmp_path: Path
) -> None:
    for row in forecasts(subject):
        append(tmp_path, row)
    assert trial_records.read_all(tmp_path / "records") == []


@pytest.mark.parametrize("line", ['{"schema": 2}', "{}", '{"peak_bytes": -1}'])
def test_a_foreign_line_is_refused_with_its_place(line: str) -> None:
    with pytest.raises(BadFile, match=r"dm\.jsonl:2 is no profile record"):
        parse(line.encode(), "dm.jsonl:2")


def test_forecasts_for_two_devices_share_the_peak_and_differ_in_time(
    subject: MakeSubject,
) -> None:
    fast, slow = forecasts(subject, segment=128)
    assert fast.peak_bytes == slow.peak_bytes
    assert fast.seconds_per_step <= slow.seconds_per_step
    for row in (fast, slow):
        assert row.seconds_band[0] < row.seconds_per_step < row.seconds_band[1]
        assert row.seconds_total == row.steps * row.seconds_per_step
