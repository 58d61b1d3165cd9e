"""A contribution of results: its records and figures, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.records import Record


@dataclass(frozen=True, kw_only=True, order=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        path: the file.
        line: its line, from 1; 0 where the whole file is meant.
        sentence: what is wrong and what to do.
    """

    path: str
    line: int
    sentence: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.sentence}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A record with its place.

    Attributes:
        path: the file.
        line: its line, from 1.
        record: what stands there.
        published: whether it stands among the trusted results already: it is not judged again.
    """

    path: Path
    line: int
    record: Record
    published: bool = False


@dataclass(kw_only=True)
class Examination:
    """What a contribution holds.

    Attributes:
        entries: the records that could be read.
        artifacts: synthetic sets that could be read.
        profiles: new figures of ``bench profile`` that could be read.
        missing: records whose synthetic set is not among the files.
        faults: what is wrong, in the order of files and lines.
        remarks: what could not be checked here, and why.
    """

    entries: list[Entry] = field(default_factory=list)
    artifacts: int = 0
    profiles: int = 0
    missing: int = 0
    faults: list[Fault] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, path: Path, line: int, sentence: str) -> None:
        """Note a fault; ``line`` 0 means the whole file."""
        self.faults.append(Fault(path=str(path), line=line, sentence=sentence))

    @property
    def contributed(self) -> list[Record]:
        """The records that are not published yet."""
        return [entry.record for entry in self.entries if not entry.published]
