"""From a store to the published results: validated, append-only, every measurement once.

A record is published if its outcome is final, its split is ``test``, and nothing speaks against it
that ``bench submit`` would tell (see :func:`leaderboard.validation.objections`). What stands in the
results already is never touched:

- a trial that stands there is a duplicate and left out,
- unless another origin measured it (see :mod:`leaderboard.provenance`): it joins as a repetition,
- or unless it is to supersede what stands: it joins, and the log beside the file says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import records
from bench.errors import BadFile
from bench.lines import append_line
from bench.records import FINAL, Record
from leaderboard import supersession
from leaderboard.images import fitting
from leaderboard.installed import RulesHash
from leaderboard.provenance import origin
from leaderboard.supersession import Supersession
from leaderboard.tables import counted
from leaderboard.validation import objections


@dataclass(kw_only=True)
class Outcome:
    """What became of a store's trials.

    Attributes:
        published: records appended to the results.
        repeated: those of them whose trial another origin had published before.
        superseded: records that one of them replaces.
        present: trials that stood there already.
        left: trials that are not for publication: validation, failed, out of memory.
        refused: for each record that something speaks against, what it is.
        faults: damaged lines and files of store and results.
    """

    published: int = 0
    repeated: int = 0
    superseded: int = 0
    present: int = 0
    left: int = 0
    refused: list[str] = field(default_factory=list)
    faults: list[BadFile] = field(default_factory=list)


def publish(source: Path, results: Path, rules_hash: RulesHash, reason: str = "") -> Outcome:
    """Append the records of a store that are not among the results yet.

    Args:
        source: the store's folder of record files.
        results: the folder of published record files.
        rules_hash: the hashes of the installed protocols.
        reason: why newer records of the store supersede those of the same trial that stand; ``""``
            if they do not.

    Raises:
        StoreError: the results cannot be written.
    """
    standing, damaged = records.scan(results)
    found, faults = records.scan(source)
    outcome = Outcome(faults=[*damaged, *faults])
    final = [record for record in counted(found) if record.status in FINAL]
    outcome.left = len({record.id for record in found}) - len(final)
    known: dict[str, list[Record]] = defaultdict(list)
    for record in standing:
        known[record.id].append(record)
    fresh = [record for record in final if _is_new(record, known.get(record.id, ()), reason)]
    outcome.present = len(final) - len(fresh)
    files: dict[Path, list[Record]] = defaultdict(list)
    for record in fresh:
        files[records.path_of(results, record.trial, record.method.name)].append(record)
    for path, members in sorted(files.items()):
        try:
            correct = records.read_correct(source / path.relative_to(results))
            there = records.read_correct(path)
        except BadFile as fault:
            outcome.faults.append(fault)
            continue
        sound = list(_sound(members, correct, rules_hash, outcome.refused))
        log = [entry for record in sound for entry in _replaces(record, known, reason)]
        _append(path, sound, list(_bits(sound, correct, there)), log)
        outcome.published += len(sound)
        outcome.superseded += len(log)
        outcome.repeated += sum(record.id in known for record in sound) if not reason else 0
    return outcome


def _is_new(record: Record, standing: Iterable[Record], reason: str) -> bool:
    """Whether a record joins those of the same trial that stand."""
    standing = list(standing)
    if not standing:
        return True
    if reason:
        return all(record.time > other.time for other in standing)
    return origin(record) not in {origin(other) for other in standing}


def _replaces(
    record: Record, known: Mapping[str, list[Record]], reason: str
) -> Iterator[Supersession]:
    """What a record supersedes: with a reason, everything of its trial that stands."""
    for other in known.get(record.id, ()) if reason else ():
        yield Supersession(
            trial=record.id,
            replaced=supersession.name(other),
            by=supersession.name(record),
            reason=reason,
        )


def _sound(
    members: Iterable[Record],
    correct: Mapping[str, Sequence[bytes]],
    rules_hash: RulesHash,
    refused: list[str],
) -> Iterator[Record]:
    """The records that nothing speaks against; what speaks against others goes to ``refused``."""
    for record in members:
        against = " It ".join(objections(record, rules_hash, correct.get(record.id, ())))
        if against:
            refused.append(f"{record.method.name}: trial {record.id[:12]} {against}")
        else:
            yield record


def _bits(
    sound: Iterable[Record],
    correct: Mapping[str, Sequence[bytes]],
    there: Mapping[str, Sequence[bytes]],
) -> Iterator[str]:
    """For each record the line with its per-image correctness, unless it stands there already."""
    for record in sound:
        bits = fitting(correct.get(record.id, ()), record)
        if bits is not None and bits not in there.get(record.id, ()):
            yield records.correct_line(record.id, bits)


def _append(path: Path, sound: list[Record], bits: list[str], log: list[Supersession]) -> None:
    """Append records; what belongs to them goes first, so that no record ever lacks it."""
    for target, lines in (
        (records.correct_path(path), bits),
        (supersession.path_of(path), [entry.line() for entry in log]),
        (path, [record.line() for record in sound]),
    ):
        if lines:
            append_line(target, "".join(lines))
