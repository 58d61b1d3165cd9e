"""Generated hostile cases: what a stranger could put in a file.

A family is a strategy for cases and the reader that must stand them. Most cases are good values
with a few parts replaced, because what is wrong throughout is refused at the first look.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

DEEP = "[" * 30_000 + "]" * 30_000

TEXTS = st.sampled_from(
    [
        *("", " ", "\0", "..", "../../../tmp/escaped", "/etc/passwd", "~", "~nobody", "a/b"),
        *("\ud800", "\x1b[31mred\x1b[0m", "\u202egnp.exe", "x" * 5000, "İ", "nan", "-0", "1e999"),
        *("__import__('os').system('touch escaped')", "$(touch escaped)", "{}", "%s%n", "\r\n"),
    ]
) | st.text(max_size=8)
NUMBERS = st.sampled_from(
    [0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, 5e-324]
) | st.floats(allow_nan=True, allow_infinity=True)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Cases, and the reader that is given each of them.

    Attributes:
        cases: what to read.
        read: refuses a case by a ``BenchError``, or takes it.
    """

    cases: SearchStrategy[Any]
    read: Callable[[Any], object]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, the whole among them."""
    members: Any = value.items() if isinstance(value, dict) else ()
    members = enumerate(value) if isinstance(value, list) else members
    return [path, *(place for key, inner in members for place in places(inner, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn, good: Any) -> Any:
    """``good`` with one to three parts replaced, removed, doubled or added."""
    value = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(places(value)[1:] or [("whole",)]))
        if last == "whole" or not isinstance(value, dict | list):
            return draw(VALUES)
        inside = value
        for key in way:
            inside = inside[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "add"])):
            case "replace":
                inside[last] = draw(VALUES)
            case "remove":
                del inside[last]
            case "add" if isinstance(inside, dict):
                inside[draw(TEXTS)] = draw(VALUES)
            case _:
                inside.append(draw(VALUES))  # type: ignore[union-attr]
    return value


def as_json(good: Any) -> SearchStrategy[bytes]:
    """JSON texts near a good one, among them NaN, half characters and bottomless nesting."""
    return st.one_of(
        mutated(good).map(lambda value: json.dumps(value).encode()),
        mutated(good).map(
            lambda value: json.dumps(value, ensure_ascii=False).encode(errors="replace")
        ),
        torn(json.dumps(good).encode()),
        st.sampled_from([DEEP.encode(), b'{"a":' * 20_000, b"\xff\xfe", b"1" * 5000]),
    )


@st.composite
def torn(draw: st.DrawFn, content: bytes) -> bytes:
    """``content`` with a few bytes changed near its ends, where structure is, or cut off."""
    damaged = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, min(1500, len(content) - 1)))
        place = place if draw(st.booleans()) else len(content) - 1 - place
        damaged[place] = draw(st.integers(0, 255))
    return bytes(damaged[: len(damaged) - draw(st.sampled_from([0, 0, 0, 1, 100]))])


def through(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A reader of a file's content."""

    def write_and_read(content: bytes) -> object:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return read(path)

    return write_and_read
