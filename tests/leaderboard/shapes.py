"""The shapes that ``docs/json.md`` shows, held against values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```json (\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHAPES: dict[str, Any] = {name: json.loads(block) for name, block in BLOCK.findall(PAGE)}

TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "anything": (object,),
}


def misfits(command: str, value: Any) -> list[str]:
    """Where a value differs from the shape of a command's output, one sentence a place."""
    return list(_misfits(value, SHAPES[command], command))


def _misfits(value: Any, shape: Any, place: str) -> Iterator[str]:
    if isinstance(shape, str):
        kind, _, missing = shape.partition(" or ")
        allowed = TYPES[kind] + ((type(None),) if missing == "null" else ())
        mistaken = isinstance(value, bool) and kind in ("integer", "number")
        if mistaken or not isinstance(value, allowed):
            yield f"{place} is {value!r}, not {shape}"
    elif isinstance(shape, list):
        for number, item in enumerate(value):
            yield from _misfits(item, shape[0], f"{place}[{number}]")
    elif shape.keys() != {"*"}:
        if value.keys() != shape.keys():
            yield f"{place} has {sorted(value.keys() ^ shape.keys())} on one side alone"
        for key in value.keys() & shape.keys():
            yield from _misfits(value[key], shape[key], f"{place}.{key}")
