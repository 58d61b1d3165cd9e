"""The Markdown files of the repository that show the leaderboard, and whether they are stale."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.errors import BadFile
from leaderboard import efficiency, markdown
from leaderboard.studies import Section
from leaderboard.tables import Table

BEGIN = "<!-- leaderboard:begin -->"
END = "<!-- leaderboard:end -->"


def pages(
    found: Sequence[Table],
    output: Path | None,
    readme: Path | None,
    told: Sequence[Section] = (),
    profiled: Sequence[efficiency.Section] = (),
) -> dict[Path, str]:
    """What each file should contain: the page, and the readme if it has a leaderboard block.

    Args:
        found: the tables.
        output: the page; ``None`` for no file at all.
        readme: where the short form stands.
        told: what protocols say in tables of their own.
        profiled: what methods cost.

    Raises:
        BadFile: the readme cannot be read, or only one of its markers stands.
    """
    if output is None:
        return {}
    wanted = {output: markdown.page(found, told, profiled)}
    text = _read(readme) if readme else ""
    if readme and (BEGIN in text or END in text):
        link = Path(os.path.relpath(output, readme.parent)).as_posix()
        wanted[readme] = _with_block(text, markdown.block(found, link, told), readme)
    return wanted


def stale(wanted: Mapping[Path, str]) -> list[Path]:
    """The files that contain something else."""
    return [path for path, text in wanted.items() if _read(path) != text]


def _read(path: Path) -> str:
    """The file's text; ``""`` where there is no file."""
    try:
        return path.read_bytes().decode() if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path} cannot be read: {error}.") from error


def _with_block(text: str, block: str, path: Path) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.rpartition(END)
    if not (begin and end):
        raise BadFile(f"{path} needs both {BEGIN} and, below it, {END}.")
    return f"{before}{BEGIN}\n{block}{END}{after}"
