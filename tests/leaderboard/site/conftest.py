"""Sites built from records that never ran, and a reader of their pages."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest

from bench.records import Record
from leaderboard.site import Sources, build
from leaderboard.tables import tables

pytest.importorskip("jinja2", reason="the site needs jinja2")
pytest.importorskip("vl_convert", reason="the site needs vl-convert-python")

HOSTILE = (
    "<script>alert(1)</script>",
    '"onmouseover="alert(1)',
    "</script><script>alert(1)//",
    "javascript:alert(1)",
    "../../etc/passwd",
    "{{ 7*7 }}",
    "]]><img src=x onerror=alert(1)>",
    "dm'--><svg/onload=alert(1)>",
)
"""Names that a record may bear, and that must stay text on every page."""


@dataclass
class Page(HTMLParser):
    """What a page holds: elements with their attributes, and texts by the element around them."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    around: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.around.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append((self.around[-1] if self.around else "", data))

    def values(self, attribute: str) -> list[str]:
        """Every value of an attribute, in the order of the page."""
        return [attrs[attribute] for _, attrs in self.elements if attribute in attrs]

    def of(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of a kind."""
        return [attrs for name, attrs in self.elements if name == tag]


def read(content: bytes) -> Page:
    """Parse a page."""
    page = Page()
    page.feed(content.decode())
    return page


def pages(site: dict[str, bytes]) -> dict[str, Page]:
    """Every page of a site, parsed."""
    return {name: read(content) for name, content in site.items() if name.endswith(".html")}


@pytest.fixture
def make_site() -> Callable[..., dict[str, bytes]]:
    """Builds a site from records: ``make_site(records, ...)``."""

    def made(records: Iterable[Record], **sources: Any) -> dict[str, bytes]:
        found = list(records)
        return build(tables(found), Sources(records=found, **sources))

    return made


@pytest.fixture
def board(sample: Callable[..., list[Record]]) -> list[Record]:
    """Three methods at two budgets on two architectures, a ceiling, and data of somebody's own."""
    draw = random.Random(0)
    found: list[Record] = []
    for rank, method in enumerate(("dm", "herding", "random")):
        for budget in (1, 10):
            for shift, architecture in ((0.0, "convnet-d2-w32"), (0.05, "mlp")):
                mean = 0.6 + 0.02 * budget - 0.08 * rank - shift
                values = [mean + draw.uniform(-0.01, 0.01) for _ in range(4)]
                found += sample(method, values, budget=budget, architecture=architecture)
    found += sample("whole", [0.97, 0.98], budget="full", parameters={})
    found += sample("dm", [0.5], dataset="my photos", environment={"device": "GPU Testium"})
    return found
