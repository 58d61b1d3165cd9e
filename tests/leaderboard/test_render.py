"""Tables and comparisons in the terminal and as data."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from rich.console import Console

from bench.records import Record
from bench.studies import CUT
from leaderboard import markdown, render
from leaderboard.comparisons import compare
from leaderboard.reading import Reading
from leaderboard.tables import tables

MakeRecord = Callable[..., Record]
MakeSample = Callable[..., list[Record]]


def printed(renderable: object) -> str:
    stream = io.StringIO()
    Console(file=stream, width=400, force_terminal=False).print(renderable)
    return stream.getvalue()


def test_a_terminal_shows_what_the_page_shows(sample: MakeSample) -> None:
    (table,) = tables(sample("dm", [0.852, 0.876, 0.864]))
    text = printed(render.terminal(table))
    for part in (
        "ipc-grid v1, quick tier, standard track: digits, ipc 1",
        "86.4 ± 1.0",
        "1.5 min",
        "convnet-d2-w32, n = 3, CPU Testium 9",
    ):
        assert part in text


def test_an_interval_that_is_cut_is_told_and_whole_in_data(sample: MakeSample) -> None:
    (table,) = tables(sample("dm", [0.1, 0.9]))
    for text in (printed(render.terminal(table)), markdown.page([table])):
        assert "[0.0, 100.0]" in text
        assert CUT in " ".join(text.split()).replace("\\", "")
    (row,) = render.data([table])[0]["rows"]
    assert row["summary"]["interval"][0] < 0
    (narrow,) = tables(sample("dm", [0.5, 0.51]))
    assert CUT not in printed(render.terminal(narrow))


def test_architectures_get_a_column_where_they_differ(sample: MakeSample) -> None:
    (table,) = tables([*sample("dm", [0.5]), *sample("dm", [0.6], architecture="mlp")])
    grid = render.terminal(table)
    assert "Architecture" in [str(column.header) for column in grid.columns]


def test_a_terminal_shows_warnings(sample: MakeSample) -> None:
    found = tables([*sample("dm", [0.5]), *sample("dm", [0.6], checksum="e" * 64)])
    assert "The data of digits differ" in printed(render.terminal(found[0]))


def test_a_terminal_shows_hostile_strings_as_they_stand(record: MakeRecord) -> None:
    lost = record(
        "[bold]dm[/bold]",
        None,
        status="skipped",
        reason="\x1b[31mred\x1b]8;;http://evil.example\x07 [link=x]y",
    )
    text = printed(render.terminal(tables([lost])[0]))
    assert "[bold]dm[/bold]" in text
    assert "[link=x]y" in text
    assert text.replace("\n", "").isprintable()


def test_data_are_plain_unrounded_and_complete(sample: MakeSample) -> None:
    found = tables([*sample("dm", [1 / 3, 2 / 3]), *sample("whole", [0.9], budget="full")])
    (table,) = json.loads(json.dumps(render.data(found), allow_nan=False))
    assert table["budget"] == {"kind": "ipc", "count": 1}
    dm, whole = table["rows"]
    assert dm["values"] == [1 / 3, 2 / 3]
    assert dm["summary"]["n"] == 2
    assert dm["parameters"] == {"iterations": 1000, "lr_images": 1.0}
    assert dm["evaluate"] == {"seconds": 12.34, "peak_bytes": 1_200_000_000}
    assert len(dm["trials"]) == 2
    assert (whole["ceiling"], whole["rank"], whole["summary"]["interval"]) == (True, None, None)


@pytest.mark.parametrize(
    ("dm", "random", "verdict"),
    [
        ([0.60, 0.62, 0.64], [0.40, 0.42, 0.44], "dm is better than random by 20.0 points."),
        ([0.40, 0.42, 0.44], [0.60, 0.62, 0.64], "random is better than dm by 20.0 points."),
        ([0.5, 0.7], [0.4, 0.6, 0.7], "No significant difference with 2 and 3 values."),
        ([0.5], [0.4, 0.6], "One value allows no test: run more seeds."),
    ],
)
def test_a_comparison_ends_in_a_verdict(
    sample: MakeSample, dm: list[float], random: list[float], verdict: str
) -> None:
    compared = compare(tables([*sample("dm", dm), *sample("random", random)]), "dm", "random")
    (cell,) = json.loads(json.dumps(render.comparison_data(compared, Reading()), allow_nan=False))
    assert cell["verdict"] == verdict
    assert cell["n"] == [len(dm), len(random)]
    assert verdict in printed(render.terminal_comparisons(compared))


def test_what_all_comparisons_share_stands_below_them(sample: MakeSample) -> None:
    dm, random = [0.60, 0.62], [0.40, 0.42]
    shared = [*sample("dm", dm), *sample("random", random)]
    again = [
        record
        for name, values in (("dm", dm), ("random", random))
        for record in sample(name, values, trial={"protocol": "merge", "track": "native"})
    ]
    ten = [*sample("dm", [0.7, 0.8], budget=10), *sample("random", [0.5, 0.6], budget=10)]
    text = printed(
        render.terminal_comparisons(compare(tables([*shared, *again, *ten]), "dm", "random"))
    )
    head = next(line for line in text.splitlines() if "Difference" in line)
    for name, shown in {"Budget": True, "Protocol": True, "Tier": False, "Dataset": False}.items():
        assert (name in head) == shown
    assert "ipc-grid v1, merge v1" in text
    assert "standard, native" in text
    assert "All of tier quick; dataset digits; architecture convnet-d2-w32" in text
    assert "2 different pairs of samples; p (Holm) is corrected for a family of 2." in text
    assert "Each 95 % interval is of its pair alone, not corrected for the family." in text


def test_a_number_of_values_that_all_rows_share_stands_below_them(sample: MakeSample) -> None:
    alike = [*sample("dm", [0.5, 0.6]), *sample("random", [0.4, 0.5])]
    (table,) = tables(alike)
    assert "n" not in [str(column.header) for column in render.terminal(table).columns]
    assert "convnet-d2-w32, n = 2, CPU Testium 9" in printed(render.terminal(table))
    (table,) = tables([*alike, *sample("dc", [0.4])])
    assert "n" in [str(column.header) for column in render.terminal(table).columns]


def test_a_comparison_shows_difference_interval_and_p(sample: MakeSample) -> None:
    found = tables([*sample("dm", [0.60, 0.62, 0.64]), *sample("random", [0.40, 0.42, 0.44])])
    text = printed(render.terminal_comparisons(compare(found, "dm", "random")))
    # half width: t(0.975, 4) = 2.7764 times sqrt(2 * 0.0004 / 3) = 0.0163
    assert "20.0" in text
    assert "[15.5, 24.5]" in text
    assert "0.00026" in text  # t = 12.247 with 4 degrees of freedom
