"""The page of what methods cost: tables by place, and memory against steps as charts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.files import canonical_json
from bench.profiling.records import ProfileRecord
from leaderboard import efficiency
from leaderboard.efficiency import Section
from leaderboard.site import links
from leaderboard.site.charts import Chart
from leaderboard.site.memory import memory_charts
from leaderboard.site.protocols import ShownStudy, shown


@dataclass(frozen=True, kw_only=True)
class CostPlace:
    """One place's part of the page.

    Attributes:
        section: what is known of it.
        id: its anchor.
        charts: peak memory against each parameter that was swept.
        studies: its tables.
    """

    section: Section
    id: str
    charts: tuple[Chart, ...]
    studies: tuple[ShownStudy, ...]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The page.

    Attributes:
        remarks: what figures mean.
        places: everything that was profiled.
        rest: printed figures of other works, if any.
        file: where every profile record lies, from the site's root.
    """

    remarks: tuple[str, ...]
    places: tuple[CostPlace, ...]
    rest: ShownStudy | None
    file: str


def costs(records: Iterable[ProfileRecord]) -> Costs:
    """Everything that the page shows."""
    found = efficiency.sections(records)
    rest = efficiency.unmatched(found)
    return Costs(
        remarks=efficiency.REMARKS,
        places=tuple(map(_place, found)),
        rest=shown(rest, "unmatched") if rest else None,
        file=links.PROFILES_FILE,
    )


def lines(records: Sequence[ProfileRecord]) -> str:
    """Every record as a line of JSON."""
    return "".join(f"{canonical_json(record.as_dict())}\n" for record in records)


def _place(section: Section) -> CostPlace:
    place = (section.place.title, section.place.protocol_hash)
    return CostPlace(
        section=section,
        id=links.anchor("costs", *place),
        charts=tuple(memory_charts(section)),
        studies=tuple(shown(study, *place) for study in section.studies),
    )
