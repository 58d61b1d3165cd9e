"""The committed baseline: what the gate's cells gave when a maintainer last accepted it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bench.errors import BadFile, MissingData
from bench.files import read_json, write_text
from leaderboard.regression.measurement import Measured

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Every cell's figures, and what they were measured with.

    Attributes:
        schema: version of this file's layout.
        commit: of the checkout; ``""`` if it was none.
        torch: torch version.
        device: the processor.
        cells: the cells, in the order of the grid.
    """

    schema: int = SCHEMA
    commit: str
    torch: str
    device: str
    cells: tuple[Measured, ...]


_FILE = TypeAdapter(Baseline)


def read(path: Path) -> Baseline:
    """The baseline in a file.

    Raises:
        MissingData: there is no such file.
        BadFile: it is no baseline of this schema.
    """
    if not path.exists():
        raise MissingData(f"There is no baseline at {path}; `bench check --calibrate` makes one.")
    value = read_json(path)
    try:
        found = _FILE.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise BadFile(f"{path} is no baseline: {place}: {first['msg']}.") from error
    if found.schema != SCHEMA:
        raise BadFile(
            f"{path} is a baseline of schema {found.schema}, not {SCHEMA}; "
            f"renew it with `bench check --calibrate`."
        )
    return found


def write(path: Path, baseline: Baseline) -> None:
    """Write a baseline, readable in a diff."""
    value = _FILE.dump_python(baseline, mode="json")
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")
