"""Numbers and strings as people read them: percent, ``±`` and units appear here alone.

Strings that come from records may be hostile. :func:`plain` makes one safe for a terminal,
:func:`escape` for Markdown, and so for the HTML that Markdown becomes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import count, groupby
from typing import Any

from bench import studies
from bench.statistics import Interval, Summary, cut
from leaderboard.rows import Mishap, Phase

NONE = studies.NONE
"""Stands where there is nothing to state."""

MAX_LENGTH = 300
_MARKUP = re.compile(
    r"[\\`*\[\]|~$]"
    r"|(?<![a-z0-9])_|_(?![a-z0-9])"  # within a word it is no markup
    r"|:(?=\S)|(?<=www)\.",  # addresses and emoji
    re.IGNORECASE,
)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def line(text: str) -> str:
    """``text`` on one line, without control, direction or other invisible characters."""
    one = " ".join(text.split())
    if one.isprintable():  # nearly every text of a site, which has hundreds of thousands
        return one
    return "".join(c if c.isprintable() else "�" for c in one)


def plain(text: str) -> str:
    """:func:`line` of bounded length; safe for a terminal."""
    safe = line(text)
    return safe if len(safe) <= MAX_LENGTH else f"{safe[: MAX_LENGTH - 1]}…"


def escape(text: str) -> str:
    """A :func:`line` that Markdown shows as it stands: no markup, HTML, link or table border."""
    html = "".join(_ENTITIES.get(c, c) for c in line(text))
    return _MARKUP.sub(r"\\\g<0>", html)


def command(*words: str) -> str:
    """A shell command, safe to copy."""
    return " ".join(shlex.quote(plain(word)) for word in words)


def commit(name: str) -> str:
    """A commit's short form; ``-dirty``, a checkout with changes of its own, stays."""
    digest, dash, state = name.partition("-")
    return f"{digest[:12]}{dash}{state}"


def percent(fraction: float) -> str:
    """``0.8642`` as ``86.4``."""
    return f"{100 * fraction:.1f}"


def accuracy(summary: Summary | None) -> str:
    """``86.4 ± 1.2``; without a deviation where there is one value."""
    if summary is None:
        return NONE
    mean = percent(summary.mean)
    return f"{mean} ± {percent(summary.std)}" if summary.n > 1 else mean


def interval(bounds: Interval | None) -> str:
    """``[84.9, 87.9]``, of an accuracy: cut to [0, 100]."""
    return difference(cut(bounds) if bounds else None)


def difference(bounds: Interval | None) -> str:
    """``[-2.1, 0.9]``, of a difference of accuracies."""
    return f"[{percent(bounds[0])}, {percent(bounds[1])}]" if bounds else NONE


def probability(p: float | None) -> str:
    """A p-value with two digits; tiny ones as a bound."""
    if p is None:
        return NONE
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def seconds(value: float) -> str:
    """A duration, as the protocols' own tables write it: ``4.2 min``."""
    return studies.duration(value)


def size(value: float | None) -> str:
    """Bytes, as the protocols' own tables write them: ``340 MB``."""
    return NONE if value is None else studies.size(value)


def cost(phase: Phase | None) -> str:
    """``4.2 min, 340 MB``."""
    return f"{seconds(phase.seconds)}, {size(phase.peak_bytes)}" if phase else NONE


def mishaps(ends: Sequence[Mishap]) -> str:
    """``2 × diverged: loss is NaN``."""
    return "; ".join(
        f"{end.count} × {end.status}: {end.reason}" if end.reason else f"{end.count} × {end.status}"
        for end in ends
    )


def numbers(values: Sequence[int]) -> str:
    """Integers with runs folded: ``0–4, 7``."""
    ordered, place = sorted(set(values)), count()
    runs = [list(run) for _, run in groupby(ordered, key=lambda value: value - next(place))]
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def recipe(fields: Mapping[str, Any]) -> str:
    """A training recipe's fields as ``epochs 300, lr 0.01``."""
    return ", ".join(f"{name} {_value(value)}" for name, value in fields.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({recipe(value)})"
    if value is None or isinstance(value, bool):
        return {None: "none", False: "no", True: "yes"}[value]
    return str(value)
