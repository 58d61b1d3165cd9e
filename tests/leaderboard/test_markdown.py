"""What the pages state, and that no string of a record becomes markup on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bench.errors import BadFile
from bench.recipes import Recipe
from bench.records import Record
from leaderboard import markdown
from leaderboard.pages import BEGIN, END, pages, stale
from leaderboard.tables import Table, tables

MakeRecord = Callable[..., Record]
MakeSample = Callable[..., list[Record]]

HOSTILE = "a|b<script>alert(1)</script>`c`[d](http://evil.example)<!-- leaderboard:end -->**e**"


@pytest.fixture
def board(sample: MakeSample) -> list[Table]:
    return tables(
        [
            *sample("dm", [0.852, 0.876, 0.864]),
            *sample("random", [0.40, 0.42, 0.44]),
            *sample("whole", [0.97, 0.98], budget="full", recipe=Recipe(epochs=30)),
        ]
    )


def table_lines(page: str) -> list[list[str]]:
    """The cells of every line of a page's Markdown tables, without padding."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def flat(tokens: list[Token]) -> list[Token]:
    return [*tokens, *(child for token in tokens for child in token.children or [])]


def test_a_row_reads_as_computed_by_hand(board: list[Table]) -> None:
    # std = sqrt((0.012² + 0.012²) / 3) = 0.0098; half width 4.3027 * 0.012 / sqrt(3) = 0.0298
    head, _, dm, random, whole = table_lines(markdown.page(board))
    assert dict(zip(head, dm, strict=True)) == {
        "Rank": "1",
        "Method": "dm",
        "Architecture": "convnet-d2-w32",
        "Accuracy %": "**86.4 ± 1.0**",
        "95 % interval": "[83.4, 89.4]",
        "n": "3",
        "Labels": "hard",
        "Stored": "40 kB",
        "Prepare": "0 s, 0 B",
        "Distil": "1.5 min, 2.5 MB",
        "Evaluate": "12.3 s, 1.2 GB",
        "Device": "CPU Testium 9",
        "Provenance": "self-reported",
    }
    assert random[:4] == ["2", "random", "convnet-d2-w32", "42.0 ± 1.6"]
    assert whole[:4] == ["–", "*whole (ceiling)*", "convnet-d2-w32", "97.5 ± 0.5"]


def test_a_section_states_what_ran(board: list[Table]) -> None:
    page = markdown.page(board)
    for sentence in (
        "## ipc-grid v1, quick tier, standard track",
        "- Protocol: ipc-grid, version 1, rules aaaaaaaaaaaa",
        "- Recipe: epochs 300, lr 0.01,",
        "- Seeds: 0–2",
        "- n: 3\n",
        "- Devices: CPU Testium 9",
        "- Versions: bench 0.1.0; torch 2.11.0; Python 3.11.9",
        "- Commits: cccccccccccc",
        "- Newest record: 2025-06-01",
        "### digits, ipc 1",
        "Other recipes: whole: epochs 30.",
    ):
        assert sentence in page


def test_the_introduction_explains_every_sign() -> None:
    for sign in ("±", "interval", "Rank", "Ceiling", "Stored", "Holm"):
        assert sign in markdown.INTRODUCTION


def test_every_table_says_how_to_run_it_again(sample: MakeSample) -> None:
    changed = {"iterations": 50, "lr_images": 1.0}
    found = tables(
        [
            *sample("dm", [0.5], budget="inpc 10"),
            *sample(
                "dm", [0.4], budget="inpc 10", parameters=changed, preset="quick iterations=50"
            ),
        ]
    )
    command = "bench run --protocol ipc-grid --tier quick --dataset digits --budget 'inpc 10'"
    assert f"```sh\n{command}\n{command} --method dm --set dm.iterations=50\n```" in markdown.page(
        found
    )


