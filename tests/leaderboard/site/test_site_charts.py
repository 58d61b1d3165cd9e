"""What is drawn: fronts against brute force, charts only where their data exist, valid specs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records import Record
from leaderboard.site.boards import Board, boards
from leaderboard.site.charts import charts, pareto_front, rank_points
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
    assert [chart.title for chart in charts(only(two_budgets))] == ["Accuracy against budget"]
    two_methods = sample("dm", [0.5, 0.6]) + sample("random", [0.3, 0.4])
    assert [chart.title for chart in charts(only(two_methods))] == [
        "Accuracy against time",
        "Accuracy against memory",
    ]


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


def test_a_searched_architecture_counts_where_it_was_trained_on_both(sample: Sample) -> None:
    found = sample("dm", [0.5, 0.6], architecture="nas201-7")
    assert rank_points(only(found)) == []
    found += sample("dm", [0.4, 0.5], architecture="nas201-8")
    found += sample("whole", [0.9, 0.9], budget="full", architecture="nas201-7", parameters={})
    (point,) = rank_points(only(found))
    assert (point["architecture"], point["accuracy"], point["whole"]) == ("nas201-7", 0.55, 0.9)
    assert charts(only(found))[-1].title == "Architecture search"


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
    own += sample("whole", [0.9, 0.9], budget="full", architecture="nas201-7", parameters={})
    own += sample("dm", [0.5, 0.6], architecture="nas201-7")
    drawn = charts(only(own))
    assert len(drawn) == 6
    for chart in drawn:
        assert vl_convert.vegalite_to_vega(json.dumps(chart.spec))["marks"]
