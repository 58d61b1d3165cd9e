"""Synthetic sets of a contribution, held against the records that name them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench import specs
from bench.errors import BenchError
from bench.records import Record
from leaderboard.contribution import Entry, Examination

ARTIFACT = ".safetensors"


def examine_sets(paths: Iterable[Path], outcome: Examination) -> None:
    """Hold every synthetic set against the records that name it."""
    naming: dict[str, list[Entry]] = defaultdict(list)
    for entry in outcome.entries:
        if entry.record.artifact:
            naming[entry.record.artifact].append(entry)
    found = set()
    for path in paths:
        try:
            sha256, check = _artifact(path)
        except BenchError as error:
            outcome.add(path, 0, str(error))
            continue
        outcome.artifacts += 1
        found.add(sha256)
        if sha256 not in naming:
            outcome.add(path, 0, f"no record names it (SHA-256 {sha256}).")
        for entry in naming[sha256]:
            for sentence in check(entry.record):
                outcome.add(entry.path, entry.line, f"{sentence} in {path}.")
    outcome.missing = sum(len(entries) for sha, entries in naming.items() if sha not in found)


def _artifact(path: Path) -> tuple[str, Callable[[Record], Iterator[str]]]:
    """A synthetic set's digest, and what tells a record from it.

    Raises:
        BadFile: damaged, of another kind, or contradicting itself.
    """
    from bench import artifacts, files

    tensors, header = files.load_tensors(path)
    source, stated = artifacts.load(path), artifacts.read_header(path)

    def differences(record: Record) -> Iterator[str]:
        where = record.trial
        budget: specs.Budget = where.distilled_for or where.budget
        for what, said, is_so in (
            ("dataset", where.dataset, stated.dataset),
            ("budget", str(budget), str(stated.budget)),
            ("method", where.distilled_by or record.method.name, stated.method),
            ("parameters", dict(record.method.parameters), dict(stated.parameters)),
            ("labels", record.labels, source.label_kind),
            ("stored bytes", record.cost.stored_bytes, source.stored_bytes),
        ):
            if said != is_so:
                yield f"states {what} {said!r}, but it is {is_so!r}"

    return files.tensors_digest(tensors, header), differences
