"""What is drawn: fronts against brute force, charts only where their data exist, valid specs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.planning import load_rules, rules_hash
from bench.rank_statistics import spearman
from bench.records import Record
from bench.studies import Estimate
from leaderboard.columns import COLUMNS, METHOD
from leaderboard.site import vega
from leaderboard.site.boards import Board, boards
from leaderboard.site.charts import charts, pareto_front
from leaderboard.studies import sections
from leaderboard.tables import tables
from tests.records import COSTS, ENVIRONMENT

Sample = Callable[..., list[Record]]

POINTS = st.lists(
    st.fixed_dictionaries(
        {
            "budget": st.sampled_from(["ipc 1", "ipc 10"]),
            "seconds": st.integers(1, 6),
            "accuracy": st.integers(0, 6),
        }
    ),
    max_size=12,
)


def only(records: list[Record]) -> Board:
    (board,) = boards(tables(records))
    return board


@given(POINTS)
def test_the_front_is_what_no_point_of_its_budget_dominates(points: list[dict[str, int]]) -> None:
    def dominated(point: dict[str, int]) -> bool:
        return any(
            other["budget"] == point["budget"]
            and other["seconds"] <= point["seconds"]
            and other["accuracy"] >= point["accuracy"]
            and (other["seconds"], other["accuracy"]) != (point["seconds"], point["accuracy"])
            for other in points
        )

    front = {id(point) for point in pareto_front(points, "seconds")}
    assert front == {id(point) for point in points if not dominated(point)}


def test_one_method_at_one_budget_is_no_chart(sample: Sample) -> None:
    assert charts(only(sample("dm", [0.5, 0.6]))) == []


def test_curves_need_two_budgets_and_fronts_two_methods(sample: Sample) -> None:
    two_budgets = sample("dm", [0.5, 0.6]) + sample("dm", [0.7, 0.8], budget=10)
    assert [chart.title for chart in charts(only(two_budgets))] == [
        "Accuracy against images per class"
    ]
    two_methods = sample("dm", [0.5, 0.6]) + sample("random", [0.3, 0.4])
    assert [chart.title for chart in charts(only(two_methods))] == [
        "Accuracy against time",
        "Accuracy against memory",
    ]


def test_kinds_of_budget_share_no_axis(sample: Sample) -> None:
    found = [
        record
        for method, kind in (("dm", "ipc"), ("dim", "inpc"))
        for count in (1, 10)
        for record in sample(method, [0.5, 0.6], budget=f"{kind} {count}")
    ]
    drawn = [chart for chart in charts(only(found)) if chart.id.startswith("budget-chart")]
    for chart, method, axis in zip(
        drawn,
        ("dm", "dim"),
        ("Images per class", "Generated images per class and epoch"),
        strict=True,
    ):
        for layer in chart.spec["layer"]:
            assert layer["encoding"]["x"]["axis"]["title"] == axis
            assert {point["method"] for point in layer["data"]["values"]} == {method}
    fronts = charts(only(found))[2:]
    assert all("Budgets count generated images for dim." in front.caption for front in fronts)


def test_presets_alone_are_drawn_and_methods_without_one_in_all_their_rows(
    sample: Sample,
) -> None:
    swept = [
        sample("dm", [0.5, 0.6], parameters={"iterations": n}, preset=f"quick iterations={n}")
        for n in (5, 6)
    ]
    preset = sample("random", [0.3, 0.4]) + sample(
        "random", [0.3, 0.5], parameters={"iterations": 7}, preset="quick iterations=7"
    )
    (time, _) = charts(only([*swept[0], *swept[1], *preset]))
    assert [cells[0] for cells in time.body] == ["dm (iterations=5)", "dm (iterations=6)", "random"]
    assert "Rows with changed settings stand in the tables alone." in time.caption


def test_sixty_methods_look_different_and_the_same_in_every_chart() -> None:
    names = [f"m{k:02}" for k in range(60)]
    looks = vega.looks([{"method": name} for name in names])
    ranges = (looks[channel]["scale"]["range"] for channel in ("color", "shape"))
    seen = dict(zip(names, zip(*ranges, strict=True), strict=True))
    assert len(set(seen.values())) == 60
    (colour,) = vega.by_method([{"method": "m31"}], names)["scale"]["range"]
    assert colour == seen["m31"][0]


def test_a_front_says_that_its_times_are_of_several_devices(sample: Sample) -> None:
    there = COSTS.model_copy(update={"distilled_on": (ENVIRONMENT,)})
    ours = sample("dm", [0.5, 0.6]) + sample("random", [0.3, 0.4], cost=there)
    assert not any("Devices differ" in chart.caption for chart in charts(only(ours)))
    other = ENVIRONMENT.model_copy(update={"device": "H200"})
    there = COSTS.model_copy(update={"distilled_on": (other,)})
    ours = sample("dm", [0.5, 0.6]) + sample("random", [0.3, 0.4], cost=there)
    assert all("Devices differ" in chart.caption for chart in charts(only(ours)))


def test_several_architectures_make_one_heat_map_a_budget(board: list[Record]) -> None:
    own = [record for record in board if record.trial.dataset == "digits"]
    titles = [chart.title for chart in charts(only(own))]
    assert titles[-2:] == ["Transfer, ipc 1", "Transfer, ipc 10"]


def searched(sample: Sample) -> list[Record]:
    """Cells trained on a distilled set, for the truth and, last of all, for fewer epochs."""
    rules: Any = load_rules("nas201", "quick")
    where = {"protocol": "nas201", "protocol_hash": rules_hash(rules)}
    cells = [rules.architecture(code) for code in rules.cells]
    found: list[Record] = []
    for name, recipe, accuracies in (
        ("dm", rules.recipe, [0.5, 0.6, 0.7, 0.4]),
        ("whole", rules.truth, [0.8, 0.9, 0.7, 0.6]),
        ("whole", replace(rules.recipe, epochs=rules.whole_epochs), [0.5, 0.6, 0.7, 0.4]),
    ):
        full = {"budget": "full", "parameters": {}} if name == "whole" else {"budget": 10}
        for cell, value in zip(cells, accuracies, strict=False):
            pair = [value, value + 0.02]
            found += sample(name, pair, architecture=cell, recipe=recipe, trial=where, **full)
    return found


def test_cells_are_drawn_against_the_truth_that_the_study_ranks_them_by(sample: Sample) -> None:
    found = searched(sample)
    chart = charts(only(found))[-1]
    assert chart.title == "Architecture search"
    assert chart.spec["encoding"]["x"]["title"] == [
        "Ground truth:",
        "6 epochs on the whole training set",
    ]
    assert "6 epochs on the whole training set" in chart.caption
    points = chart.spec["data"]["values"]
    assert {point["truth"] for point in points} == {0.81, 0.91, 0.71, 0.61}
    drawn = spearman([p["accuracy"] for p in points], [p["truth"] for p in points])
    ((study,),) = [section.studies for section in sections(found)]
    ((_, stated, *_),) = [row for row in study.rows if row[0] == "dm"]
    assert isinstance(stated, Estimate)
    assert drawn == pytest.approx(stated.value)


def test_rows_that_measure_a_truth_are_called_so(sample: Sample) -> None:
    (table,) = tables(searched(sample))
    said = {row.recipe["epochs"]: COLUMNS[METHOD](row) for row in table.rows if row.ceiling}
    assert said[6].endswith("(ground truth)")
    assert said[3].endswith("(ceiling)")


def test_where_no_rules_tell_the_truth_none_is_drawn(sample: Sample) -> None:
    found = sample("dm", [0.5, 0.6], architecture="nas201-7")
    found += sample("whole", [0.9, 0.9], budget="full", architecture="nas201-7", parameters={})
    assert charts(only(found)) == []


def test_every_chart_says_the_same_in_a_table(board: list[Record]) -> None:
    own = [record for record in board if record.trial.dataset == "digits"]
    for chart in charts(only(own)):
        assert chart.body
        assert all(len(cells) == len(chart.head) for cells in chart.body)
        json.dumps(chart.spec, allow_nan=False)


@pytest.mark.slow
def test_every_specification_compiles(board: list[Record], sample: Sample) -> None:
    vl_convert = pytest.importorskip("vl_convert")
    own = [record for record in board if record.trial.dataset == "digits"]
    drawn = charts(only(own)) + charts(only(searched(sample)))
    assert len(drawn) == 6
    for chart in drawn:
        assert vl_convert.vegalite_to_vega(json.dumps(chart.spec))["marks"]
