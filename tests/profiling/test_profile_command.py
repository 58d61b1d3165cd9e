"""``bench profile`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leaderboard.profile_files import read

FORECAST = ["profile", "--tier", "quick", "--forecast", "rtx4090,a100-80gb"]


def test_json_rows_carry_what_is_promised(bench: Any) -> None:
    code, out, _ = bench(*FORECAST, "--method", "dm", "--json")
    assert code == 0
    rows = json.loads(out)["rows"]
    assert len(rows) == 3 * 2
    for row in rows:
        assert row["kind"] == "forecast"
        assert row["method"] == "dm"
        assert row["device"] in ("rtx4090", "a100-80gb")
        assert row["phase"] in ("prepare", "distill", "evaluate")
        assert row["parameters"]["iterations"] == 100
        assert row["peak_bytes"] >= 0
        assert row["seconds_per_step"] >= 0
        assert row["fits"] is True


def test_a_sweep_is_a_table_records_and_a_picture(bench: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    sweep = ["--method", "mtt", "--sweep", "matching_steps=1,2,4"]
    code, out, _ = bench(*FORECAST, *sweep, "--plot", "curve.svg", "--store", "runs")
    assert code == 0
    assert "forecast peak" in out
    assert "measured" not in out
    rows = read([tmp_path / "runs"]).records
    assert [row.parameters["matching_steps"] for row in rows] == [1, 1, 2, 2, 4, 4]
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")


def test_what_does_not_fit_is_told_what_would(bench: Any) -> None:
    steps = ["--set", "matching_steps=10", "--set", "mtt.batch_syn=1000", "--phase", "distill"]
    arguments = ["profile", "--method", "mtt", "--forecast", "t4", "--json", *steps]
    code, out, _ = bench(*arguments, "--dataset", "cifar10", "--budget", "100")
    assert code == 0
    (row,) = json.loads(out)["rows"]
    assert row["fits"] is False
    assert row["remedy"] == "gradient=adjoint"


def test_the_largest_number_that_fits_is_searched(bench: Any) -> None:
    asked = ["--largest", "matching_steps=3", "--phase", "distill"]
    code, out, _ = bench(*FORECAST, "--method", "mtt", *asked)
    assert code == 0
    assert "mtt on rtx4090: fits up to matching_steps=3 (the search ended there)." in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--method", "mttt"], "Did you mean 'mtt'?"),
        (["--method", "mtt", "--forecast", "rtx4091"], "Did you mean 'rtx4090'?"),
        (["--method", "mtt", "--emulate", "a10"], "No device named 'a10'"),
        (["--method", "mtt", "--set", "matching_step=1"], "Did you mean 'matching_steps'?"),
        (["--method", "mtt", "--sweep", "segment=1,2"], "No parameter of mtt named 'segment'"),
        (["--method", "mtt", "--sweep", "matching_steps"], "not of the form"),
        (["--method", "mtt", "--phase", "distil"], "Did you mean 'distill'?"),
        (["--method", "mtt", "--plot", "a.svg"], "add --sweep"),
        (["--method", "mtt", "--sweep", "budget=1", "--plot", "a.txt"], "is no picture"),
        (["--method", "mtt", "--dataset", "imagenet"], "Did you mean"),
        (["--method", "mtt", "--forecast", "t4", "--largest", "budget"], "not of the form"),
        (["--method", "mtt", "--largest", "budget=50"], "add --forecast"),
        (["--method", "mtt", "--forecast", "t4", "--emulate", "t4"], "--emulate is for measuring"),
        (["--method", "mtt", "--forecast", "t4", "--device", "cpu"], "--device is for measuring"),
        (
            ["--method", "mtt", "--sweep", "gradient=unrolled,adjoint", "--plot", "a.svg"],
            "'unrolled' is none",
        ),
    ],
)
def test_impossible_wishes_get_one_sentence_and_exit_2(
    bench: Any, arguments: list[str], sentence: str
) -> None:
    code, out, err = bench("profile", "--tier", "quick", *arguments)
    assert code == 2
    assert out == ""
    assert sentence in err
    assert "Traceback" not in err


def test_devices_are_listed(bench: Any) -> None:
    code, out, _ = bench("list", "devices", "--json")
    assert code == 0
    assert {"rtx4090", "a100-80gb"} <= {row["name"] for row in json.loads(out)["rows"]}
