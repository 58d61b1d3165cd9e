"""The whole site as files in memory: a pure function, so that two builds are byte for byte one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.profiling.records import ProfileRecord
from bench.records import Record
from bench.statistics import ALPHA, POWER
from leaderboard.site import assets, beside, efficiency, links, overview, ranking
from leaderboard.site.boards import boards
from leaderboard.site.charts import charts
from leaderboard.site.claims import claims
from leaderboard.site.datasets import datasets
from leaderboard.site.methods import methods
from leaderboard.site.protocols import protocols
from leaderboard.site.rendering import render
from leaderboard.standings import standings
from leaderboard.state import state
from leaderboard.studies import Section, without
from leaderboard.tables import Table


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a site is built from, besides its tables.

    Attributes:
        records: every record, also those that no table counts.
        superseded: records that a newer one has replaced; shown with their method, never counted.
        told: what protocols say in tables of their own.
        profiles: every profile record.
        correct: packed per-image correctness by trial id, where it is stored.
        stores: where artefacts for the gallery are looked for; ``()`` for a site without pictures.
        data_root: where real images are looked for; ``None`` for the usual place.
        commit: the commit that builds the site, to be stated; ``""`` to leave it out.
    """

    records: Sequence[Record]
    superseded: Sequence[Record] = ()
    told: Sequence[Section] = ()
    profiles: Sequence[ProfileRecord] = ()
    correct: Mapping[str, bytes] = field(default_factory=dict)
    stores: tuple[Path, ...] = ()
    data_root: Path | None = None
    commit: str = ""


def build(found: Sequence[Table], sources: Sources) -> dict[str, bytes]:
    """Every file of the site, by its address from the site's root.

    Args:
        found: the tables of the records.
        sources: what else there is.
    """
    with ThreadPoolExecutor(1) as aside:  # bundling the chart library takes seconds
        library = aside.submit(assets.chart_library)
        files = _pages(found, sources)
        return dict(sorted((files | assets.own() | library.result()).items()))


def _pages(found: Sequence[Table], sources: Sources) -> dict[str, bytes]:
    found_boards = boards(found)
    untold = without(found, sources.told)
    cells = boards(untold)
    every_protocol = protocols(found_boards, sources.told)
    every_method = methods(found_boards, sources.records, sources.superseded)
    every_dataset = datasets(found_boards)
    exhibits, images = _gallery(found, sources)
    shared: dict[str, Any] = {
        "state": state(sources.records),
        "commit": sources.commit,
        "chart_library": assets.chart_library_versions(),
        "protocols": every_protocol,
    }
    drawn = {board.id: charts(board) for board in found_boards}
    files = dict(images)

    def add(template: str, page: str, **values: Any) -> None:
        files[page] = render(template, page, **shared, **values)

    add(
        "index.html",
        "index.html",
        boards=cells,
        charts=drawn,
        overviews=overview.overviews(cells),
        standings=standings(untold),
    )
    for protocol in every_protocol:
        add("protocol.html", links.protocol_page(protocol.name), protocol=protocol, charts=drawn)
    add("efficiency.html", "efficiency.html", costs=efficiency.costs(sources.profiles))
    files[links.PROFILES_FILE] = efficiency.lines(sources.profiles).encode()
    add("methods.html", "methods.html", methods=every_method)
    add("datasets.html", "datasets.html", datasets=every_dataset)
    add("gallery.html", "gallery.html", exhibits=exhibits, pictured=bool(sources.stores))
    add("reported.html", "reported.html", pairs=beside.pairs(found_boards))
    there = {"efficiency.html", *(links.protocol_page(each.name) for each in every_protocol)}
    add("claims.html", "claims.html", claims=claims(), there=there)
    example = ranking.example(untold, sources.correct) or ranking.example(found, sources.correct)
    add("ranks.html", "ranks.html", example=example, alpha=ALPHA, power=POWER)
    for method in every_method:
        own = [exhibit for exhibit in exhibits if exhibit.row.method == method.name]
        add("method.html", links.method_page(method.name), method=method, exhibits=own)
        files[links.records_file(method.name)] = method.lines.encode()
    for data in every_dataset:
        add("dataset.html", links.dataset_page(data.name), data=data, charts=drawn)
    return files


def _gallery(found: Sequence[Table], sources: Sources) -> tuple[list[Any], dict[str, bytes]]:
    if not sources.stores:
        return [], {}
    from leaderboard.site.gallery import gallery  # the one part that needs torch

    return gallery(found, sources.stores, sources.data_root)
