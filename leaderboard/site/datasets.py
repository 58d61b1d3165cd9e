"""What the page of a dataset says: where it comes from, its terms, its boards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from bench import plugins
from bench.errors import BenchError
from leaderboard.site.boards import Board

if TYPE_CHECKING:
    from bench.datasets import Dataset


@dataclass(frozen=True, kw_only=True)
class RealData:
    """One dataset with results.

    Attributes:
        name: its name in the tables.
        known: what is registered under that name; ``None`` for data of somebody's own.
        checksums: of the data that the records ran on.
        boards: its boards.
    """

    name: str
    known: Dataset | None
    checksums: tuple[str, ...]
    boards: tuple[Board, ...]


def datasets(found: Sequence[Board]) -> list[RealData]:
    """Every dataset with results, by name."""
    by_name = sorted(found, key=lambda board: board.key.dataset)  # stable: boards keep their order
    return [
        _real_data(name, tuple(members))
        for name, members in groupby(by_name, key=lambda board: board.key.dataset)
    ]


def _real_data(name: str, members: tuple[Board, ...]) -> RealData:
    return RealData(
        name=name,
        known=_registered(name),
        checksums=tuple(sorted({board.key.checksum for board in members})),
        boards=members,
    )


def _registered(name: str) -> Dataset | None:
    try:
        known: Dataset = plugins.load("datasets", name)
    except BenchError:
        return None
    return known
