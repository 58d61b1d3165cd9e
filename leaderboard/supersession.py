"""Which published record replaces which, and why: a companion of each record file.

``<method>.superseded`` holds one JSON object a line. Nothing is ever deleted: a record that turned
out wrong stays in its file, and this log says what stands in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import BadFile
from bench.files import canonical_json, digest
from bench.lines import lines
from bench.records import Record, Sha256


class Supersession(BaseModel):
    """One record in place of another of the same trial.

    Attributes:
        trial: the id of the trial.
        replaced: the :func:`name` of the record that counts no longer.
        by: the name of the record in its place.
        reason: what was wrong.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trial: Sha256
    replaced: Sha256
    by: Sha256
    reason: str = Field(min_length=1, max_length=1000)

    def line(self) -> str:
        """The entry as one line of JSON with sorted keys."""
        return canonical_json(self.model_dump(mode="json")) + "\n"


def name(record: Record) -> str:
    """What tells one record of a trial from another: SHA-256 over every fact it states.

    Facts that have their default are left out, so that a field added to the schema later renames
    no record.
    """
    return digest(record.model_dump(mode="json", exclude_defaults=True))


def path_of(records_file: Path) -> Path:
    """The log that belongs to a record file."""
    return records_file.with_suffix(".superseded")


def objection(entry: Supersession, known: Mapping[str, Record]) -> str:
    """What speaks against an entry, as the rest of a sentence; ``""`` if nothing does.

    Args:
        entry: one line of a log.
        known: the records that are there, by :func:`name`.
    """
    replaced, by = known.get(entry.replaced), known.get(entry.by)
    trial = entry.trial[:12]
    if replaced is None or replaced.id != entry.trial:
        return f"replaces {entry.replaced[:12]}, which is no record of trial {trial} here."
    if by is None or by.id != entry.trial:
        return f"puts {entry.by[:12]} in its place, which is no record of trial {trial} here."
    if by.time <= replaced.time:
        return f"puts a record of {by.time} in the place of one of {replaced.time}; give a newer."
    return ""


def read(records_file: Path) -> Iterator[tuple[int, Supersession]]:
    """Every entry of a record file's log with its line number; none where there is no log.

    Raises:
        BadFile: a line is damaged.
    """
    path = path_of(records_file)
    if not path.exists():
        return
    for number, line in lines(path):
        try:
            yield number, Supersession.model_validate_json(line, strict=True)
        except ValidationError as error:
            raise BadFile(f"{path}:{number} is no supersession.") from error
