"""The table of NAS-Bench-201: what is read, what is refused, and the number everybody knows."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from bench import nas_table
from bench.errors import BadFile, MissingData, UnknownName
from bench.nas import every_cell
from bench.rank_statistics import spearman

DATA = Path(os.environ.get("BENCH_DATA", Path(__file__).parents[2] / "shared" / "data"))
FULL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
EMPTY = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
HEAD = "index,arch_str,cifar10_test_200,cifar10_test_12"


def table(folder: Path, *lines: str) -> Path:
    path = folder / nas_table.FILE_NAME
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_percentages_become_fractions_by_code(tmp_path: Path) -> None:
    path = table(tmp_path, HEAD, f"0,{FULL},93.75,88", f"1,{EMPTY},10.0,10")
    read = nas_table.read(path)
    assert read.columns == {
        "cifar10_test_200": {"303101": 0.9375, "000000": 0.1},
        "cifar10_test_12": {"303101": 0.88, "000000": 0.1},
    }
    assert read.accuracy("cifar10_test_12", "303101") == 0.88


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    nas_table.write(path, {FULL: {"cifar10_test_200": 93.7512}, EMPTY: {"cifar10_test_200": 10.0}})
    assert nas_table.read(path).columns["cifar10_test_200"] == pytest.approx(
        {"303101": 0.93751, "000000": 0.1}
    )
    with path.open(newline="") as stream:
        assert [row["index"] for row in csv.DictReader(stream)] == ["0", "1"]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([""], "needs the column arch_str"),
        (["arch_str,params", f"{FULL},3"], "needs the column arch_str and accuracies"),
        (["arch_str,cifar10_test_200,cifar10_test_200", f"{FULL},3,4"], "each once"),
        ([HEAD], "holds no cell"),
        ([HEAD, "0,|none~0|,10,10"], "line 2: '|none~0|' is no cell"),
        ([HEAD, f"0,{FULL},93,88", f"1,{FULL},93,88"], "line 3: cell 303101 stands there a second"),
        ([HEAD, f"0,{FULL},100.5,88"], "line 2: '100.5' is no percentage"),
        ([HEAD, f"0,{FULL},nan,88"], "'nan' is no percentage"),
        ([HEAD, f"0,{FULL},93"], "None is no percentage"),
        ([HEAD, f'0,"{FULL},93,88'], "cannot be read as a table"),
        ([HEAD, f"0,{FULL},{'9' * 200_000},88"], "cannot be read as a table"),
    ],
)
def test_a_broken_table_is_refused_with_the_place(
    tmp_path: Path, lines: list[str], sentence: str
) -> None:
    with pytest.raises(BadFile) as caught:
        nas_table.read(table(tmp_path, *lines))
    assert sentence in str(caught.value)


def test_bytes_that_are_no_text_and_files_that_are_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"arch_str,\xff\xfe")
    with pytest.raises(BadFile, match="cannot be read as a table"):
        nas_table.read(path)
    monkeypatch.setattr(nas_table, "MAX_BYTES", 5)
    with pytest.raises(BadFile, match="larger than 5 bytes"):
        nas_table.read(path)


def test_what_a_table_does_not_hold_is_named(tmp_path: Path) -> None:
    read = nas_table.read(table(tmp_path, HEAD, f"0,{FULL},93,88"))
    with pytest.raises(UnknownName, match="Did you mean 'cifar10_test_200'"):
        read.accuracy("cifar10_test_20", "303101")
    with pytest.raises(MissingData, match="does not hold cell 000000"):
        read.accuracy("cifar10_test_200", "000000")


def test_the_table_is_looked_for_under_the_data_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    assert nas_table.find() is None
    with pytest.raises(MissingData, match="bench data convert nas-bench-201 FILE --to"):
        nas_table.load()
    path = table(tmp_path, HEAD, f"0,{FULL},93,88")
    assert nas_table.find() == path
    assert nas_table.load().path == path


def test_short_training_ranks_the_space_as_is_known() -> None:
    """Spearman of 12 against 200 epochs on CIFAR-10, over all 15,625 cells: 0.8705."""
    if nas_table.find(DATA) is None:
        pytest.skip(f"there is no {nas_table.FILE_NAME} under {DATA}")
    columns = nas_table.load(DATA).columns
    codes = [cell.code for cell in every_cell()]
    short, long = (
        [columns[name][code] for code in codes] for name in ("cifar10_test_12", "cifar10_test_200")
    )
    assert spearman(short, long) == pytest.approx(0.8705, abs=5e-5)
