"""Records: one trial's facts as one JSON line, validated by one schema.

Records are append-only. A record file ``<method>.jsonl`` has a companion
``<method>.correct.jsonl`` that says for every test image whether the student was right, so that new
metrics and paired tests need no re-run; it is written first, so that no record lacks its companion.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bench.errors import BadFile, BenchError
from bench.files import canonical_json
from bench.lines import MAX_LINE_BYTES, append_line, lines
from bench.migrations import migrate
from bench.specs import Budget
from bench.trials import Split, Tier, Track, Trial

SCHEMA = 1
Status = Literal["ok", "failed", "oom", "diverged", "skipped"]
FINAL: frozenset[Status] = frozenset({"ok", "diverged", "skipped"})
"""Outcomes that the same trial would reach again; ``failed`` and ``oom`` are tried anew."""

MAX_INTEGER = 2**63 - 1


def _storable(values: dict[str, Any]) -> dict[str, Any]:
    try:
        canonical_json(values).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"must hold plain finite values ({error})") from error
    return values


def _fraction(metrics: dict[str, float]) -> dict[str, float]:
    if not 0 <= metrics.get("accuracy", 0) <= 1:
        raise ValueError(f"accuracy must be a fraction in [0, 1], not {metrics['accuracy']}")
    return metrics


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name must hold no control or other invisible characters")
    return name


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
Plain = Annotated[dict[str, Any], AfterValidator(_storable)]
Metrics = Annotated[
    dict[str, Finite],
    AfterValidator(_fraction),
    Field(json_schema_extra={"properties": {"accuracy": {"minimum": 0, "maximum": 1}}}),
]


class _Facts(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_serialization_defaults_required=True
    )


class Coordinates(_Facts):
    """Where a trial stands in its grid.

    ``distilled_for`` is the budget of the distillation where a generator serves another one;
    ``merged_seeds`` are the distillation seeds of further sets that the student trained on;
    ``distilled_by`` is the method that made them where the method under test takes another's.
    """

    protocol: Name
    version: Positive
    tier: Tier
    track: Track
    split: Split
    dataset: Name
    budget: Budget
    network: Name
    distillation_seed: Count
    architecture: Name
    evaluation_seed: Count
    distilled_for: Budget | None = None
    merged_seeds: tuple[Count, ...] = ()
    distilled_by: Name | None = None

    # records that were published before there were these two are valid without them
    model_config = ConfigDict(json_schema_serialization_defaults_required=False)


class MethodFacts(_Facts):
    """Which method with which parameters, and where those come from."""

    name: Name
    version: Positive
    parameters: Plain
    preset: str


class DatasetFacts(_Facts):
    """Checksum and pixel space of the real data."""

    checksum: str
    preprocessing: str


class Cost(_Facts):
    """Seconds on the clock and peak bytes of one phase.

    ``peak_bytes`` is the allocator's peak on CUDA and the peak of live tensor storage elsewhere.
    """

    seconds: Seconds
    peak_bytes: Count


class Environment(_Facts):
    """What ran the trial.

    ``calibration_seconds`` times one fixed kernel in the same run, so that two machines compare;
    ``strategy`` is how the engine trained the student (:mod:`bench.evaluation.engine`).
    """

    commit: str
    package: str
    python: str
    torch: str
    device: Name
    driver: str
    threads: Positive
    precision: str
    platform: str
    calibration_seconds: Seconds
    strategy: Name = "reference"

    # records that were published before there was a choice are valid without it
    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    @property
    def committed(self) -> bool:
        """Whether the code was that of a commit, which is named, without changes of its own."""
        return self.commit != "" and not self.commit.endswith("-dirty")


class Costs(_Facts):
    """Costs per phase; ``None`` where a phase did not run.

    The student was timed in the record's own environment. ``distilled_on`` is where preparation and
    distillation were: several where sets are merged, none where it is not known of all of them.
    Experts that preparation found trained were timed where they were trained.
    """

    prepare: Cost | None = None
    distill: Cost | None = None
    evaluate: Cost | None = None
    stored_bytes: Count | None = None
    distilled_on: tuple[Environment, ...] = ()

    # records that were published before they said so are valid without it
    model_config = ConfigDict(
        json_schema_extra={"required": ["prepare", "distill", "evaluate", "stored_bytes"]}
    )


class Record(_Facts):
    """One trial's facts. Accuracies are fractions in [0, 1], unrounded."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    id: Sha256
    protocol_hash: Sha256
    trial: Coordinates
    method: MethodFacts
    dataset: DatasetFacts
    recipe: Plain
    status: Status
    reason: str = ""
    labels: Literal["hard", "soft"] | None = None
    metrics: Metrics = {}
    cost: Costs = Costs()
    environment: Environment
    artifact: Sha256 | None = None
    time: Time

    model_config = ConfigDict(populate_by_name=True)

    @classmethod
    def of(cls, trial: Trial, **facts: Any) -> Record:
        """A record of ``trial``: its coordinates are filled in, ``facts`` are the outcome."""
        source = trial.distillation
        return cls(
            id=trial.id,
            protocol_hash=trial.protocol_hash,
            trial=Coordinates(
                protocol=trial.protocol,
                version=trial.version,
                tier=trial.tier,
                track=trial.track,
                split=source.split,
                dataset=source.dataset,
                budget=trial.budget,
                distilled_for=source.budget if trial.deployed else None,
                merged_seeds=trial.merged_seeds,
                distilled_by=source.method if trial.evaluates else None,
                network=source.network,
                distillation_seed=source.seed,
                architecture=trial.architecture,
                evaluation_seed=trial.seed,
            ),
            method=MethodFacts(
                name=trial.method,
                version=source.version,
                parameters=dict(source.parameters),
                preset=trial.preset,
            ),
            dataset=DatasetFacts(checksum=source.checksum, preprocessing=source.preprocessing),
            recipe=trial.recipe.as_dict(),
            **facts,
        )

    def shared_by(self, trial: Trial) -> Record:
        """The record of another trial whose student was trained in exactly this way."""
        return Record.of(
            trial,
            status=self.status,
            reason=self.reason,
            labels=self.labels,
            metrics=self.metrics,
            cost=self.cost,
            environment=self.environment,
            artifact=self.artifact,
            time=self.time,
        )

    def line(self) -> str:
        """The record as one line of JSON with sorted keys."""
        return canonical_json(self.model_dump(mode="json", by_alias=True)) + "\n"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a record line, as published beside the results."""
    schema = Record.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def path_of(root: Path, where: Coordinates, method: str) -> Path:
    """``<root>/<protocol>-v<N>/<tier>/<dataset>/<method>.jsonl``; a plain name at every level.

    Characters that not every file system keeps apart become ``_``; records carry the full names.
    """
    parts = (f"{where.protocol}-v{where.version}", where.tier, where.dataset, method)
    *folders, name = (plain_name(part) for part in parts)
    if name.endswith(".correct"):  # would pass for another method's companion
        name = f"{name.removesuffix('.correct')}_correct"
    return root.joinpath(*folders, f"{name}.jsonl")


def plain_name(text: str) -> str:
    """A file or folder name made of ``text``: ASCII letters, digits, ``-_.``, no dot in front."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in text)
    return safe.lstrip(".") or "_"


