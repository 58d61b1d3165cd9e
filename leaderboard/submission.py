"""Examine a contribution: record files, their companions, synthetic sets, and profiles.

Every fault is told, with its file and line, as a sentence that says what is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench import records
from bench.errors import BadFile, InvalidValue, MissingData
from bench.lines import lines
from bench.records import Record
from leaderboard import supersession
from leaderboard.contributed_profiles import are_profiles, examine_profiles
from leaderboard.contributed_sets import ARTIFACT, examine_sets
from leaderboard.contribution import Entry, Examination
from leaderboard.installed import RulesHash
from leaderboard.planned import not_here
from leaderboard.provenance import Origin, origin
from leaderboard.validation import objections

COMPANIONS = (".correct.jsonl", ".superseded")


def examine(
    paths: Sequence[Path],
    results: Path,
    rules_hash: RulesHash,
    published: Path | None = None,
) -> Examination:
    """Examine files together: companions and synthetic sets belong to the record files.

    Args:
        paths: what is contributed, below ``results`` or anywhere else.
        results: the folder of published record files.
        rules_hash: the hashes of the installed protocols.
        published: a trusted copy of ``results``, as it was before the contribution; records that
            stand there in the file of the same name are not judged again.

    Raises:
        MissingData: a file is not there.
        InvalidValue: a file of no kind that can be contributed, or neither records nor profiles.
    """
    record_files, artifacts, profiles = _sorted(paths)
    outcome = Examination()
    for path in record_files:
        _read(path, outcome, _standing(path, results, published))
    standing = _published(results, record_files)
    _compare(outcome, standing)
    for path in record_files:
        members = [entry for entry in outcome.entries if entry.path == path]
        correct = _correct(path, members, outcome)
        _examine_log(path, members, outcome)
        for entry in members:
            if entry.published:
                continue
            stored = correct.get(entry.record.id, ())
            for sentence in objections(entry.record, rules_hash, stored):
                outcome.add(entry.path, entry.line, sentence)
            if astray := _astray(entry, results):
                outcome.add(entry.path, entry.line, astray)
    examine_sets(artifacts, outcome)
    examine_profiles(profiles, outcome, results.parent, published.parent if published else None)
    outcome.faults.sort()
    outcome.remarks += _unchecked(outcome.contributed)
    return outcome


def _unchecked(contributed: Iterable[Record]) -> Iterator[str]:
    """What is not installed here, with what therefore nobody has looked at."""
    lacking = Counter(map(not_here, contributed))
    for what, count in sorted(lacking.items()):
        if what:
            yield (
                f"The {what} is not installed here: whether the rules plan {count} of the records "
                f"was not checked, and these cannot be run again; install its package first."
            )


def _sorted(paths: Sequence[Path]) -> tuple[list[Path], list[Path], list[Path]]:
    """Record files, synthetic sets, profiles; a companion is examined with its record file."""
    for path in paths:
        if not path.is_file():
            raise MissingData(f"There is no file {path}.")
        if not path.name.endswith((".jsonl", ARTIFACT, *COMPANIONS)):
            raise InvalidValue(
                f"{path} is no contribution; give record files (.jsonl), synthetic sets "
                f"({ARTIFACT}) and profiles (.jsonl below a folder profiles)."
            )
    artifacts = [path for path in paths if path.suffix == ARTIFACT]
    profiles = [path for path in paths if path.suffix != ARTIFACT and are_profiles(path)]
    named = [path for path in paths if path not in artifacts and path not in profiles]
    record_files = [_record_file(path) for path in named]
    if not (record_files or profiles):
        raise InvalidValue("A contribution needs a file of records or of profiles (.jsonl).")
    return list(dict.fromkeys(record_files)), artifacts, profiles


def _record_file(path: Path) -> Path:
    for ending in COMPANIONS:
        if path.name.endswith(ending):
            return path.with_name(f"{path.name.removesuffix(ending)}.jsonl")
    return path


def _standing(path: Path, results: Path, published: Path | None) -> set[str]:
    """Names of the records that the file of the same name holds in the trusted results."""
    if published is None or not path.resolve().is_relative_to(results.resolve()):
        return set()
    trusted = published / path.resolve().relative_to(results.resolve())
    found = _sound(trusted) if trusted.exists() else ()
    return {supersession.name(record) for record in found}


def _sound(path: Path) -> Iterator[Record]:
    """The records of a published file; its damaged lines are not this contribution's fault."""
    for number, line in lines(path):
        try:
            yield records.parse(line, f"{path}:{number}")
        except BadFile:
            continue


