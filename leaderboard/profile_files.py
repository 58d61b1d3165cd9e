"""Profile records where they are published: read with their faults, appended once they are sound.

In a store and beside the published results alike they are
``profiles/<protocol>-v<N>/<tier>/<dataset>/<method>.jsonl``, where no reader of trials looks. What
stands is never touched:

- a figure that stands already, from the same commit, torch, machine and platform, is left out;
- one of another origin joins, and tables show the latest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from statistics import median

from bench.errors import BadFile, UnknownName
from bench.files import canonical_json
from bench.lines import lines
from bench.profiling import records as profiles
from bench.profiling.records import ProfileRecord
from bench.trials import Tier
from leaderboard.installed import RulesHash
from leaderboard.validation import uncommitted

_OUTCOME = {"status", "reason", "peak_bytes", "reserved_bytes", "host_bytes", "steps", "time"} | {
    *("seconds_per_step", "seconds", "seconds_band", "seconds_total", "flops", "bytes_moved"),
    *("fits", "remedy", "clocks", "environment"),
}
"""What a figure says; everything else in a record says what it is a figure of."""


@dataclass(frozen=True, kw_only=True)
class ProfileReading:
    """What some folders say.

    Attributes:
        records: every profile record, file by file, oldest first.
        faults: damaged lines and files, each with its place.
    """

    records: list[ProfileRecord] = field(default_factory=list)
    faults: list[BadFile] = field(default_factory=list)


@dataclass(kw_only=True)
class ProfileOutcome:
    """What became of a store's profile records.

    Attributes:
        published: figures appended to those that stand.
        present: figures that stood there already.
        refused: a sentence for each figure that contradicts itself or its protocol.
        faults: damaged lines and files of the store and of the published home.
    """

    published: int = 0
    present: int = 0
    refused: list[str] = field(default_factory=list)
    faults: list[BadFile] = field(default_factory=list)


def read(homes: Iterable[Path]) -> ProfileReading:
    """Every profile record below the ``profiles`` folders of ``homes``; a missing one is empty."""
    reading = ProfileReading()
    for home in homes:
        for path in sorted((home / profiles.FOLDER).rglob("*.jsonl")):
            try:
                for number, line in lines(path):
                    _take(line, f"{path}:{number}", home, path, reading)
            except BadFile as fault:
                reading.faults.append(fault)
    return reading


def _take(line: bytes, where: str, home: Path, path: Path, reading: ProfileReading) -> None:
    try:
        record = profiles.parse(line, where)
        if profiles.path_of(home, record) != path:  # names may try to lead out of the folder
            raise BadFile(f"{where} belongs to another protocol, tier, dataset or method.")
        reading.records.append(record)
    except BadFile as fault:
        reading.faults.append(fault)


def publish(store: Path, home: Path, rules_hash: RulesHash) -> ProfileOutcome:
    """Append the figures of a store that do not stand in the published home yet.

    Args:
        store: the folder given to ``bench profile --store``.
        home: the folder that holds the results.
        rules_hash: what the installed rules say; rules unknown to it must agree with the first
            published figure of the same protocol, version and tier.

    Raises:
        StoreError: the home cannot be written.
    """
    standing, found = read([home]), read([store])
    outcome = ProfileOutcome(faults=[*standing.faults, *found.faults])
    known = {identity(record) for record in standing.records}
    latest = {identity(record): record for record in sorted(found.records, key=_time)}
    hashes = {_rules(record): record.protocol_hash for record in reversed(standing.records)}
    for figure, record in latest.items():
        if figure in known:
            outcome.present += 1
            continue
        rules = _rules(record)
        expected = rules_hash(*rules) or hashes.setdefault(rules, record.protocol_hash)
        against = objection(record, expected)
        if against:
            outcome.refused.append(
                f"{record.method}: {record.phase} on {record.device} ({record.kind}) {against}"
            )
        else:
            profiles.append(home, record)
            outcome.published += 1
    return outcome


def installed_hash(protocol: str, version: int, tier: Tier) -> str | None:
    """The hash of the installed profile rules of this protocol, version and tier."""
    from bench.planning import rules_hash
    from bench.profiling.rules import load_rules

    try:
        rules = load_rules(protocol, tier)
    except UnknownName:
        return None
    return rules_hash(rules) if rules.version == version else None


def objection(record: ProfileRecord, rules_hash: str) -> str:
    """What speaks against publishing a figure, as the rest of a sentence; ``""`` if nothing does.

    Args:
        record: the figure.
        rules_hash: hash of its protocol's rules.
    """
    return next(_objections(record, rules_hash), "")


def _objections(record: ProfileRecord, rules_hash: str) -> Iterator[str]:
    if record.protocol_hash != rules_hash:
        yield (
            f"was made under other rules than {record.protocol} v{record.version} "
            f"({record.tier}): hash {record.protocol_hash[:12]}, not {rules_hash[:12]}; "
            f"profile it again."
        )
    if record.status == "ok" and record.peak_bytes is None:
        yield "ended well without a peak; profile it again."
    step, total, steps = record.seconds_per_step, record.seconds_total, record.steps
    if total is not None and not isclose(total, (step or 0) * (steps or 0)):
        yield "states another total than its steps take; profile it again."
    if record.kind == "measured":
        yield from _against_measurement(record)
    else:
        yield from _against_forecast(record)
    if against := uncommitted(record.environment):
        yield f"{against} and profile it again."


def _against_measurement(record: ProfileRecord) -> Iterator[str]:
    if record.device != record.environment.device:
        yield f"calls itself measured, but it ran on {record.environment.device}."
    if record.seconds and not isclose(median(record.seconds), record.seconds_per_step or 0):
        yield "states another time than the median of its repeats; profile it again."
    if record.seconds_band is not None:
        yield "calls itself measured and states the band of a forecast."


def _against_forecast(record: ProfileRecord) -> Iterator[str]:
    measured = (record.reserved_bytes, record.host_bytes, record.emulated)
    if record.seconds or any(figure is not None for figure in measured):
        yield "calls itself a forecast and states what can only be measured."
    band, step = record.seconds_band, record.seconds_per_step
    if (band is None) != (step is None) or (band and step and not band[0] <= step <= band[1]):
        yield "states a time outside its band, or without one; forecast it again."


def identity(record: ProfileRecord) -> str:
    """What it is a figure of, and where it comes from."""
    ran = record.environment
    facts = record.model_dump(mode="json", by_alias=True, exclude=_OUTCOME)
    return canonical_json([facts, ran.commit, ran.torch, ran.device, ran.platform])


def _rules(record: ProfileRecord) -> tuple[str, int, Tier]:
    return record.protocol, record.version, record.tier


def _time(record: ProfileRecord) -> str:
    return record.time
