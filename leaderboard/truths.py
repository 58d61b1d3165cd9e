"""The ground truth of protocols that rank architectures: what it is, and which rows measured it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from bench.records import Record
from bench.studies import GroundTruth
from leaderboard.installed import LoadRules, installed_rules
from leaderboard.rows import Row

if TYPE_CHECKING:
    from bench.planning import Rules

Reference = Literal["", "ceiling", "ground truth"]
"""What a row is beside those that compete; ``""`` for one of these."""


def ground_truth(records: Sequence[Record], rules: LoadRules | None = None) -> GroundTruth | None:
    """What architectures are ranked against, by the rules that these records were made under.

    Args:
        records: of one dataset under one set of rules.
        rules: finds a protocol's rules; the installed ones unless given.
    """
    judge = _rules(records[0], rules) if records else None
    found = getattr(judge, "ground_truth", None)
    truth: GroundTruth | None = found(records) if found else None
    return truth


def reference(row: Row, rules: LoadRules | None = None) -> Reference:
    """What a row trained on the whole training set is there for."""
    if not row.ceiling:
        return ""
    record = row.records[0]
    measures = getattr(_rules(record, rules), "measures_truth", None)
    return "ground truth" if measures and measures(record) else "ceiling"


def _rules(record: Record, rules: LoadRules | None) -> Rules | None:
    where = record.trial
    load = rules or installed_rules
    return load(where.protocol, where.version, record.protocol_hash, where.tier)
