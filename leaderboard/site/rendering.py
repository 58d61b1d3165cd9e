"""Templates: one environment in which every text is made safe on its way to the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from leaderboard import wording
from leaderboard.site import links
from leaderboard.truths import reference

if TYPE_CHECKING:
    from jinja2 import Environment

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def render(template: str, page: str, **values: Any) -> bytes:
    """One page.

    Args:
        template: its template.
        page: its address from the site's root; links are made relative to it.
        **values: what the template shows.
    """
    text = environment().get_template(template).render(root=links.up(page), page=page, **values)
    return text.encode("utf-8", "replace")


@cache
def environment() -> Environment:
    """The templates, with autoescape on and an undefined name an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("leaderboard.site"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_one_line,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"sort_keys": True, "ensure_ascii": True}
    made.filters |= {
        "accuracy": wording.accuracy,
        "interval": wording.interval,
        "percent": wording.percent,
        "probability": wording.probability,
        "size": wording.size,
        "duration": wording.seconds,
        "commit": wording.commit,
        "numbers": wording.numbers,
        "recipe": wording.recipe,
        "reference": reference,
        "plain": wording.plain,
        "attributes": attributes,
        "arxiv": arxiv,
        "method_page": links.method_page,
        "dataset_page": links.dataset_page,
        "protocol_page": links.protocol_page,
        "records_file": links.records_file,
        "record_anchor": links.record_anchor,
        "row_records": links.row_records,
        "anchor": links.anchor,
    }
    return made


def _one_line(value: Any) -> Any:
    """Texts lose control and direction characters; what is markup already stays."""
    return wording.line(value) if type(value) is str else value


def arxiv(text: str) -> str | None:
    """The number of the first arXiv paper that a text names."""
    found = _ARXIV.search(text)
    return found.group(1) if found else None


def attributes(values: Mapping[str, str | Iterable[str]]) -> str:
    """``data-`` attributes that the page's filters read; lists become JSON."""
    import json

    from markupsafe import Markup, escape

    pairs = []
    for name, value in values.items():
        text = wording.plain(value) if isinstance(value, str) else json.dumps(sorted(value))
        pairs.append(Markup('data-{}="{}"').format(name, escape(text)))
    return Markup(" ").join(pairs)
