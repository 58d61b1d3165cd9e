"""The compact table of NAS-Bench-201: accuracies of its cells as their authors trained them.

One row a cell: ``arch_str``, its official text, and one column a measured accuracy in percent, such
as ``cifar10_test_200``: dataset, split, epochs. Other columns are ignored. A table may hold a part
of the space. Torch is not imported here.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.datasets.locations import data_root
from bench.errors import BadFile, InvalidValue, MissingData, UnknownName
from bench.files import atomic_write
from bench.nas import Cell
from bench.trials import Split

FILE_NAME = "nas-bench-201.csv"
"""What the table is called under a data root."""

CELL_COLUMN = "arch_str"
_ACCURACY = re.compile(r"[a-z0-9-]+_(valid|test)_[0-9]+")

TRUTH, SHORT = "tabulated_truth", "tabulated_short"
"""Metrics of records: tabulated accuracy after long and after short training."""

MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class CellTable:
    """Accuracies by column and cell.

    Attributes:
        path: where it was read.
        columns: for each column the accuracy of each cell, in [0, 1], by the cell's code.
    """

    path: Path
    columns: Mapping[str, Mapping[str, float]]

    def accuracy(self, column: str, code: str) -> float:
        """The accuracy of one cell, in [0, 1].

        Raises:
            UnknownName: no such column.
            MissingData: the table does not hold the cell.
        """
        if column not in self.columns:
            raise UnknownName(f"column of {self.path}", column, self.columns)
        if code not in self.columns[column]:
            raise MissingData(
                f"{self.path} does not hold cell {code}; use a table of the whole space."
            )
        return self.columns[column][code]


@dataclass(frozen=True, kw_only=True)
class Tabulated:
    """Where a table holds the ground truth of a dataset.

    Attributes:
        dataset: the dataset that it stands for.
        truth: column of test accuracies after long training.
        short: column of test accuracies after short training.
        validation: column that replaces the truth where test data must stay unread.
    """

    dataset: str
    truth: str
    short: str
    validation: str

    def metrics(self, table: CellTable, code: str, split: Split) -> dict[str, float]:
        """What records say of a cell, accuracies in [0, 1]."""
        if split == "validation":
            return {TRUTH: table.accuracy(self.validation, code)}
        return {
            TRUTH: table.accuracy(self.truth, code),
            SHORT: table.accuracy(self.short, code),
        }


def find(root: Path | str | None = None) -> Path | None:
    """The table's file under a data root, if there is one."""
    path = data_root(root) / FILE_NAME
    return path if path.is_file() else None


def load(root: Path | str | None = None) -> CellTable:
    """Read the table under a data root.

    Raises:
        MissingData: there is none; the message says how to make it.
        BadFile: see :func:`read`.
    """
    path = find(root)
    if path is None:
        raise MissingData(
            f"There is no table of NAS-Bench-201 under {data_root(root)}. Make it from the "
            f"official file (bench data convert nas-bench-201 FILE --to {FILE_NAME}) or name a "
            f"folder that holds {FILE_NAME} (--data-root, or BENCH_DATA in the environment)."
        )
    return read(path)


def read(path: Path) -> CellTable:
    """Read a table, every row of it checked.

    Raises:
        BadFile: too large, not UTF-8 CSV, without its columns, a text that is no cell, a cell
            twice, or a value that is no percentage.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadFile(f"{path} is larger than {MAX_BYTES:,} bytes; that is no such table.")
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream, strict=True)
            columns = _accuracy_columns(path, rows.fieldnames or ())
            return CellTable(path=path, columns=_read_rows(path, rows, columns))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"{path} cannot be read as a table of cells: {error}.") from error


def _accuracy_columns(path: Path, names: Iterable[str]) -> list[str]:
    given = list(names)
    found = [name for name in given if _ACCURACY.fullmatch(name)]
    if CELL_COLUMN not in given or not found or len(set(given)) < len(given):
        raise BadFile(
            f"{path} needs the column {CELL_COLUMN} and accuracies such as cifar10_test_200, each "
            f"once; it has {', '.join(given)[:200] or 'none'}."
        )
    return found


def _read_rows(
    path: Path, rows: csv.DictReader[str], columns: list[str]
) -> dict[str, dict[str, float]]:
    accuracies: dict[str, dict[str, float]] = {column: {} for column in columns}
    for row in rows:
        where = f"{path}, line {rows.line_num}"
        code = cell(where, row[CELL_COLUMN]).code
        if code in accuracies[columns[0]]:
            raise BadFile(f"{where}: cell {code} stands there a second time.")
        for column in columns:
            accuracies[column][code] = _fraction(where, row[column])
    if not accuracies[columns[0]]:
        raise BadFile(f"{path} holds no cell.")
    return accuracies


def cell(where: str, text: object) -> Cell:
    """The cell that a file names.

    Args:
        where: the place in the file, for the message.
        text: what stands there.

    Raises:
        BadFile: no cell's official text.
    """
    try:
        return Cell.parse(str(text))
    except InvalidValue as error:
        raise BadFile(f"{where}: {error}") from error


def _fraction(where: str, text: str | None) -> float:
    try:
        percent = float(text or "")
    except ValueError:
        percent = math.nan
    if not 0 <= percent <= 100:
        raise BadFile(f"{where}: {text!r:.40} is no percentage from 0 to 100.")
    return percent / 100


def write(path: Path, cells: Mapping[str, Mapping[str, float]]) -> None:
    """Write a table that :func:`read` reads.

    Args:
        path: where to; replaced if it exists.
        cells: for each cell's official text its accuracies in percent by column.
    """
    columns = list(next(iter(cells.values()), ()))
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["index", CELL_COLUMN, *columns])
        for index, (text, accuracies) in enumerate(cells.items()):
            values = [f"{accuracies[column]:.3f}" for column in columns]
            writer.writerow([index, text, *values])
