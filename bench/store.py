"""The store: a folder that holds everything a run has made, and nothing half written.

::

    records/        <protocol>-v<N>/<tier>/<dataset>/<method>.jsonl, append-only
    artifacts/      synthetic sets by SHA-256
    distillations/  what each distillation handed over, cost and ran on, by key
    checkpoints/    distillations in progress
    experts/        expert buffers
    lock            held by the run that writes
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import records
from bench.errors import BadFile
from bench.files import canonical_json, digest, exclusive, read_json, write_text
from bench.records import FINAL, Record
from bench.trials import Trial


@dataclass(frozen=True)
class Store:
    """Paths and reads of one store; records are written by the one process that holds the lock."""

    root: Path

    @property
    def records(self) -> Path:
        """Folder of record files."""
        return self.root / "records"

    @property
    def experts(self) -> Path:
        """Folder of expert buffers."""
        return self.root / "experts"

    def artifact(self, sha256: str) -> Path:
        """Where the synthetic set with this digest lies."""
        return self.root / "artifacts" / f"{sha256}.safetensors"

    def checkpoint(self, key: str) -> Path:
        """Where the checkpoint of a distillation lies."""
        return self.root / "checkpoints" / f"{key}.safetensors"

    def lock(self) -> AbstractContextManager[None]:
        """Hold the store for writing.

        Raises:
            StoreError: another run holds it, or the folder cannot be written.
        """
        return exclusive(self.root / "lock", wait=False)

    def done(self) -> dict[str, Record]:
        """The last record of every trial whose outcome stands.

        Raises:
            BadFile: a record file holds a line that is no record.
        """
        latest = {record.id: record for record in records.read_all(self.records)}
        return {key: record for key, record in latest.items() if record.status in FINAL}

    def append(self, record: Record, correct: bytes | None) -> None:
        """Add a record and its per-image correctness."""
        records.append(self.records, record, correct)

    def extend(self, entries: Iterable[tuple[Record, bytes | None]]) -> None:
        """Add several records, each with its per-image correctness."""
        records.extend(self.records, entries)

    def share(self, record: Record, trial: Trial) -> Record:
        """Record ``trial`` with the outcome of an equal training that ``record`` holds."""
        path = records.path_of(self.records, record.trial, record.method.name)
        copied = record.shared_by(trial)
        stored = records.read_correct(path).get(record.id, ())
        self.append(copied, stored[-1] if stored else None)  # the record is the last of its trial
        return copied

    def remember(self, key: str, facts: dict[str, Any]) -> None:
        """Note what a distillation handed over."""
        write_text(self._facts(key), canonical_json({"facts": facts, "sha256": digest(facts)}))

    def recall(self, key: str) -> dict[str, Any] | None:
        """What :meth:`remember` noted, or ``None``.

        Raises:
            BadFile: the note is damaged.
        """
        path = self._facts(key)
        if not path.exists():
            return None
        note = read_json(path)
        try:
            whole = isinstance(note, dict) and note.get("sha256") == digest(note.get("facts"))
        except ValueError:  # a NaN or half a surrogate: never written by us
            whole = False
        if not whole:
            raise BadFile(f"{path} is damaged: its content does not match its checksum.")
        facts: dict[str, Any] = note["facts"]
        return facts

    def holds(self, key: str) -> bool:
        """Whether something was noted of a distillation."""
        return self._facts(key).exists()

    def _facts(self, key: str) -> Path:
        return self.root / "distillations" / f"{key}.json"
