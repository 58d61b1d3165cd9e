"""Which records make a row, which rows make a table, and what is never mixed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from bench.recipes import Recipe
from bench.records import Cost, Costs, Record
from bench.specs import Budget
from leaderboard import columns
from leaderboard.rows import Mishap, Phase, Row
from leaderboard.tables import counted, keys, tables
from protocols.ipc_grid import IPC_GRID
from tests.records import COSTS, ENVIRONMENT

MakeRecord = Callable[..., Record]
MakeSample = Callable[..., list[Record]]


def test_a_small_table_computed_by_hand(sample: MakeSample) -> None:
    records = [
        *sample("dm", [0.60, 0.62, 0.64]),
        *sample("random", [0.40, 0.42, 0.44]),
        *sample("herding", [0.61, 0.62, 0.63]),
    ]
    (table,) = tables(records)
    assert (table.key.dataset, table.key.budget) == ("digits", Budget("ipc", 1))
    # dm and herding: difference 0; either against random: 0.2 / sqrt(0.0004/3 + 0.0004/3) = 12.2
    # or more, with at least 3 degrees of freedom, so p < 0.002 and three times that is below 0.05
    assert [(row.method, row.rank) for row in table.rows] == [
        ("dm", 1),
        ("herding", 1),
        ("random", 3),
    ]
    summary = table.rows[0].summary
    assert summary is not None
    assert summary.mean == pytest.approx(0.62)
    assert summary.std == pytest.approx((0.0008 / 3) ** 0.5)
    # t(0.975, 2) = 4.3026527, times 0.02 / sqrt(3)
    assert summary.interval == pytest.approx((0.62 - 0.0496828, 0.62 + 0.0496828), abs=1e-6)
    assert summary.n == 3
    assert table.rows[0].values == (0.60, 0.62, 0.64)
    assert table.rows[0].seeds == (0, 1, 2)
    assert table.rows[0].labels == ("hard",)


def test_no_records_make_no_tables() -> None:
    assert tables([]) == []


def test_a_trial_that_ran_twice_counts_once_by_its_latest_good_record(record: MakeRecord) -> None:
    again = [
        record("dm", 0.7, time="2025-06-02T00:00:00Z"),
        record("dm", 0.5, time="2025-06-01T00:00:00Z"),
        record("dm", None, status="failed", reason="killed", time="2025-06-03T00:00:00Z"),
    ]
    for order in (again, again[::-1]):
        (table,) = tables(order)
        assert table.rows[0].values == (0.7,)
        assert table.rows[0].mishaps == ()


def test_of_two_good_records_of_one_second_the_later_line_counts(record: MakeRecord) -> None:
    assert [r.metrics["accuracy"] for r in counted([record("dm", 0.5), record("dm", 0.6)])] == [0.6]


def test_the_same_record_in_results_and_store_counts_once(sample: MakeSample) -> None:
    records = sample("dm", [0.5, 0.6])
    assert tables(records + records) == tables(records)


def test_where_no_record_is_good_the_latest_tells_why(record: MakeRecord) -> None:
    records = [
        record("dm", None, status="oom", reason="full", time="2025-06-02T00:00:00Z"),
        record("dm", None, status="diverged", reason="NaN", time="2025-06-01T00:00:00Z"),
    ]
    (row,) = tables(records)[0].rows
    assert row.mishaps == (Mishap(status="oom", reason="full", count=1),)
    assert (row.summary, row.rank, row.values) == (None, None, ())


def test_mishaps_stand_beside_the_results_of_other_seeds(
    sample: MakeSample, record: MakeRecord
) -> None:
    lost = [record("dm", None, seed, status="diverged", reason="NaN") for seed in (7, 8)]
    (row,) = tables([*sample("dm", [0.5, 0.6]), *lost])[0].rows
    assert len(row.values) == 2
    assert row.mishaps == (Mishap(status="diverged", reason="NaN", count=2),)


def test_validation_records_enter_no_table(record: MakeRecord) -> None:
    assert tables([record("dm", 0.9, split="validation")]) == []


@pytest.mark.parametrize(
    "other",
    [
        {"dataset": "mnist"},
        {"budget": 10},
        {"budget": "inpc 1"},
        {"checksum": "e" * 64},
        {"trial": {"track": "native"}},
        {"trial": {"tier": "lite"}},
        {"trial": {"version": 2}},
        {"trial": {"protocol": "cross-arch"}},
        {"trial": {"protocol_hash": "b" * 64}},
    ],
)
def test_what_differs_in_kind_never_shares_a_table(
    record: MakeRecord, other: dict[str, object]
) -> None:
    found = tables([record("dm", 0.5), record("random", 0.4, **other)])
    assert [len(table.rows) for table in found] == [1, 1]
    assert [row.rank for table in found for row in table.rows] == [None, None]


def test_two_hashes_of_one_version_are_shown_apart_with_a_warning(record: MakeRecord) -> None:
    apart = [record("dm", 0.5), record("dm", 0.6, trial={"protocol_hash": "b" * 64})]
    first, second = tables(apart)
    assert first.key.protocol_hash != second.key.protocol_hash
    for table in (first, second):
        (warning,) = table.warnings
        assert "ipc-grid v1 (quick)" in warning
        assert "aaaaaaaaaaaa, bbbbbbbbbbbb" in warning


def test_tiers_and_versions_may_have_other_hashes_without_a_warning(record: MakeRecord) -> None:
    found = tables(
        [
            record("dm", 0.5),
            record("dm", 0.5, trial={"protocol_hash": "b" * 64, "tier": "lite"}),
            record("dm", 0.5, trial={"protocol_hash": "c" * 64, "version": 2}),
        ]
    )
    assert [table.warnings for table in found] == [(), (), ()]


def test_data_of_one_name_but_two_checksums_are_shown_apart(record: MakeRecord) -> None:
    found = tables([record("dm", 0.5), record("dm", 0.6, checksum="e" * 64)])
    assert ["data of digits" in table.warnings[0] for table in found] == [True, True]


def test_ceilings_stand_unranked_below_every_budget(sample: MakeSample) -> None:
    records = [
        *sample("dm", [0.5, 0.6]),
        *sample("random", [0.4, 0.6]),
        *sample("dm", [0.7, 0.8], budget=10),
        *sample("random", [0.6, 0.8], budget=10),
        *sample("whole", [0.97, 0.98], budget="full", recipe=Recipe(epochs=30)),
    ]
    found = tables(records)
    assert [str(table.key.budget) for table in found] == ["ipc 1", "ipc 10"]
    for table in found:
        assert [(row.method, row.rank, row.ceiling) for row in table.rows] == [
            ("dm", 1, False),
            ("random", 1, False),
            ("whole", None, True),
        ]


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"dataset": "mnist"},
        {"trial": {"track": "native"}},
        {"trial": {"tier": "lite"}},
        {"trial": {"protocol_hash": "b" * 64}},
    ],
)
def test_a_ceiling_of_another_place_is_not_borrowed(
    record: MakeRecord, elsewhere: dict[str, object]
) -> None:
    found = tables([record("dm", 0.5), record("whole", 0.9, budget="full", **elsewhere)])
    assert sorted([row.method for row in table.rows] for table in found) == [["dm"], ["whole"]]


def test_a_ceiling_of_another_architecture_is_not_shown(record: MakeRecord) -> None:
    (table,) = tables([record("dm", 0.5), record("whole", 0.9, budget="full", architecture="mlp")])
    assert [row.method for row in table.rows] == ["dm"]


def test_ceilings_alone_make_a_table_of_their_own(record: MakeRecord) -> None:
    (table,) = tables([record("whole", 0.9, budget="full")])
    assert (str(table.key.budget), table.rows[0].rank) == ("full", None)


def test_changed_parameters_make_a_row_labelled_with_them(sample: MakeSample) -> None:
    changed = {"iterations": 50, "lr_images": 1.0}
    records = [
        *sample("dm", [0.5, 0.6]),
        *sample("dm", [0.3, 0.4], parameters=changed, preset="quick iterations=50"),
    ]
    (table,) = tables(records)
    assert [row.title for row in table.rows] == ["dm", "dm (iterations=50)"]
    assert [len(row.values) for row in table.rows] == [2, 2]


def test_setting_a_parameter_to_its_preset_changes_nothing(record: MakeRecord) -> None:
    same = record("dm", 0.6, 1, preset="quick iterations=1000")
    (table,) = tables([record("dm", 0.5), same])
    assert [(row.title, row.values) for row in table.rows] == [("dm", (0.5, 0.6))]


def test_without_the_preset_the_stated_changes_are_shown(sample: MakeSample) -> None:
    changed = {"iterations": 50, "lr_images": 1.0}
    (table,) = tables(sample("dm", [0.5], parameters=changed, preset="quick iterations=50"))
    assert table.rows[0].title == "dm (iterations=50)"


def test_an_older_adapter_and_another_recipe_are_rows_of_their_own(sample: MakeSample) -> None:
    records = [
        *sample("dm", [0.5], method_version=2),
        *sample("dm", [0.4]),
        *sample("dm", [0.3], method_version=2, recipe=Recipe(epochs=7)),
    ]
    (table,) = tables(
        [*records, *sample("dm", [0.5], method_version=2, time="2025-07-01T00:00:00Z")]
    )
    assert [row.title for row in table.rows] == [
        "dm",
        "dm (adapter-version=1)",
        "dm (recipe.epochs=7)",
    ]


@pytest.mark.parametrize("varied", [{"labels": "teacher"}, {"augmentation": "none"}])
def test_where_rules_vary_the_recipe_the_preset_is_trained_by_their_own(
    varied: dict[str, Any], sample: MakeSample
) -> None:
    rules = IPC_GRID["quick"]
    later = {"recipe": replace(rules.recipe, **varied), "time": "2025-07-01T00:00:00Z"}
    records = [*sample("dm", [0.5], recipe=rules.recipe), *sample("dm", [0.4], **later)]
    ((name, value),) = varied.items()
    (table,) = tables(records, rules=lambda *_: rules)
    assert [row.title for row in table.rows] == ["dm", f"dm (recipe.{name}={value})"]
    (table,) = tables(records)  # of rules that nobody knows the newest
    assert table.rows[1].title == "dm"


def test_the_preset_is_distilled_in_one_go(sample: MakeSample) -> None:
    merged = {"trial": {"merged_seeds": (100, 200)}, "time": "2025-07-01T00:00:00Z"}
    (table,) = tables([*sample("dm", [0.5], budget=6), *sample("dm", [0.4], budget=2, **merged)])
    assert [row.title for row in table.rows] == ["dm", "dm (merged-sets=3)"]


def test_costs_are_median_seconds_and_the_greatest_peak(record: MakeRecord) -> None:
    def costs(seconds: float, peak: int) -> Costs:
        return Costs(distill=Cost(seconds=seconds, peak_bytes=peak), stored_bytes=peak)

    spent = [(1.0, 30), (9.0, 10), (2.0, 20)]
    (row,) = tables([record("dm", 0.5, k, cost=costs(*each)) for k, each in enumerate(spent)])[
        0
    ].rows
    assert row.distill == Phase(seconds=2.0, peak_bytes=30)
    assert (row.prepare, row.evaluate, row.stored_bytes) == (None, None, 30)


def test_every_device_is_named(record: MakeRecord) -> None:
    devices = ["H200", "CPU", "CPU"]
    trials = [record("dm", 0.5, k, environment={"device": d}) for k, d in enumerate(devices)]
    assert tables(trials)[0].rows[0].devices == ("CPU", "H200")


def test_what_distilled_elsewhere_stands_beside_the_device(record: MakeRecord) -> None:
    def row_of(*devices: str) -> Row:
        there = [ENVIRONMENT.model_copy(update={"device": device}) for device in devices]
        costs = COSTS.model_copy(update={"distilled_on": tuple(there)})
        (table,) = tables([record("dm", 0.5, cost=costs)])
        return table.rows[0]

    own = ENVIRONMENT.device
    assert columns.devices([row_of()]) == columns.devices([row_of(own)]) == own
    assert columns.devices([row_of("H200", own)]) == f"{own}; distilled on H200"
    assert columns.devices([row_of("H200"), row_of("A100")]) == f"{own}; distilled on A100, H200"
    assert row_of("H200", own, "H200").distilled_on == (own, "H200")


def test_rows_without_a_result_stand_last(sample: MakeSample, record: MakeRecord) -> None:
    lost = record("aaa", None, status="skipped", reason="needs colour")
    (table,) = tables([lost, *sample("dm", [0.1, 0.2]), *sample("dc", [0.1, 0.2])])
    assert [row.method for row in table.rows] == ["dc", "dm", "aaa"]


def test_another_metric_can_be_tabulated(record: MakeRecord) -> None:
    trials = [record("dm", None, metrics={"spearman": 0.4}), record("dm", 0.5, 1)]
    (row,) = tables(trials, metric="spearman")[0].rows
    assert row.values == (0.4,)


def test_tables_do_not_depend_on_the_order_of_records(sample: MakeSample) -> None:
    records = [
        record
        for budget in (10, 1, 50)
        for method in ("dm", "dc", "random")
        for record in sample(method, [0.1, 0.2, 0.3], budget=budget)
    ]
    found = tables(records)
    assert [table.key.budget.count for table in found] == [1, 10, 50]
    assert tables(Random(0).sample(records, len(records))) == found


ALL, HALF = b"\xff" * 25, b"\xf0" * 25
"""Which of 200 test images are right: every one, and every second half of a byte."""


def test_a_difference_beyond_doubt_makes_a_rank_among_many_methods(sample: MakeSample) -> None:
    best = sample("best", [1.0] * 3)
    others = [record for k in range(24) for record in sample(f"m{k}", [0.5] * 3)]
    correct = dict.fromkeys((r.id for r in best), ALL) | dict.fromkeys((r.id for r in others), HALF)
    (table,) = tables([*best, *others], correct=correct)
    assert [row.rank for row in table.rows] == [1] + [2] * 24


def several(sample: MakeSample) -> list[Record]:
    """Tables apart by dataset, budget and rules, one of them with a ceiling, one nothing else."""
    return [
        *sample("dm", [0.6, 0.7]),
        *sample("random", [0.4, 0.3]),
        *sample("dm", [0.8, 0.9], budget=10),
        *sample("dm", [0.5, 0.6], dataset="mnist", trial={"protocol_hash": "b" * 64}),
        *sample("whole", [0.9, 0.95], budget="full"),
        *sample("whole", [0.9, 0.95], budget="full", dataset="svhn"),
    ]


def test_what_tables_there_are_is_known_before_they_are_made(sample: MakeSample) -> None:
    records = several(sample)
    assert keys(records) == [table.key for table in tables(records)]


def test_a_table_made_alone_says_what_it_says_among_others(sample: MakeSample) -> None:
    records = several(sample)
    whole = tables(records)
    assert any(table.warnings for table in whole)
    for table in whole:
        assert tables(records, wanted=table.key.__eq__) == [table]


def test_the_board_imports_no_torch() -> None:
    code = (
        "import sys, leaderboard.pages, leaderboard.render, leaderboard.publish, "
        "leaderboard.command; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
