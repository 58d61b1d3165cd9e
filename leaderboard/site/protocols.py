"""Pages of protocols that make tables of their own: those tables, then every cell and chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.studies import Cell, Estimate, Study
from leaderboard.site import links
from leaderboard.site.boards import Board
from leaderboard.studies import Section


@dataclass(frozen=True, kw_only=True)
class ShownStudy:
    """A protocol's own table, ready for a page.

    Attributes:
        study: what it shows.
        id: its anchor.
        lines: for each row the texts of its cells with what they sort by.
    """

    study: Study
    id: str
    lines: tuple[tuple[tuple[str, float | None], ...], ...]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One protocol's page.

    Attributes:
        name: the protocol's name.
        sections: what it says of each dataset and tier, with its tables.
        boards: its cells.
    """

    name: str
    sections: tuple[tuple[Section, tuple[ShownStudy, ...]], ...]
    boards: tuple[Board, ...]


def protocols(found: Sequence[Board], told: Sequence[Section]) -> list[Protocol]:
    """A page for each protocol with tables of its own, by name."""
    return [
        Protocol(
            name=name,
            sections=tuple(
                (
                    section,
                    tuple(
                        shown(study, section.title, section.protocol_hash)
                        for study in section.studies
                    ),
                )
                for section in told
                if section.protocol == name
            ),
            boards=tuple(board for board in found if board.key.protocol == name),
        )
        for name in sorted({section.protocol for section in told})
    ]


def shown(study: Study, *place: str) -> ShownStudy:
    """A table ready for a page; ``place`` tells it from others of the same title."""
    lines = (
        tuple(zip(texts, map(_sort_key, row), strict=True))
        for texts, row in zip(study.texts(), study.rows, strict=True)
    )
    return ShownStudy(
        study=study, id=links.anchor("study", *place, study.title), lines=tuple(lines)
    )


def _sort_key(cell: Cell) -> float | None:
    """What a cell sorts by: texts by themselves, missing numbers first or last."""
    if isinstance(cell, str):
        return None
    if cell is None:
        return -1e308
    return cell.value if isinstance(cell, Estimate) else float(cell)