def correct_path(path: Path) -> Path:
    """The companion file with per-image correctness."""
    return path.with_name(f"{path.name.removesuffix('.jsonl')}.correct.jsonl")


def append(root: Path, record: Record, correct: bytes | None = None) -> None:
    """Append a record, and its per-image correctness, under ``root``.

    Args:
        root: the folder of record files.
        record: what happened.
        correct: one bit a test image, packed, the first image in the highest bit.
    """
    extend(root, [(record, correct)])


def extend(root: Path, entries: Iterable[tuple[Record, bytes | None]]) -> None:
    """Append several records as :func:`append` does one; each file is made durable once."""
    companions: dict[Path, list[str]] = defaultdict(list)
    found: dict[Path, list[str]] = defaultdict(list)
    for record, correct in entries:
        path = path_of(root, record.trial, record.method.name)
        found[path].append(record.line())
        if correct is not None:
            companions[correct_path(path)].append(correct_line(record.id, correct))
    for path, added in [*companions.items(), *found.items()]:
        append_line(path, "".join(added))


def correct_line(trial_id: str, correct: bytes) -> str:
    """A trial's packed per-image correctness as one line of the companion file."""
    bits = base64.b64encode(correct).decode()
    return canonical_json({"id": trial_id, "correct": bits}) + "\n"


