"""The pages as files: links, ids, escaping, records, reproducibility, speed."""

from __future__ import annotations

import json
import posixpath
import random
import re
import time
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest

from bench import records
from bench.recipes import Recipe
from bench.records import Record
from bench.statistics import ALPHA
from leaderboard.site import Sources, assets, build, links, ranking
from leaderboard.tables import tables
from tests.leaderboard.site.conftest import HOSTILE, Page, pages
from tests.records import make

MakeSite = Callable[..., dict[str, bytes]]
Sample = Callable[..., list[Record]]
INVISIBLE = "\u202egnp.exe\u200f"


@pytest.fixture
def hostile(sample: Sample) -> list[Record]:
    """Records whose every free text tries to get out of its place."""
    found: list[Record] = []
    for number, text in enumerate(HOSTILE):
        own = "convnet-d2-w32"
        for method, architecture in ((text, own), (f"m{number}", own), ("dm", text)):
            found += sample(
                method,
                [0.4, 0.5, 0.6],
                dataset=text,
                architecture=architecture,
                parameters={text: text},
                preset=f"quick {text}=1",
                reason=text,
                environment={"device": text, "commit": text, "torch": text, "package": text},
            )
    found += sample("m0", [0.5, 0.6], parameters={"x": INVISIBLE}, preset="quick x=1")
    return found


def local_targets(name: str, page: Page) -> list[tuple[str, str]]:
    """File and fragment of every link of a page that stays within the site."""
    found = []
    for target in page.values("href") + page.values("src"):
        if target.startswith(("https://arxiv.org/abs/", "data:,")):
            continue
        path, _, fragment = target.partition("#")
        base = posixpath.dirname(name)
        found.append((posixpath.normpath(posixpath.join(base, path)) if path else name, fragment))
    return found


def test_every_link_leads_to_a_file_and_a_place_of_the_site(
    board: list[Record], make_site: MakeSite
) -> None:
    site = make_site(board)
    parsed = pages(site)
    for name, page in parsed.items():
        for path, fragment in local_targets(name, page):
            assert path in site, f"{name} links to {path}"
            if fragment:
                assert fragment in parsed[path].values("id"), f"{name} links to {path}#{fragment}"


def test_ids_are_unique_and_labels_point_at_them(board: list[Record], make_site: MakeSite) -> None:
    for name, page in pages(make_site(board)).items():
        ids = page.values("id")
        assert len(ids) == len(set(ids)), name
        assert set(page.values("aria-labelledby")) <= set(ids), name


def test_tables_have_captions_and_scoped_heads(board: list[Record], make_site: MakeSite) -> None:
    for name, page in pages(make_site(board)).items():
        assert all("scope" in attributes for attributes in page.of("th")), name
        assert all("alt" in attributes for attributes in page.of("img")), name
        assert len(page.of("h1")) == 1, name


def test_hostile_strings_become_no_element_attribute_or_address(
    hostile: list[Record], make_site: MakeSite
) -> None:
    site = make_site(hostile)
    own = {f"{'../' * depth}assets/{script}" for depth in (0, 1) for script in SCRIPTS}
    for name, page in pages(site).items():
        assert {tag for tag, _ in page.elements}.isdisjoint({"iframe", "object", "embed"}), name
        for attributes in page.of("script"):
            assert attributes.get("src", "") in own or attributes == {"type": "application/json"}
        for tag, attributes in page.elements:
            assert not any(key.startswith("on") for key in attributes), (name, tag, attributes)
            assert "style" not in attributes
        for target in page.values("href") + page.values("src"):
            scheme = re.match(r"[a-z]+:", target)
            assert scheme is None or target.startswith(("https://arxiv.org/abs/", "data:,"))
        for path, _ in local_targets(name, page):
            assert path in site
    for name in site:
        assert not PurePosixPath(name).is_absolute()
        assert ".." not in PurePosixPath(name).parts


SCRIPTS = ("theme.js", "tables.js", "charts.js", "vega.js")


def test_hostile_strings_are_shown_as_they_are(hostile: list[Record], make_site: MakeSite) -> None:
    index = pages(make_site(hostile))["index.html"]
    texts = {text for _, text in index.texts}
    for text in HOSTILE:
        assert text in texts


def test_invisible_characters_of_records_reach_no_page(
    hostile: list[Record], make_site: MakeSite
) -> None:
    for name, content in make_site(hostile).items():
        if name.endswith(".html"):
            assert not set(content.decode()) & set("\u202e\u200f"), name


def test_data_inside_pages_ends_no_script_element(
    hostile: list[Record], make_site: MakeSite
) -> None:
    content = make_site(hostile)["index.html"].decode()
    blocks = re.findall(r'<script type="application/json">(.*?)</script>', content, re.S)
    assert blocks
    for block in blocks:
        assert "<" not in block
        json.loads(block)


def test_two_builds_are_the_same_bytes(board: list[Record]) -> None:
    found = tables(board)
    assert build(found, Sources(records=board)) == build(found, Sources(records=board))