def test_numbers_of_papers_stand_in_a_table_of_their_own(sample: MakeSample) -> None:
    where = {"dataset": "fashion-mnist", "architecture": "convnet-d3"}
    page = markdown.page(
        tables(
            [
                *sample("random", [0.51, 0.52], **where),
                *sample("whole", [0.93], budget="full", **where),
            ]
        )
    )
    measured, reported = page.split("Reported elsewhere")
    assert "51.4 ± 3.8" not in measured
    assert "51.5 ± 0.5" not in reported
    assert ["random", "convnet-d3", "51.4 ± 3.8", "dim, table-2", ""] in table_lines(reported)
    assert ["whole", "convnet-d3", "93.5 ± 0.1", "dim, table-2", ""] in table_lines(reported)


def test_numbers_of_papers_are_of_the_same_network_and_the_preset(sample: MakeSample) -> None:
    where = {"dataset": "cifar10", "budget": 50, "architecture": "convnet-d3"}
    changed = {"parameters": {"iterations": 7, "lr_images": 1.0}, "preset": "quick iterations=7"}
    (table,) = tables(
        [
            *sample("apm", [0.5, 0.6], **where),
            *sample("apm", [0.3, 0.4], **where, **changed),
        ]
    )
    other, same = (
        markdown.page([replace(table, rows=tuple(replace(r, network=name) for r in table.rows))])
        for name in ("convnet-d3-w32", "resnet18")
    )
    assert "Reported elsewhere" not in other
    _, reported = same.split("Reported elsewhere")
    assert table_lines(reported)[2:] == [
        ["apm", "convnet-d3", "61.7 ± 0.3", "apm, table-a5", "soft"]
    ]


def test_a_dataset_that_no_paper_prints_has_no_reported_block(board: list[Table]) -> None:
    assert "Reported elsewhere" not in markdown.page(board)


def test_outcomes_other_than_ok_are_told(sample: MakeSample, record: MakeRecord) -> None:
    lost = record("mtt", None, status="diverged", reason="loss is NaN")
    page = markdown.page(tables([*sample("dm", [0.5, 0.6]), lost]))
    head, _, dm, mtt = table_lines(page)
    assert (head[-1], dm[-1], mtt[-1]) == ("Not ok", "", "1 × diverged: loss is NaN")


def test_two_hashes_stand_in_two_sections_with_a_warning(sample: MakeSample) -> None:
    found = tables([*sample("dm", [0.5]), *sample("dm", [0.6], trial={"protocol_hash": "b" * 64})])
    for page in (markdown.page(found), markdown.block(found, "x.md")):
        assert page.count("ipc-grid v1, quick tier") == 2
        assert "**Warning**: The rules of ipc-grid v1 (quick) differ" in page
        assert "55.0" not in page


def test_data_of_two_checksums_stay_apart_in_the_short_form_too(sample: MakeSample) -> None:
    found = tables([*sample("dm", [0.5]), *sample("dm", [0.6], checksum="e" * 64)])
    lines = table_lines(markdown.block(found, "x.md"))[2:]
    assert [line[0] for line in lines] == [
        "digits, ipc 1, data dddddddddddd",
        "digits, ipc 1, data eeeeeeeeeeee",
    ]


def test_the_short_form_holds_presets_and_ceilings_of_the_standard_track(
    sample: MakeSample,
) -> None:
    changed = {"iterations": 50, "lr_images": 1.0}
    found = tables(
        [
            *sample("whole", [0.97, 0.98], budget="full"),
            *sample("random", [0.40, 0.42, 0.44]),
            *sample("dm", [0.60, 0.62, 0.64]),
            *sample("dm", [0.70, 0.72], budget=10),
            *sample("dm", [0.10, 0.12], parameters=changed, preset="quick iterations=50"),
            *sample("dm", [0.99, 0.99], trial={"track": "native"}),
        ]
    )
    head, _, *lines = table_lines(markdown.block(found, "board.md"))
    assert head == ["Dataset, budget", "Architecture", "dm", "random", "whole"]
    assert lines == [
        ["digits, ipc 1", "convnet-d2-w32", "**62.0 ± 1.6**", "42.0 ± 1.6", "97.5 ± 0.5"],
        ["digits, ipc 10", "convnet-d2-w32", "71.0 ± 1.0", "–", "97.5 ± 0.5"],
    ]
    assert "(board.md)" in markdown.block(found, "board.md")