def parse(line: str | bytes, where: str) -> Record:
    """Read one line.

    Raises:
        BadFile: not a record of this schema; the message names ``where`` and the first fault.
    """
    if len(line) >= MAX_LINE_BYTES:
        raise BadFile(f"{where} is longer than a record may be ({MAX_LINE_BYTES} bytes).")
    try:
        record = _validated(line, where)
        if "schema_version" in record.model_fields_set:
            return record
        fault = "schema: Field required"
    except BadFile:  # of a schema that cannot be migrated
        raise
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the line"
        fault = f"{place}: {first['msg']}"
    except BenchError as error:  # a budget that cannot be
        fault = str(error).rstrip(".")
    printable = fault.encode("unicode_escape").decode("ascii")[:300]  # keys may be hostile
    raise BadFile(f"{where} is no record of schema {SCHEMA}: {printable}.")


def _validated(line: str | bytes, where: str) -> Record:
    """A line of today's schema, or of an older one in today's shape."""
    try:
        return Record.model_validate_json(line, strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        if not any(f["loc"] == ("schema",) and f["type"] == "literal_error" for f in faults):
            raise
    facts = migrate(json.loads(line), SCHEMA, where)
    return Record.model_validate_json(canonical_json(facts), strict=True)


def read(path: Path) -> Iterator[Record]:
    """Every record of one file, oldest first.

    Raises:
        BadFile: a line is no record; the message names the line.
    """
    for number, line in lines(path):
        yield parse(line, f"{path}:{number}")


def scan(root: Path) -> tuple[list[Record], list[BadFile]]:
    """Like :func:`read_all`, but damaged lines and unreadable files are collected, not raised."""
    found: list[Record] = []
    faults: list[BadFile] = []
    for path in files(root):
        try:
            for number, line in lines(path):
                try:
                    found.append(parse(line, f"{path}:{number}"))
                except BadFile as fault:
                    faults.append(fault)
        except BadFile as fault:
            faults.append(fault)
    return found, faults


def files(root: Path) -> Iterable[Path]:
    """Record files under ``root``, sorted."""
    found = root.rglob("*.jsonl") if root.is_dir() else ()
    return sorted(
        path for path in found if path.is_file() and not path.name.endswith(".correct.jsonl")
    )


def read_all(root: Path) -> list[Record]:
    """Every record under ``root``; where a trial was run more than once, all of them."""
    return [record for path in files(root) for record in read(path)]


def read_correct(path: Path) -> dict[str, tuple[bytes, ...]]:
    """Packed per-image correctness by trial id, from a record file's companion.

    Returns:
        Everything that is stored of a trial, oldest first: a trial that was measured more than once
        has several, and each of its records the one that gives its accuracy.

    Raises:
        BadFile: a line is damaged.
    """
    companion = correct_path(path)
    if not companion.exists():
        return {}
    found: dict[str, tuple[bytes, ...]] = {}
    for number, line in lines(companion):
        try:
            entry = _Correct.model_validate_json(line)
            bits = base64.b64decode(entry.correct, validate=True)
        except ValueError as error:
            raise BadFile(f"{companion}:{number} is damaged.") from error
        found[entry.id] = (*found.get(entry.id, ()), bits)
    return found


class _Correct(_Facts):
    id: Sha256
    correct: str
