"""Examine a contribution: record files, their companions, and synthetic sets.

Every fault is told, with its file and line, as a sentence that says what is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import records, specs
from bench.errors import BadFile, BenchError, InvalidValue, MissingData
from bench.lines import lines
from bench.records import FINAL, Record
from leaderboard import supersession
from leaderboard.planned import unplanned
from leaderboard.provenance import Origin, origin
from leaderboard.publish import RulesHash
from leaderboard.validation import objection

ARTIFACT = ".safetensors"
COMPANIONS = (".correct.jsonl", ".superseded")


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
        missing: records whose synthetic set is not among the files.
        faults: what is wrong, in the order of files and lines.
    """

    entries: list[Entry] = field(default_factory=list)
    artifacts: int = 0
    missing: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def contributed(self) -> list[Record]:
        """The records that are not published yet."""
        return [entry.record for entry in self.entries if not entry.published]


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
        InvalidValue: a file of no kind that can be contributed, or no record file.
    """
    record_files, artifacts = _sorted(paths)
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
            for sentence in _objections(entry, results, rules_hash, stored):
                _add(outcome, entry.path, entry.line, sentence)
    _examine_artifacts(artifacts, outcome)
    outcome.faults.sort()
    return outcome


def _sorted(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Record files and synthetic sets; a companion is examined with its record file."""
    for path in paths:
        if not path.is_file():
            raise MissingData(f"There is no file {path}.")
        if not path.name.endswith((".jsonl", ARTIFACT, *COMPANIONS)):
            raise InvalidValue(
                f"{path} is no contribution; give record files (.jsonl) and synthetic sets "
                f"({ARTIFACT})."
            )
    artifacts = [path for path in paths if path.suffix == ARTIFACT]
    named = [path for path in paths if path.suffix != ARTIFACT]
    record_files = [_record_file(path) for path in named]
    if not record_files:
        raise InvalidValue("A contribution needs a file of records (.jsonl).")
    return list(dict.fromkeys(record_files)), artifacts


def _record_file(path: Path) -> Path:
    for ending in COMPANIONS:
        if path.name.endswith(ending):
            return path.with_name(f"{path.name.removesuffix(ending)}.jsonl")
    return path


def _add(outcome: Examination, path: Path, line: int, sentence: str) -> None:
    outcome.faults.append(Fault(path=str(path), line=line, sentence=sentence))


def _standing(path: Path, results: Path, published: Path | None) -> set[str]:
    """Names of the records that the file of the same name holds in the trusted results."""
    if published is None or not path.resolve().is_relative_to(results.resolve()):
        return set()
    trusted = published / path.resolve().relative_to(results.resolve())
    return (
        {supersession.name(record) for record in records.read(trusted)}
        if trusted.exists()
        else set()
    )


def _read(path: Path, outcome: Examination, standing: set[str]) -> None:
    """Read the records of a file; the first that says what a trusted one says is that one."""
    left = set(standing)
    try:
        for number, line in lines(path):
            try:
                record = records.parse(line, "the line")
            except BadFile as fault:
                _add(outcome, path, number, str(fault))
            else:
                name = supersession.name(record)
                entry = Entry(path=path, line=number, record=record, published=name in left)
                outcome.entries.append(entry)
                left.discard(name)
    except BadFile as fault:
        _add(outcome, path, 0, str(fault))


def _published(results: Path, examined: Iterable[Path]) -> set[tuple[str, Origin]]:
    """Trials with their origins that stand in other files of the results."""
    own = {path.resolve() for path in examined}
    others = [path for path in records.files(results) if path.resolve() not in own]
    found = set()
    for path in others:
        for number, line in lines(path):
            try:
                record = records.parse(line, f"{path}:{number}")
            except BadFile:  # not this contribution's fault
                continue
            found.add((record.id, origin(record)))
    return found


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
            _add(outcome, entry.path, entry.line, "repeats a published measurement; leave it out.")
        elif other is not entry and supersession.name(entry.record) not in replacing:
            where = f"{other.path}:{other.line}"
            _add(outcome, entry.path, entry.line, f"repeats the measurement of {where}.")


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
                _add(outcome, log, line, against)
    except BadFile as fault:
        _add(outcome, log, 0, str(fault))


def _correct(
    path: Path, members: Sequence[Entry], outcome: Examination
) -> Mapping[str, tuple[bytes, ...]]:
    """Per-image correctness from the companion, every line of which must belong to a record."""
    try:
        correct = records.read_correct(path)
    except BadFile as fault:
        _add(outcome, records.correct_path(path), 0, str(fault))
        return {}
    for strange in correct.keys() - {entry.record.id for entry in members}:
        sentence = f"trial {strange[:12]} has per-image correctness and no record."
        _add(outcome, records.correct_path(path), 0, sentence)
    return correct


def _objections(
    entry: Entry, results: Path, rules_hash: RulesHash, correct: Sequence[bytes]
) -> Iterator[str]:
    record, where = entry.record, entry.record.trial
    if where.split != "test":
        yield f"is of the {where.split} split; only results on the test split are published."
    if record.status not in FINAL:
        yield f"ended {record.status}, which another attempt may not; run it again."
    if record.status == "ok" and not record.metrics:
        yield "is ok but states no metric."
    if record.environment.commit.endswith("-dirty"):
        yield "was made from a checkout with uncommitted changes; commit them and run it again."
    known = rules_hash(where.protocol, where.version, where.tier)
    if known is None:
        yield (
            f"follows {where.protocol} v{where.version} ({where.tier}), which is not installed; "
            f"contribute the protocol first."
        )
    elif against := objection(record, known, correct) or unplanned(record):
        yield against
    belongs = records.path_of(results, where, record.method.name)
    inside = entry.path.resolve().is_relative_to(results.resolve())
    if inside and entry.path.resolve() != belongs.resolve():
        yield f"belongs in {belongs}."


def _examine_artifacts(paths: Iterable[Path], outcome: Examination) -> None:
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
            _add(outcome, path, 0, str(error))
            continue
        outcome.artifacts += 1
        found.add(sha256)
        if sha256 not in naming:
            _add(outcome, path, 0, f"no record names it (SHA-256 {sha256}).")
        for entry in naming[sha256]:
            for sentence in check(entry.record):
                _add(outcome, entry.path, entry.line, f"{sentence} in {path}.")
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
