"""All records as one Parquet file with flat columns; docs/ranks.md lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import atomic_write, canonical_json
from bench.profiling.records import PHASES
from bench.records import Environment, Record
from leaderboard.reading import Reading
from leaderboard.tables import counted

if TYPE_CHECKING:
    import pyarrow as pa


def write(path: Path, reading: Reading) -> int:
    """Write the records of a reading, those that stand first; how many they are.

    Raises:
        StoreError: the file cannot be written.
    """
    import pyarrow.parquet as pq

    found = table(reading)
    with atomic_write(path) as temporary:
        pq.write_table(found, temporary)
    return len(found)


def table(reading: Reading) -> pa.Table:
    """One row a record; a metric's column is ``metric_<name>``, null where a record lacks it."""
    import pyarrow as pa

    records = [*reading.records, *reading.superseded, *reading.left_out]
    counts = {id(record) for record in counted(reading.records)}
    replaced = {id(record) for record in reading.superseded}
    own = {id(record) for record in (*reading.local, *reading.left_out)}
    rows = [
        _flat(record)
        | {"counted": id(record) in counts, "superseded": id(record) in replaced}
        | {"local": id(record) in own}
        for record in records
    ]
    metrics = sorted({name for record in records for name in record.metrics})
    found = pa.Table.from_pylist(rows, schema=_schema())
    for name in metrics:
        column = pa.array([record.metrics.get(name) for record in records], pa.float64())
        found = found.append_column(f"metric_{name}", column)
    return found


def _schema() -> pa.Schema:
    """Names and types of the columns that every file has."""
    import pyarrow as pa

    text, whole, real, flag = pa.string(), pa.int64(), pa.float64(), pa.bool_()
    costs = {
        f"{phase}_{name}": kind
        for phase in PHASES
        for name, kind in (("seconds", real), ("peak_bytes", whole))
    }
    return pa.schema(
        dict.fromkeys(("id", "protocol", "protocol_hash", "tier", "track", "split"), text)
        | {"schema": whole, "version": whole}
        | {"dataset": text, "checksum": text, "preprocessing": text}
        | {"budget_kind": text, "budget": whole, "network": text, "architecture": text}
        | {"distillation_seed": whole, "evaluation_seed": whole}
        | {"method": text, "method_version": whole, "parameters": text, "preset": text}
        | {"recipe": text, "status": text, "reason": text, "labels": text}
        | costs
        | {"stored_bytes": whole, "distilled_on": text, "artifact": text, "time": text}
        | dict.fromkeys(("commit", "package", "python", "torch", "device", "driver"), text)
        | {"threads": whole, "precision": text, "platform": text, "calibration_seconds": real}
        | {"strategy": text}
        | {"counted": flag, "superseded": flag, "local": flag}
    )


def _flat(record: Record) -> dict[str, Any]:
    where = record.trial
    return {
        "id": record.id,
        "schema": record.schema_version,
        "protocol": where.protocol,
        "version": where.version,
        "protocol_hash": record.protocol_hash,
        "tier": where.tier,
        "track": where.track,
        "split": where.split,
        "dataset": where.dataset,
        "checksum": record.dataset.checksum,
        "preprocessing": record.dataset.preprocessing,
        "budget_kind": where.budget.kind,
        "budget": where.budget.count,
        "network": where.network,
        "architecture": where.architecture,
        "distillation_seed": where.distillation_seed,
        "evaluation_seed": where.evaluation_seed,
        "method": record.method.name,
        "method_version": record.method.version,
        "parameters": canonical_json(record.method.parameters),
        "preset": record.method.preset,
        "recipe": canonical_json(record.recipe),
        "status": record.status,
        "reason": record.reason,
        "labels": record.labels,
        **_costs(record),
        "stored_bytes": record.cost.stored_bytes,
        "distilled_on": _environments(record.cost.distilled_on),
        "artifact": record.artifact,
        "time": record.time,
        **record.environment.model_dump(),
    }


def _environments(found: Sequence[Environment]) -> str:
    return canonical_json([environment.model_dump() for environment in found])


def _costs(record: Record) -> Mapping[str, float | None]:
    phases: Sequence[tuple[str, Any]] = [(name, getattr(record.cost, name)) for name in PHASES]
    return {
        f"{name}_{fact}": getattr(cost, fact) if cost else None
        for name, cost in phases
        for fact in ("seconds", "peak_bytes")
    }