def test_hostile_strings_of_a_record_become_no_markup(record: MakeRecord) -> None:
    bad = [
        record(
            HOSTILE,
            0.5 if seed < 2 else None,
            seed,
            status="ok" if seed < 2 else "skipped",
            reason=HOSTILE + "\n# heading\n| x |\n```\n",
            dataset=HOSTILE,
            architecture=HOSTILE,
            checksum=HOSTILE * (seed % 2),
            parameters={HOSTILE: HOSTILE},
            preset=f"quick {HOSTILE}={HOSTILE}",
            environment=dict.fromkeys(("device", "commit", "package", "torch"), HOSTILE),
            trial={"protocol": HOSTILE},
        )
        for seed in range(4)
    ]
    found = tables(bad)
    for page in (markdown.page(found), markdown.block(found, "x.md")):
        parsed = flat(MarkdownIt("commonmark").enable("table").parse(page))
        kinds = {token.type for token in parsed}
        assert not kinds & {"html_block", "html_inline", "image"}
        links = [token.attrGet("href") for token in parsed if token.type == "link_open"]
        assert links == (["x.md"] if "x.md" in page else [])
        headings = [token for token in parsed if token.type == "heading_open"]
        assert {token.tag for token in headings} <= {"h1", "h2", "h3"}
    assert END not in markdown.block(found, "x.md")


def test_a_page_is_the_same_for_the_same_records(sample: MakeSample) -> None:
    records = [*sample("dm", [0.5, 0.6]), *sample("dc", [0.4, 0.6]), *sample("x", [0.4], budget=9)]
    assert markdown.page(tables(records)) == markdown.page(tables(records[::-1]))


# the files


def test_the_block_of_the_readme_is_replaced_and_nothing_else(
    board: list[Table], tmp_path: Path
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\r\n{BEGIN}\nstale\n{END}\nafter", newline="")
    wanted = pages(board, tmp_path / "leaderboard" / "README.md", readme)
    text = wanted[readme]
    assert text.startswith(f"before\r\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter")
    assert "stale" not in text
    assert "(leaderboard/README.md)" in text


def test_replacing_the_block_again_changes_nothing(board: list[Table], tmp_path: Path) -> None:
    readme, output = tmp_path / "README.md", tmp_path / "board.md"
    readme.write_text(f"{BEGIN}{END}")
    assert stale(pages(board, output, readme)) == [output, readme]
    for path, text in pages(board, output, readme).items():
        path.write_text(text)
    assert stale(pages(board, output, readme)) == []


@pytest.mark.parametrize("text", ["", "no markers"])
def test_a_readme_without_a_block_is_left_alone(
    board: list[Table], tmp_path: Path, text: str
) -> None:
    readme = tmp_path / "README.md"
    if text:
        readme.write_text(text)
    assert set(pages(board, tmp_path / "board.md", readme)) == {tmp_path / "board.md"}


@pytest.mark.parametrize("text", [BEGIN, END, f"{END} {BEGIN}"])
def test_half_a_block_is_refused(board: list[Table], tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(BadFile, match="needs both"):
        pages(board, tmp_path / "board.md", readme)


def test_a_readme_that_is_no_text_is_refused(board: list[Table], tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_bytes(b"\xff\xfe")
    with pytest.raises(BadFile, match="cannot be read"):
        pages(board, tmp_path / "board.md", readme)


def test_the_board_states_its_date_and_versions(board: list[Table]) -> None:
    assert (
        "State of 2025-06-01: record schema 1; ipc-grid v1 quick aaaaaaaaaaaa; "
        "bench 0.1.0; commits cccccccccccc."
    ) in markdown.page(board)


def test_what_tables_cannot_show_and_show_together_is_one_line_each(board: list[Table]) -> None:
    lines = markdown.page(board).splitlines()
    (gap,) = (line for line in lines if line.startswith("Smallest gap"))
    assert gap.endswith(" points.")
    (standing,) = (line for line in lines if line.startswith("Average rank"))
    assert "over the 1 of 1 cells (ipc budgets)" in standing
    assert "dm 1.0 (1), random 2.0 (0)" in standing
