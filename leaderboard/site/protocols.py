"""Pages of protocols that make tables of their own: those tables, then every cell and chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.studies import Cell, Estimate, Study
from leaderboard.facts import facts, usual_recipe
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
class ShownSection:
    """What a protocol says of one dataset, ready for a page.

    Attributes:
        section: what it says.
        studies: its tables.
        facts: what ran, by name.
        warnings: sentences on rules or data that share a name with these.
    """

    section: Section
    studies: tuple[ShownStudy, ...]
    facts: Mapping[str, str]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One protocol's page.

    Attributes:
        name: the protocol's name.
        sections: what it says of each dataset and tier.
        boards: its cells.
    """

    name: str
    sections: tuple[ShownSection, ...]
    boards: tuple[Board, ...]


def protocols(found: Sequence[Board], told: Sequence[Section]) -> list[Protocol]:
    """A page for each protocol with tables of its own, by name."""
    return [
        Protocol(
            name=name,
            sections=tuple(_shown(each, found) for each in told if each.protocol == name),
            boards=tuple(board for board in found if board.key.protocol == name),
        )
        for name in sorted({section.protocol for section in told})
    ]


def _shown(section: Section, found: Sequence[Board]) -> ShownSection:
    place = (section.title, section.protocol_hash, section.checksum)
    tables = [sheet.table for board in found for sheet in board.sheets]
    own = [table for table in tables if section.tells_of(table.key)]
    return ShownSection(
        section=section,
        studies=tuple(shown(study, *place) for study in section.studies),
        facts=facts(own, usual_recipe(own)),
        warnings=tuple(section.warnings(own)),
    )


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
