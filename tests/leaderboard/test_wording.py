"""Numbers and strings as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bench.statistics import summarize
from leaderboard import wording
from leaderboard.rows import Mishap, Phase

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b",
    "a\\|b",
    "line\nbreak\r\n| new | row |",
    "`code`",
    "```\nfence",
    "![x](http://evil.example/x.png)",
    "[text](javascript:alert(1))",
    "[x]: http://evil.example",
    "<http://evil.example>",
    "https://evil.example",
    "www.evil.example",
    "**bold** _it_ ~~gone~~",
    "<!-- leaderboard:end -->",
    "&lt;script&gt;",
    "# heading",
    "- item",
    "$x$ :smile: @someone",
    "\x1b[31mred\x07",
    "\u202egnp.exe",
    "\\",
]


@pytest.mark.parametrize(
    ("accuracies", "printed"),
    [
        ([0.8642], "86.4"),
        ([0.852, 0.876], "86.4 ± 1.2"),
        ([1.0, 1.0], "100.0 ± 0.0"),
        ([0.0, 0.0], "0.0 ± 0.0"),
    ],
)
def test_accuracy_is_percent_with_one_decimal(accuracies: list[float], printed: str) -> None:
    assert wording.accuracy(summarize(accuracies)) == printed


def test_what_is_not_known_is_a_dash() -> None:
    assert wording.accuracy(None) == wording.interval(None) == wording.size(None) == "–"
    assert wording.cost(None) == wording.probability(None) == "–"


def test_an_interval_has_two_bounds_in_percent() -> None:
    assert wording.interval((0.849, 0.8791)) == "[84.9, 87.9]"
    assert wording.difference((-0.02, 0.05)) == "[-2.0, 5.0]"


def test_an_accuracys_interval_is_cut_to_what_an_accuracy_can_be() -> None:
    assert wording.interval((-0.02, 1.05)) == "[0.0, 100.0]"


@pytest.mark.parametrize(
    ("seconds", "printed"),
    [
        (0, "0 s"),
        (0.0001, "< 1 ms"),
        (0.0123, "12.3 ms"),
        (12.34, "12.3 s"),
        (59.9, "59.9 s"),
        (90, "1.5 min"),
        (3600, "1 h"),
        (4_320_000, "1,200 h"),
    ],
)
def test_durations_take_the_largest_fitting_unit(seconds: float, printed: str) -> None:
    assert wording.seconds(seconds) == printed


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (2_500_000, "2.5 MB"),
        (123 * 10**9, "123 GB"),
    ],
)
def test_sizes_take_decimal_units(value: int, printed: str) -> None:
    assert wording.size(value) == printed


def test_a_commit_is_short_but_says_that_it_was_changed() -> None:
    assert wording.commit("c" * 40) == "c" * 12
    assert wording.commit("c" * 40 + "-dirty") == "c" * 12 + "-dirty"


def test_a_cost_is_time_and_memory() -> None:
    assert wording.cost(Phase(seconds=90, peak_bytes=340_000_000)) == "1.5 min, 340 MB"


@pytest.mark.parametrize(
    ("p", "printed"), [(0.0, "< 0.0001"), (0.00012, "0.00012"), (0.0441, "0.044"), (1.0, "1")]
)
def test_p_values_have_two_digits(p: float, printed: str) -> None:
    assert wording.probability(p) == printed


@pytest.mark.parametrize(
    ("values", "printed"),
    [([], ""), ([3], "3"), ([4, 0, 1, 2, 3, 3], "0–4"), ([0, 1, 7, 9, 10], "0–1, 7, 9–10")],
)
def test_runs_of_seeds_are_folded(values: list[int], printed: str) -> None:
    assert wording.numbers(values) == printed


def test_mishaps_say_how_many_and_why() -> None:
    ends = [
        Mishap(status="diverged", reason="loss is NaN", count=2),
        Mishap(status="oom", reason="", count=1),
    ]
    assert wording.mishaps(ends) == "2 × diverged: loss is NaN; 1 × oom"


def test_a_recipe_names_every_field() -> None:
    fields = {"epochs": 300, "momentum": 0, "learned_lr": False, "teacher": {"alpha": None}}
    assert wording.recipe(fields) == "epochs 300, momentum 0, learned_lr no, teacher (alpha none)"


def test_names_as_they_are_used_are_left_as_they_are() -> None:
    for name in ("k-center", "convnet-d3-w32", "dm (lr_images=0.1)", "0.5 × CPU: 3.2 GHz"):
        assert wording.escape(name) == name


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_plain_text_in_markdown(text: str) -> None:
    check_plain(text)


@given(st.text(alphabet=st.sampled_from("ab1 \\`*_[]()<>&|~$:@!#-+.\"'\n\t\x1b\u202e/=")))
def test_any_text_is_plain_text_in_markdown(text: str) -> None:
    check_plain(text)


def check_plain(text: str) -> None:
    """Rendered as a table cell, the text is one cell that shows exactly its own line."""
    page = f"| head | tail |\n|:--|:--|\n| x {wording.escape(text)} | end |\n"
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page)
    cells = [token for token in tokens if token.type == "inline"]
    assert len(cells) == 4
    children = cells[2].children or []
    assert {child.type for child in children} <= {"text", "text_special", "softbreak"}
    assert "".join(child.content for child in children) == f"x {wording.line(text)}".strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_reaches_no_terminal_as_control(text: str) -> None:
    assert wording.plain(text).isprintable()
    assert "\u202e" not in wording.plain(text)


def test_long_text_is_cut() -> None:
    assert len(wording.plain("x" * 10_000)) == 300


def test_addresses_are_not_linked() -> None:
    escaped = wording.escape("see https://evil.example and WWW.evil.example")
    assert escaped == r"see https\://evil.example and WWW\.evil.example"


def test_a_command_is_safe_to_copy() -> None:
    command = wording.command("bench", "run", "--dataset", "x; rm -rf ~\n`id`")
    assert command == "bench run --dataset 'x; rm -rf ~ `id`'"