def test_the_records_of_a_method_are_there_line_by_line(
    board: list[Record], make_site: MakeSite
) -> None:
    site = make_site(board)
    lines = site["records/dm.jsonl"].decode().splitlines()
    own = [record for record in board if record.method.name == "dm"]
    assert sorted(lines) == sorted(record.line().rstrip("\n") for record in own)
    assert all(records.parse(line, "line") in own for line in lines)


def test_rows_lead_to_their_records_which_stand_together(
    board: list[Record], sample: Sample, make_site: MakeSite
) -> None:
    changed = sample("dm", [0.1, 0.2], parameters={"iterations": 7}, preset="quick iterations=7")
    longer = sample("dm", [0.3, 0.4], recipe=Recipe(epochs=600))
    every = [*board, *changed, *longer]
    site = make_site(every)
    ids = [attrs["id"] for attrs in pages(site)["methods/dm.html"].of("tr") if "id" in attrs]
    assert len(ids) == len(set(ids)) == sum(record.method.name == "dm" for record in every)
    linked = pages(site)["index.html"].values("href")
    for table in tables(every):
        for row in (row for row in table.rows if row.method == "dm"):
            own = [links.record_anchor(record) for record in row.records]
            assert f"methods/dm.html#{own[0]}" in linked
            start = ids.index(own[0])
            assert ids[start : start + len(own)] == own


def test_a_record_tells_protocol_recipe_and_artefact(
    record: Callable[..., Record], make_site: MakeSite
) -> None:
    found = [
        record("dm", 0.5, artifact="ab" * 32),
        record("dm", 0.5, trial={"track": "native"}, recipe=Recipe(epochs=300, loss="l1-logits")),
    ]
    page = make_site(found)["methods/dm.html"].decode().split('<h2 id="records">')[1]
    assert "<code>abababababab</code>" in page
    assert page.count("<td>ipc-grid v1</td>") == 2
    assert "epochs 300, lr 0.01, loss l1-logits" in page


def test_repeated_and_validation_records_are_listed_but_marked(
    record: Callable[..., Record], make_site: MakeSite
) -> None:
    found = [
        record("dm", 0.5, time="2025-01-01T00:00:00Z"),
        record("dm", 0.6, time="2025-02-01T00:00:00Z"),
        record("dm", 0.9, seed=1000, split="validation"),
    ]
    page = make_site(found)["methods/dm.html"].decode()
    assert re.findall(r"<td>(yes|repeated|validation)</td>", page) == [
        "repeated",
        "yes",
        "validation",
    ]


def test_a_superseded_record_is_listed_with_its_method_and_counts_nowhere(
    record: Callable[..., Record], make_site: MakeSite
) -> None:
    wrong = record("dm", 0.1, time="2025-01-01T00:00:00Z")
    site = make_site([record("dm", 0.6, time="2025-02-01T00:00:00Z")], superseded=[wrong])
    page = site["methods/dm.html"].decode()
    assert re.findall(r"<td>(yes|repeated|superseded)</td>", page) == ["superseded", "yes"]
    assert records.parse(site["records/dm.jsonl"].decode().splitlines()[0], "line") == wrong
    assert b"10.0" not in site["index.html"]


def test_a_method_page_tells_the_command_with_every_coordinate_and_change(
    sample: Sample, make_site: MakeSite
) -> None:
    preset = sample("dm", [0.5, 0.6])
    changed = sample(
        "dm",
        [0.7, 0.8, 0.9],
        budget=10,
        parameters={"iterations": 7, "lr_images": 1.0},
        preset="quick iterations=7",
    )
    page = pages(make_site(preset + changed))["methods/dm.html"]
    run = "bench run --protocol ipc-grid --tier quick --track standard --dataset digits"
    assert [text for _, text in page.texts if text.startswith("bench run")] == [
        f"{run} --budget 1 --method dm --seeds 2",
        f"{run} --budget 10 --method dm --set dm.iterations=7 --seeds 3",
    ]


def test_a_method_page_tells_each_command_once_below_all_that_it_fills(
    sample: Sample, make_site: MakeSite
) -> None:
    cross = {"protocol": "cross-arch"}
    made = sample("dm", [0.5, 0.6])
    for architecture in ("mlp", "lenet", "resnet18"):
        made += sample("dm", [0.5, 0.6], architecture=architecture, trial=cross)
    for merged in ((), (100,)):
        trial = {"protocol": "merge", "merged_seeds": merged}
        made += sample("dm", [0.5, 0.6], trial=trial)
    page = pages(make_site(made))["methods/dm.html"]
    told = [text for _, text in page.texts if re.match(r"bench run|.* track: digits, ipc", text)]
    assert told == [
        "cross-arch v1, quick tier, standard track: digits, ipc 1",
        "bench run --protocol cross-arch --tier quick --track standard --dataset digits --budget 1 "
        "--method dm --seeds 2",
        "ipc-grid v1, quick tier, standard track: digits, ipc 1",
        "bench run --protocol ipc-grid --tier quick --track standard --dataset digits --budget 1 "
        "--method dm --seeds 2",
        "merge v1, quick tier, standard track: digits, ipc 1",
        "merge v1, quick tier, standard track: digits, ipc 2",
        "bench run --protocol merge --tier quick --track standard --dataset digits --budget 1 "
        "--method dm --seeds 2",
    ]


