"""Figures of ``bench profile`` in a contribution, each judged as publishing would judge it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.errors import BadFile
from bench.lines import lines
from bench.profiling import records as profiles
from bench.profiling.records import FOLDER, ProfileRecord
from leaderboard import profile_files
from leaderboard.contribution import Examination

_DEPTH = 3
"""Folders between ``profiles`` and a file: protocol, tier, dataset."""


def are_profiles(path: Path) -> bool:
    """Whether a file lies where figures of ``bench profile`` do, and no records of trials."""
    parents = path.resolve().parents
    return len(parents) > _DEPTH and parents[_DEPTH].name == FOLDER


def examine_profiles(
    paths: Iterable[Path], outcome: Examination, home: Path, published: Path | None
) -> None:
    """Judge every figure of some files.

    Args:
        paths: the files.
        outcome: takes up faults, and counts new figures.
        home: the folder that holds the published results.
        published: a trusted copy of it; figures that stand there are not judged again.
    """
    trusted = _identities([published]) if published else set()
    first: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        for number, record in _read(path, outcome):
            identity = profile_files.identity(record)
            if identity in trusted and path.resolve().is_relative_to(home.resolve()):
                continue
            outcome.profiles += 1
            where = f"{path}:{number}"
            if identity in trusted:
                outcome.add(path, number, "repeats a published figure; leave it out.")
            elif (other := first.setdefault(identity, where)) != where:
                outcome.add(path, number, f"repeats the figure of {other}; leave one out.")
            for sentence in _objections(record, path, home):
                outcome.add(path, number, sentence)


def _identities(homes: Iterable[Path]) -> set[str]:
    return {profile_files.identity(record) for record in profile_files.read(homes).records}


def _read(path: Path, outcome: Examination) -> Iterator[tuple[int, ProfileRecord]]:
    try:
        for number, line in lines(path):
            try:
                yield number, profiles.parse(line, "the line")
            except BadFile as fault:
                outcome.add(path, number, str(fault))
    except BadFile as fault:
        outcome.add(path, 0, str(fault))


def _objections(record: ProfileRecord, path: Path, home: Path) -> Iterator[str]:
    known = profile_files.installed_hash(record.protocol, record.version, record.tier)
    if known is None:
        yield (
            f"follows {record.protocol} v{record.version} ({record.tier}), which is not installed; "
            f"contribute the protocol first."
        )
    elif against := profile_files.objection(record, known):
        yield against
    belongs = profiles.path_of(home, record)
    if path.resolve() != belongs.resolve() and path.resolve().is_relative_to(home.resolve()):
        yield f"belongs in {belongs}."
