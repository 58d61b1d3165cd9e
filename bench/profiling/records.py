"""Profile records: one figure of one phase as one JSON line.

They describe no student, so they have a schema of their own and files of their own, apart from the
records of trials: ``profiles/<protocol>-v<N>/<tier>/<dataset>/<method>.jsonl``, append-only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import BadFile, BenchError
from bench.files import canonical_json
from bench.lines import append_line
from bench.records import (
    Count,
    Environment,
    Name,
    NonNegative,
    Plain,
    Positive,
    Sha256,
    Time,
    plain_name,
)
from bench.specs import Budget
from bench.trials import Tier

FOLDER = "profiles"
"""Below a store, and below the folder that holds the published results."""

Kind = Literal["measured", "forecast"]
Phase = Literal["prepare", "distill", "evaluate"]
PHASES: tuple[Phase, ...] = get_args(Phase)


class ProfileRecord(BaseModel):
    """What a phase took, or will take.

    Attributes:
        kind: ``measured`` on ``device``, or ``forecast`` for it.
        phase: ``prepare``, ``distill`` or ``evaluate``.
        device: the device at hand by its own name; in a forecast a name of the catalogue.
        emulated: the device whose memory a larger one was capped to, if any.
        status: ``oom`` where the device at hand ran out of memory; ``skipped`` where the method
            does not apply.
        reason: why it did not end well.
        peak_bytes: the allocator's peak on CUDA, the peak of live tensor storage on the CPU; in
            forecasts the allocator's peak without the libraries' workspaces.
        reserved_bytes: what CUDA's allocator held at most; measured on CUDA only.
        host_bytes: the process's own peak; measured only.
        steps: steps of the phase in the preset.
        seconds_per_step: median over ``seconds``; in forecasts by roofline.
        seconds: every timed step, or mean of a cycle of steps; measured only.
        seconds_band: a forecast time is meant to lie between these.
        seconds_total: ``steps`` times ``seconds_per_step``.
        flops: floating-point operations of a step, of matrix products and convolutions; counted.
        bytes_moved: bytes that a step's operators read and write; counted.
        fits: whether ``device`` (or the emulated one) has memory enough.
        remedy: what makes it fit where it does not, such as ``segment=125``.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    protocol: Name
    version: Positive
    protocol_hash: Sha256
    tier: Tier
    method: Name
    method_version: Positive
    parameters: Plain
    dataset: Name
    budget: Budget
    network: Name
    phase: Phase
    kind: Kind
    device: Name
    emulated: Name | None = None
    status: Literal["ok", "oom", "skipped"] = "ok"
    reason: str = ""
    peak_bytes: Count | None = None
    reserved_bytes: Count | None = None
    host_bytes: Count | None = None
    steps: Count | None = None
    seconds_per_step: NonNegative | None = None
    seconds: tuple[NonNegative, ...] = ()
    seconds_band: tuple[NonNegative, NonNegative] | None = None
    seconds_total: NonNegative | None = None
    flops: NonNegative | None = None
    bytes_moved: NonNegative | None = None
    fits: bool | None = None
    remedy: str | None = None
    environment: Environment
    clocks: str = ""
    time: Time

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)


def path_of(root: Path, record: ProfileRecord) -> Path:
    """The file under ``root`` that a record belongs to; a plain name at every level."""
    parts = (f"{record.protocol}-v{record.version}", record.tier, record.dataset, record.method)
    *folders, name = map(plain_name, parts)
    return root.joinpath(FOLDER, *folders, f"{name}.jsonl")


def append(root: Path, record: ProfileRecord) -> None:
    """Append a record under ``root``.

    Raises:
        StoreError: the file cannot be written.
    """
    append_line(path_of(root, record), canonical_json(record.as_dict()) + "\n")


def parse(line: bytes, where: str) -> ProfileRecord:
    """The record that a line states.

    Args:
        line: JSON.
        where: names the line in messages.

    Raises:
        BadFile: it is no such record.
    """
    try:
        return ProfileRecord.model_validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        fault = f"{'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}"
    except BenchError as error:  # a budget that cannot be
        fault = str(error).rstrip(".")
    printable = fault.encode("unicode_escape").decode("ascii")[:300]  # keys may be hostile
    raise BadFile(f"{where} is no profile record: {printable}.")
