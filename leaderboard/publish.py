"""From a store to the published results: validated, append-only, every trial once.

A record is published if its outcome is final, its split is ``test``, its id is the digest of its
own coordinates, its protocol's rules are the known ones of that version, and its accuracy is what
its per-image correctness says. What stands in the results already is never touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import records
from bench.errors import BadFile, BenchError
from bench.lines import append_line
from bench.recipes import Recipe
from bench.records import FINAL, Record
from bench.trials import Distillation, Tier, Trial
from leaderboard.tables import counted

RulesHash = Callable[[str, int, Tier], str | None]
"""The hash of a protocol's rules by name, version and tier; ``None`` where they are not known."""


@dataclass(kw_only=True)
class Outcome:
    """What became of a store's trials.

    Attributes:
        published: trials appended to the results.
        present: trials that stood there already.
        left: trials that are not for publication: validation, failed, out of memory.
        refused: a sentence for each record that contradicts itself or its protocol.
        faults: damaged lines and files of store and results.
    """

    published: int = 0
    present: int = 0
    left: int = 0
    refused: list[str] = field(default_factory=list)
    faults: list[BadFile] = field(default_factory=list)


def publish(source: Path, results: Path, rules_hash: RulesHash) -> Outcome:
    """Append the records of a store that are not among the results yet.

    Args:
        source: the store's folder of record files.
        results: the folder of published record files.
        rules_hash: what the installed protocols say; rules unknown to it must agree with the first
            published record of the same protocol, version and tier.

    Raises:
        StoreError: the results cannot be written.
    """
    standing, damaged = records.scan(results)
    found, faults = records.scan(source)
    outcome = Outcome(faults=[*damaged, *faults])
    final = [record for record in counted(found) if record.status in FINAL]
    outcome.left = len({record.id for record in found}) - len(final)
    known = {record.id for record in standing}
    fresh = [record for record in final if record.id not in known]
    outcome.present = len(final) - len(fresh)
    hashes = {_rules(record): record.protocol_hash for record in reversed(standing)}

    def expected(record: Record) -> str:
        rules = _rules(record)
        return rules_hash(*rules) or hashes.setdefault(rules, record.protocol_hash)

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
        sound = list(_sound(members, correct, expected, outcome.refused))
        _append(path, sound, {key: bits for key, bits in correct.items() if key not in there})
        outcome.published += len(sound)
    return outcome


def _sound(
    members: Iterable[Record],
    correct: Mapping[str, bytes],
    expected: Callable[[Record], str],
    refused: list[str],
) -> Iterator[Record]:
    """The records that nothing speaks against; a sentence for each other goes to ``refused``."""
    for record in members:
        against = objection(record, expected(record), correct.get(record.id))
        if against:
            refused.append(f"{record.method.name}: trial {record.id[:12]} {against}")
        else:
            yield record


def _rules(record: Record) -> tuple[str, int, Tier]:
    return record.trial.protocol, record.trial.version, record.trial.tier


def _append(path: Path, sound: list[Record], correct: Mapping[str, bytes]) -> None:
    """Append records with their per-image correctness, which goes first: no record lacks it."""
    bits = [records.correct_line(r.id, correct[r.id]) for r in sound if r.id in correct]
    for target, lines in (
        (records.correct_path(path), bits),
        (path, [record.line() for record in sound]),
    ):
        if lines:
            append_line(target, "".join(lines))


def objection(record: Record, rules_hash: str, correct: bytes | None) -> str:
    """What speaks against publishing a record, as the rest of a sentence; ``""`` if nothing does.

    Args:
        record: the record.
        rules_hash: hash of its protocol's rules.
        correct: its packed per-image correctness, where the store has it.
    """
    if record.protocol_hash != rules_hash:
        where = record.trial
        return (
            f"was made under other rules than {where.protocol} v{where.version} ({where.tier}): "
            f"hash {record.protocol_hash[:12]}, not {rules_hash[:12]}; run it again."
        )
    if _id(record) != record.id:
        return "has an id that is not the digest of its coordinates; run it again."
    if correct is not None and not _agree(correct, record.metrics):
        return "states another accuracy than its per-image correctness; run it again."
    return ""


def _id(record: Record) -> str | None:
    """The trial id that the record's coordinates have; ``None`` where its recipe is none."""
    where, method = record.trial, record.method
    try:
        recipe = Recipe(epochs=1).with_changes(dict(record.recipe))
    except (BenchError, TypeError):
        return None
    return Trial(
        protocol=where.protocol,
        version=where.version,
        protocol_hash=record.protocol_hash,
        tier=where.tier,
        track=where.track,
        distillation=Distillation(
            method=method.name,
            version=method.version,
            parameters=method.parameters,
            dataset=where.dataset,
            checksum=record.dataset.checksum,
            preprocessing=record.dataset.preprocessing,
            split=where.split,
            budget=where.budget,
            network=where.network,
            seed=where.distillation_seed,
        ),
        architecture=where.architecture,
        recipe=recipe,
        seed=where.evaluation_seed,
    ).id


def _agree(correct: bytes, metrics: Mapping[str, float]) -> bool:
    """Whether some number of images that fills these bytes gives the stated accuracy."""
    if "accuracy" not in metrics:
        return True
    right = int.from_bytes(correct).bit_count()
    images = range(max(1, 8 * len(correct) - 7), 8 * len(correct) + 1)
    return any(abs(right / n - metrics["accuracy"]) < 1e-6 for n in images)
