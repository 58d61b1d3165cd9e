"""Tables as Markdown for the repository: the whole page, and the block of the top README."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from bench.studies import Study
from leaderboard import columns, efficiency, remarks, reproduce, wording
from leaderboard.facts import facts, notes, usual_recipe
from leaderboard.reported import reported
from leaderboard.rows import Row
from leaderboard.standings import standings
from leaderboard.state import State, state
from leaderboard.studies import Section, without
from leaderboard.tables import FULL, Table, TableKey
from leaderboard.wording import NONE, escape

INTRODUCTION = """\
# Leaderboard

Rendered from records by `bench leaderboard build`; edits here are lost.

- **Accuracy**: mean ± population standard deviation over n trials, in percent. A trial is one
  repetition with its own seed. Of a trial that ran more than once the latest good record counts.
- **95 % interval**: of the mean, by Student's t; what lies outside [0, 100] is cut, and said.
- **Rank**: one plus the number of methods that are significantly better than this one, or than a
  method with the same or a higher mean; so ranks follow the means, and part only where a difference
  is significant (Welch's t-test of every pair, Holm-corrected, 5 %). Where it is stored which test
  images were right, other test images must tell the same (paired bootstrap). Ranked together are
  presets on one architecture, trained by one recipe; changed settings, which the row names, fewer
  than two trials and a method without a rival have no rank.
- **Ceiling**: students trained on the whole training set, for orientation; never ranked. **Ground
  truth**: such students of a protocol that holds rankings of architectures against theirs.
- **Provenance**: self-reported; repeated at other commits of the code, on the same machine;
  reproduced on other machines or torch versions; or re-run, without agreement on two trials
  (`docs/ranks.md` has the exact rules).
- **Stored**: bytes to keep in order to train from the result again. **Prepare** (work ahead of the
  distillation, such as expert buffers), **Distil**, **Evaluate** (one student): median time and
  greatest peak of memory. The calibration kernel, one fixed piece of work timed in every run, tells
  how fast a machine was just then.
- Protocol versions, tiers and datasets never share a table. Tracks and budgets do only in tables
  that a protocol makes to compare them, and these say which is which. Numbers printed in papers
  stand in tables of their own: their recipes differ from ours.
"""


def page(
    found: Sequence[Table],
    told: Sequence[Section] = (),
    profiled: Sequence[efficiency.Section] = (),
) -> str:
    """The whole leaderboard as one page.

    Args:
        found: every table.
        told: what protocols say in tables of their own, which stand instead of their cells.
        profiled: what methods cost.
    """
    cells = without(found, told)
    sections = [
        _section(list(members))
        for _, members in groupby(cells, key=lambda table: _rules(table.key))
    ]
    studies = (_studies(section, section.warnings(found)) for section in told)
    parts = [INTRODUCTION, _state(found), *sections, *studies, *_costs(profiled)]
    return "\n".join(parts)


def _costs(profiled: Sequence[efficiency.Section]) -> Iterator[str]:
    """What methods cost, place by place, and what papers print beyond that."""
    if not profiled:
        return
    yield "## What methods cost\n"
    yield from (f"{escape(remark)}\n" for remark in efficiency.REMARKS)
    for section in profiled:
        facts = "".join(f"- {escape(fact)}\n" for fact in section.facts)
        yield f"## {escape(section.place.title)}\n\n{facts}\n```sh\n{section.command}\n```\n"
        yield from map(_study, section.studies)
    rest = efficiency.unmatched(profiled)
    if rest:
        yield _study(rest)


def _studies(section: Section, warnings: Sequence[str]) -> str:
    """A protocol's own tables, with the command that fills them."""
    words = ["bench", "run", "--protocol", section.protocol, "--tier", section.tier]
    command = wording.command(*words, "--dataset", section.dataset)
    return "\n".join(
        [
            f"## {escape(section.title)}\n",
            *(f"**Warning**: {escape(warning)}\n" for warning in warnings),
            f"```sh\n{command}\n```\n",
            *(_study(study) for study in section.studies),
        ]
    )


def _study(study: Study) -> str:
    head = [escape(column.name) for column in study.columns]
    left = {escape(column.name) for column in study.columns if column.kind == "text"}
    body = [[escape(cell) for cell in row] for row in study.texts()]
    notes = [f"{escape(note)}\n" for note in study.remarks]
    return "\n".join([f"### {escape(study.title)}\n", _grid(head, body, left), *notes])


def _state(found: Sequence[Table]) -> str:
    """The board's date and what it was made with, in one line."""
    made = state(record for table in found for row in table.rows for record in row.records)
    return escape(_made(made)) + "\n"


def _made(made: State) -> str:
    day = made.newest.partition("T")[0] or NONE
    commits = ", ".join(map(wording.commit, made.commits)) or NONE
    return (
        f"State of {day}: record schema {made.record_schema}; {', '.join(made.protocols) or NONE}; "
        f"bench {', '.join(made.packages) or NONE}; commits {commits}."
    )


def _rules(key: TableKey) -> tuple[str, int, str, str, str]:
    return key.protocol, key.version, key.protocol_hash, key.tier, key.track


def _title(key: TableKey) -> str:
    return f"{key.protocol} v{key.version}, {key.tier} tier"


def _section(found: Sequence[Table]) -> str:
    key = found[0].key
    title = f"{_title(key)}, {key.track} track"
    usual = usual_recipe(found)
    ran = "".join(
        f"- {escape(name)}: {escape(value)}\n" for name, value in facts(found, usual).items()
    )
    tables = (_table(table, usual) for table in found)
    overall = (f"{escape(remarks.standing(entry))}\n" for entry in standings(found))
    return "\n".join([f"## {escape(title)}\n", ran, *overall, *tables])


def _table(table: Table, usual: Mapping[str, Any]) -> str:
    shown, cells = columns.grid(table.rows)
    body = [
        [_emphasise(row, name, _safe(name, cell)) for name, cell in zip(shown, line, strict=True)]
        for row, line in zip(table.rows, cells, strict=True)
    ]
    parts = [
        f"### {escape(_name(table))}\n",
        *(f"**Warning**: {escape(warning)}\n" for warning in table.warnings),
        _grid(shown, body, columns.LEFT),
        *(f"{escape(note)}\n" for note in notes(table, usual)),
        _commands(table),
        _reported(table),
    ]
    return "\n".join(part for part in parts if part)


def _safe(column: str, cell: str) -> str:
    """Escaped, where the text is not our own."""
    return escape(cell) if column in columns.LEFT else cell


def _name(table: Table) -> str:
    """Dataset and budget, and the checksum where the dataset's name alone is ambiguous."""
    data = f", data {table.key.checksum[:12] or NONE}" if table.warnings else ""
    return f"{table.key.dataset}, {table.key.budget}{data}"


def _emphasise(row: Row, column: str, text: str) -> str:
    if column == columns.ACCURACY and row.rank == 1:
        return f"**{text}**"
    return f"*{text}*" if column == columns.METHOD and row.ceiling else text


def _grid(head: Sequence[str], body: Sequence[Sequence[str]], left: Collection[str]) -> str:
    from tabulate import tabulate

    align = ["left" if name in left else "right" for name in head]
    return tabulate(body, head, "pipe", disable_numparse=True, colalign=align) + "\n"


def _commands(table: Table) -> str:
    commands = "\n".join(reproduce.table_commands(table))
    return f"Reproduce:\n\n```sh\n{commands}\n```\n"


def _reported(table: Table) -> str:
    """What papers print for exactly the cells of this table."""
    presets = (row for row in table.rows if not row.changes)
    body = []
    for row in sorted(presets, key=lambda row: (row.method, row.architecture)):
        budget = FULL if row.ceiling else table.key.budget
        for value in reported(table.key.dataset, budget, row.method, row.architecture, row.network):
            source = f"{value.paper}, {value.table}"
            told = "; ".join(text for text in (value.variant, value.labels, value.notes) if text)
            body.append([row.method, row.architecture, value.printed, source, told])
    if not body:
        return ""
    head = ["Method", "Architecture", "Reported %", "Paper", "Remarks"]
    grid = _grid(head, [[escape(cell) for cell in line] for line in body], set(head[:2] + head[3:]))
    return f"Reported elsewhere, under the papers' own recipes:\n\n{grid}"


def block(found: Iterable[Table], link: str, told: Sequence[Section] = ()) -> str:
    """The standard track in one small table a protocol and tier: presets and ceilings alone.

    Args:
        found: the tables.
        told: what protocols say in tables of their own; their cells are left to the whole page.
        link: where the whole page stands.
    """
    standard = [table for table in without(found, told) if table.key.track == "standard"]
    parts = []
    for _, group in groupby(standard, key=lambda table: _rules(table.key)):
        members = list(group)
        warnings = dict.fromkeys(warning for table in members for warning in table.warnings)
        parts.append(f"**{escape(_title(members[0].key))}**\n")
        parts += [f"**Warning**: {escape(warning)}\n" for warning in warnings]
        parts.append(_pivot(members))
    legend = (
        "Accuracy in percent, mean ± standard deviation; bold: rank 1. "
        f"Intervals, costs and recipes: [the whole leaderboard]({link}).\n"
    )
    return "\n".join([*parts, legend])


def _pivot(found: Sequence[Table]) -> str:
    """Tables and architectures down, methods across, ceilings last."""
    methods: dict[str, bool] = {}  # whether it is a ceiling
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for table in found:
        for row in table.rows:
            if row.changes:
                continue
            methods[row.method] = row.ceiling
            text = _emphasise(row, columns.ACCURACY, wording.accuracy(row.summary))
            lines.setdefault((_name(table), row.architecture), {})[row.method] = text
    ordered = sorted(methods, key=lambda method: (methods[method], method))
    places = ["Dataset, budget", "Architecture"]
    body = [
        [*map(escape, place), *(cells.get(method, NONE) for method in ordered)]
        for place, cells in lines.items()
    ]
    return _grid([*places, *map(escape, ordered)], body, places)