def _read(path: Path, outcome: Examination, standing: set[str]) -> None:
    """Read the records of a file; the first that says what a trusted one says is that one."""
    left = set(standing)
    try:
        for number, line in lines(path):
            try:
                record = records.parse(line, "the line")
            except BadFile as fault:
                outcome.add(path, number, str(fault))
            else:
                name = supersession.name(record)
                entry = Entry(path=path, line=number, record=record, published=name in left)
                outcome.entries.append(entry)
                left.discard(name)
    except BadFile as fault:
        outcome.add(path, 0, str(fault))


def _published(results: Path, examined: Iterable[Path]) -> set[tuple[str, Origin]]:
    """Trials with their origins that stand in other files of the results."""
    own = {path.resolve() for path in examined}
    others = [path for path in records.files(results) if path.resolve() not in own]
    return {(record.id, origin(record)) for path in others for record in _sound(path)}


def _compare(outcome: Examination, standing: set[tuple[str, Origin]]) -> None:
    """Find records that say the same trial of the same origin twice."""
    first: dict[tuple[str, Origin], Entry] = {}
    paths = {entry.path for entry in outcome.entries}
    replacing = {logged.by for path in paths for _, logged in _log(path)}
    for entry in outcome.entries:
        measurement = entry.record.id, origin(entry.record)
        other = first.setdefault(measurement, entry)
        if entry.published:
            continue
        if measurement in standing:
            outcome.add(entry.path, entry.line, "repeats a published measurement; leave it out.")
        elif other is not entry and supersession.name(entry.record) not in replacing:
            where = f"{other.path}:{other.line}"
            outcome.add(entry.path, entry.line, f"repeats the measurement of {where}.")


def _log(path: Path) -> list[tuple[int, supersession.Supersession]]:
    try:
        return list(supersession.read(path))
    except BadFile:  # told where the log is examined
        return []


def _examine_log(path: Path, members: Sequence[Entry], outcome: Examination) -> None:
    """Every entry of the log must put a newer record of this file in the place of another one."""
    known = {supersession.name(entry.record): entry.record for entry in members}
    log = supersession.path_of(path)
    try:
        for line, entry in supersession.read(path):
            if against := supersession.objection(entry, known):
                outcome.add(log, line, against)
    except BadFile as fault:
        outcome.add(log, 0, str(fault))


def _correct(
    path: Path, members: Sequence[Entry], outcome: Examination
) -> Mapping[str, tuple[bytes, ...]]:
    """Per-image correctness from the companion, every line of which must belong to a record."""
    try:
        correct = records.read_correct(path)
    except BadFile as fault:
        outcome.add(records.correct_path(path), 0, str(fault))
        return {}
    for strange in correct.keys() - {entry.record.id for entry in members}:
        sentence = f"trial {strange[:12]} has per-image correctness and no record."
        outcome.add(records.correct_path(path), 0, sentence)
    return correct


def _astray(entry: Entry, results: Path) -> str:
    """Where a record of the results belongs that stands in the file of others."""
    belongs = records.path_of(results, entry.record.trial, entry.record.method.name)
    inside = entry.path.resolve().is_relative_to(results.resolve())
    return f"belongs in {belongs}." if inside and entry.path.resolve() != belongs.resolve() else ""
