"""Protocols' own tables: who may speak for which records, and where the tables stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bench.planning import load_rules, rules_hash
from bench.records import Record
from bench.specs import Budget
from bench.studies import Column, Estimate, Study
from leaderboard import markdown
from leaderboard.installed import installed_rules
from leaderboard.site import Sources, build
from leaderboard.studies import Section, sections, without
from leaderboard.tables import tables

Sample = Callable[..., list[Record]]
PROTOCOL = {"protocol": "transfer", "protocol_hash": "b" * 64}


@dataclass
class Rules:
    """Says the mean of what it is given, and remembers it."""

    given: list[Sequence[Record]]

    def studies(self, records: Sequence[Record]) -> list[Study]:
        self.given.append(records)
        estimate = Estimate.of([record.metrics["accuracy"] for record in records])
        return [
            Study(
                title="Means <b>",
                columns=(Column(name="Method"), Column(name="Mean", kind="percent")),
                rows=(("all | of them", estimate), ("none", None)),
                notes=("A note with `code`.",),
            )
        ]


@pytest.fixture
def records(sample: Sample) -> list[Record]:
    return [
        *sample("dm", [0.5, 0.7]),
        *sample("dm", [0.2, 0.4], trial=PROTOCOL),
        *sample("dm", [0.9], trial=PROTOCOL, split="validation"),
    ]


def told(records: Sequence[Record]) -> tuple[list[Section], Rules]:
    rules = Rules([])

    def load(name: str, version: int, digest: str, *_: object) -> Rules | None:
        return rules if (name, digest) == ("transfer", PROTOCOL["protocol_hash"]) else None

    return sections(records, load), rules  # type: ignore[arg-type]


def test_a_protocol_speaks_for_its_own_test_records_alone(records: list[Record]) -> None:
    (section,), rules = told(records)
    assert [[r.metrics["accuracy"] for r in given] for given in rules.given] == [[0.2, 0.4]]
    assert (section.protocol, section.tier, section.dataset) == ("transfer", "quick", "digits")


def test_installed_rules_answer_for_their_own_version_and_hash_only() -> None:
    rules = load_rules("ipc-grid", "quick")
    digest = rules_hash(rules)
    assert installed_rules("ipc-grid", rules.version, digest, "quick") == rules
    assert installed_rules("ipc-grid", rules.version, "0" * 64, "quick") is None
    assert installed_rules("ipc-grid", rules.version + 1, digest, "quick") is None
    assert installed_rules("nobodys", 1, digest, "quick") is None


def test_its_tables_stand_on_the_page_instead_of_its_cells(records: list[Record]) -> None:
    found = tables(records)
    own, _ = told(records)
    page = markdown.page(found, own)
    assert "## transfer v1, quick tier: digits" in page
    assert "30.0 ± 10.0" in page
    assert "Means \\<b\\>" in page or "Means &lt;b&gt;" in page
    assert "transfer v1, quick tier, standard track" not in page
    assert {table.key.protocol for table in without(found, own)} == {"ipc-grid"}
    assert "transfer" not in markdown.block(found, "page.md", own)


def test_the_site_has_a_page_for_it_that_keeps_every_cell(records: list[Record]) -> None:
    pytest.importorskip("vl_convert", reason="the site needs vl-convert-python")
    own, _ = told(records)
    files = build(tables(records), Sources(records=records, told=own))
    page = files["protocols/transfer.html"].decode()
    assert "Means &lt;b&gt;" in page
    assert 'data-sort="0.3' in page
    index = files["index.html"].decode()
    assert 'href="protocols/transfer.html"' in index
    assert "transfer v1, quick tier" not in index
    assert 'href="../protocols/transfer.html#' in files["methods/dm.html"].decode()


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"trial": PROTOCOL | {"protocol_hash": "e" * 64}},
        {"trial": PROTOCOL | {"protocol_hash": "e" * 64, "tier": "lite"}},
        {"trial": PROTOCOL | {"protocol_hash": "e" * 64}, "dataset": "mnist"},
    ],
)
def test_records_of_one_version_that_it_does_not_speak_for_keep_their_cells(
    records: list[Record], sample: Sample, elsewhere: dict[str, Any]
) -> None:
    more = sample("dm", [0.61, 0.63], **elsewhere)
    found = tables([*records, *more])
    own, _ = told([*records, *more])
    (kept,) = (table for table in without(found, own) if table.key.protocol == "transfer")
    assert [row.values for row in kept.rows] == [(0.61, 0.63)]
    assert "62.0 ± 1.0" in markdown.page(found, own)


def test_rules_that_share_a_name_are_warned_of_where_either_stands(
    records: list[Record], sample: Sample
) -> None:
    pytest.importorskip("vl_convert", reason="the site needs vl-convert-python")
    every = [*records, *sample("dm", [0.6], trial=PROTOCOL | {"protocol_hash": "e" * 64})]
    found = tables(every)
    own, _ = told(every)
    assert markdown.page(found, own).count("The rules of transfer v1 (quick) differ") == 2
    site = build(found, Sources(records=every, told=own))
    studies, cells = site["protocols/transfer.html"].decode().split("Every cell")
    assert studies.count("The rules of transfer v1 (quick) differ") == 1
    assert cells.count("The rules of transfer v1 (quick) differ") == 2
    assert "The rules of transfer v1 (quick) differ" in site["index.html"].decode()


def test_merged_sets_are_placed_by_all_their_images_and_never_averaged_with_others(
    record: Callable[..., Any],
) -> None:
    alone = [record("dm", 0.5, seed, budget=6) for seed in (0, 1)]
    merged = [
        record("dm", 0.6, seed, budget=2, trial={"merged_seeds": (seed + 100, seed + 200)})
        for seed in (0, 1)
    ]
    (table,) = tables([*alone, *merged])
    assert table.key.budget == Budget("ipc", 6)
    values = {row.values for row in table.rows}
    assert values == {(0.5, 0.5), (0.6, 0.6)}
    assert replace(table.key, budget=Budget("ipc", 2)) != table.key
