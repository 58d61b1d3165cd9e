"""The site in a real browser, opened from disk: scripts, links, themes, phones, screenshots.

``BENCH_SCREENSHOTS=screenshots python -m pytest -m slow tests/leaderboard/site`` keeps a picture of
every page that is looked at, on a desktop and a phone, light and dark.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.records import Record
from leaderboard.site.output import write
from tests.leaderboard.profiles import MTT, forecast
from tests.leaderboard.site.conftest import HOSTILE

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def folder(
    tmp_path: Path,
    board: list[Record],
    sample: Callable[..., list[Record]],
    make_site: Callable[..., dict[str, bytes]],
) -> Path:
    """A site on disk, with a hostile record among the others."""
    found = board + [
        record
        for text in HOSTILE
        for record in sample(text, [0.3, 0.4], parameters={text: text}, reason=text)
    ]
    swept = [forecast(parameters=MTT | {"matching_steps": n}, peak=n * 2**28) for n in (1, 50)]
    write(make_site(found, profiles=swept), tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def visit(browser: Any, folder: Path) -> Iterator[Callable[..., Any]]:
    """Opens a page of the site and fails if anything complains or asks the network."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def dismiss(dialog: Any) -> None:
        complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def check(request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            complaints.append(f"network: {request.url}")

    def opened(
        name: str = "index.html", size: dict[str, int] = DESKTOP, theme: str = "light"
    ) -> Any:
        context = browser.new_context(viewport=size, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", dismiss)
        page.on("request", check)
        page.goto((folder / name).as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def shot(page: Any, folder: Path, name: str) -> None:
    """Keep a screenshot where the maintainer wants them, else beside the site."""
    kept = Path(os.environ.get("BENCH_SCREENSHOTS") or folder.parent)
    kept.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=kept / f"{name}.png", full_page=True)


def column(table: Any, index: int) -> list[str]:
    texts: list[str] = table.locator(
        f"tbody:first-of-type tr :is(td, th):nth-child({index})"
    ).all_inner_texts()
    return texts


def test_every_page_opens_without_complaint(visit: Callable[..., Any], folder: Path) -> None:
    page = visit()
    for path in sorted(folder.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.compatMode") == "CSS1Compat"


def test_charts_are_drawn_and_drawn_anew_in_the_other_theme(
    visit: Callable[..., Any], folder: Path
) -> None:
    page = visit()
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    plot.locator("svg").wait_for()
    label = plot.locator("svg text").first
    before = label.get_attribute("fill")
    page.get_by_role("button", name="Dark theme").click()
    page.wait_for_function(
        "before => document.querySelector('.plot svg text')?.getAttribute('fill') !== before",
        arg=before,
    )
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.get_by_role("button", name="Light theme").is_visible()
    shot(page, folder, "index-desktop-chosen-dark")


def test_a_head_sorts_and_says_so(visit: Callable[..., Any]) -> None:
    """By the keyboard: where a click lands depends on charts that are still being drawn."""
    table = visit().locator("table.results").first
    heads = table.locator("thead th").all_inner_texts()
    accuracy = 1 + next(i for i, text in enumerate(heads) if text.startswith("Accuracy"))
    button = table.locator("thead button", has_text="Accuracy")
    for direction, reverse in (("descending", True), ("ascending", False)):
        button.press("Enter")
        table.locator(f"th[aria-sort={direction}]").wait_for()
        values = [float(text.split()[0]) for text in column(table, accuracy)]
        assert values == sorted(values, reverse=reverse)
    table.locator("thead button", has_text="Method").press("Enter")
    names = column(table, 2)
    folded = [name.lower() for name in names if name.isalpha()]
    assert folded == sorted(folded)
    assert table.locator("tbody.ceilings:last-of-type tr").count() == 1


def test_filters_and_search_leave_what_fits(visit: Callable[..., Any]) -> None:
    page = visit()
    form = page.locator("#filters")
    rows = page.locator("table.results tbody tr:visible")
    everything = rows.count()
    form.get_by_label("Dataset").select_option("my photos")
    assert rows.count() == 1
    assert f"1 of {everything} rows" in form.get_by_role("status").inner_text()
    page.get_by_role("button", name="Clear").click()
    page.wait_for_function("document.getElementById('shown').textContent.match(/^(\\d+) of \\1 /)")
    form.get_by_label("Device").select_option("GPU Testium")
    assert rows.count() == 1
    form.get_by_label("Device").select_option("")
    form.get_by_label("Budget").select_option("ipc 10")
    form.get_by_label("Search").fill("herding mlp")
    assert [text.split("\t")[1] for text in rows.all_inner_texts()] == ["herding"]
    form.get_by_label("Search").fill("no such method")
    assert page.get_by_text("No row fits these filters.").is_visible()


def test_links_lead_from_a_table_to_a_method_and_back(visit: Callable[..., Any]) -> None:
    page = visit()
    page.locator("table.results").first.get_by_role("link", name="dm", exact=True).first.click()
    assert page.locator("h1").inner_text() == "dm"
    page.locator("table.sortable th[scope=row] a").first.click()
    assert "#table-" in page.url
    sync_api.expect(page.locator(":target")).to_have_count(1)  # waits for the page to be there


def test_the_keyboard_reaches_the_content_and_sees_where_it_is(visit: Callable[..., Any]) -> None:
    page = visit()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(width.removesuffix("px")) >= 2


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_page_is_wider_than_the_window(
    visit: Callable[..., Any], folder: Path, size: dict[str, int], theme: str
) -> None:
    page = visit(size=size, theme=theme)
    for path in sorted(folder.rglob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path.name
    for name in ("index", "efficiency"):
        page.goto((folder / f"{name}.html").as_uri())
        page.locator(".plot").first.scroll_into_view_if_needed()
        page.locator(".plot svg").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        shot(page, folder, f"{name}-{'phone' if size is PHONE else 'desktop'}-{theme}")