def test_every_board_states_what_it_was_made_with_and_whose_recipe_differs(
    board: list[Record], sample: Sample, make_site: MakeSite
) -> None:
    longer = sample("tesla", [0.5, 0.6], recipe=Recipe(epochs=600))
    site = make_site([*board, *longer])
    for name in ("index.html", "datasets/digits.html"):
        texts = " ".join(text for _, text in pages(site)[name].texts)
        assert "Students' recipe: epochs 300, lr 0.01, learned_lr no, momentum 0.9" in texts
        for fact in ("Seeds", "0–3", "Commits", "cccccccccccc", "torch 2.11.0", "500 ms"):
            assert fact in texts, (name, fact)
        assert "Other recipes: tesla: epochs 600." in texts


def test_a_site_of_unknown_methods_and_data_says_so(sample: Sample, make_site: MakeSite) -> None:
    site = make_site(sample("made-up", [0.1, 0.2], dataset="nowhere"))
    assert b"No card:" in site["methods/made-up.html"]
    assert b"somebody's own images" in site["datasets/nowhere.html"]


def test_average_ranks_have_one_decimal(board: list[Record], make_site: MakeSite) -> None:
    page = make_site(board)["index.html"].decode()
    table = page.split("Average ranks and Borda points")[1].split("</details>")[0]
    assert re.findall(r'<td class="num" data-sort="[^"]*">([0-9.]+)</td><td', table) == [
        "1.0",
        "2.0",
        "3.0",
    ]


def test_the_example_of_many_methods_shows_the_tests_behind_its_ranks(sample: Sample) -> None:
    best = sample("best", [1.0] * 3)
    others = [record for k in range(24) for record in sample(f"m{k}", [0.5] * 3)]
    correct = {r.id: b"\xff" * 25 for r in best} | {r.id: b"\xf0" * 25 for r in others}
    example = ranking.example(tables(best + others, correct=correct), correct)
    assert example is not None
    assert [row.rank for row in example.rows] == [1] + [2] * 24
    assert {test.better.title for test in example.tests if test.adjusted_p < ALPHA} == {"best"}


def test_the_example_is_the_largest_table_of_presets_that_is_small(sample: Sample) -> None:
    def of(count: int, dataset: str, **facts: Any) -> list[Record]:
        return [
            record
            for k in range(count)
            for record in sample(f"m{k}", [0.5 + k / 50, 0.51 + k / 50], dataset=dataset, **facts)
        ]

    changed = {"parameters": {"iterations": 7}, "preset": "quick iterations=7"}
    small, clear = of(3, "few"), of(12, "some")
    mixed = [*of(10, "mixed"), *sample("m0", [0.1, 0.2], dataset="mixed", **changed)]
    example = ranking.example(tables([*small, *clear, *mixed, *of(13, "many")]), {})
    assert example is not None
    assert (example.table.key.dataset, len(example.rows)) == ("some", 12)


def test_the_state_of_the_board_comes_from_its_records(
    record: Callable[..., Record], make_site: MakeSite
) -> None:
    site = make_site([record("dm", 0.5, time="2024-02-29T23:59:59Z")], commit="f" * 40)
    for name, content in site.items():
        if name.endswith(".html"):
            assert b'<time datetime="2024-02-29">' in content, name
            assert b"ffffffffffff" in content, name


@pytest.mark.slow
def test_a_site_without_pictures_needs_no_torch(board: list[Record], tmp_path: Any) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from bench import records; from pathlib import Path;"
        "from leaderboard.tables import tables; from leaderboard.site import Sources, build;"
        "found = records.read_all(Path(sys.argv[1]));"
        "build(tables(found), Sources(records=found)); sys.exit('torch' in sys.modules)"
    )
    for one in board[:4]:
        records.append(tmp_path, one)
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0


@pytest.mark.slow
def test_ten_thousand_records_render_within_five_seconds() -> None:
    draw = random.Random(0)
    found = [
        make(f"method-{m}", min(1, draw.gauss(0.3 + 0.01 * m, 0.01)), s, budget=b, dataset=d)
        for m in range(20)
        for d in ("a", "b", "c", "d", "e")
        for b in (1, 10, 50, 100)
        for s in range(25)
    ]
    assets.chart_library()  # the same for every site, and made beside other work
    start = time.process_time()  # this process alone, whatever else the machine does
    site = build(tables(found), Sources(records=found))
    assert time.process_time() - start < 5
    assert sum(name.startswith("methods/") for name in site) == 20
