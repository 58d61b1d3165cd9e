"""Old record lines in the shape of today's schema, so that what was published stays readable.

A migration turns the facts of one schema into those of the next. Files are never rewritten: lines
of an old schema are migrated whenever they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.errors import BadFile

Facts = dict[str, Any]
Migration = Callable[[Facts], Facts]

MIGRATIONS: Mapping[int, Migration] = {}
"""From each old schema to the next one; schema 1 is the first."""


def migrate(
    facts: Facts, schema: int, where: str, migrations: Mapping[int, Migration] | None = None
) -> Facts:
    """The facts of a record line, step by step, in the shape of ``schema``.

    Args:
        facts: a record line's object; not changed.
        schema: today's schema.
        where: file and line, for the message.
        migrations: what to apply, by the schema that it reads; ours unless given.

    Raises:
        BadFile: no schema is stated, it is newer than today's, or no migration leads on from it.
    """
    known = MIGRATIONS if migrations is None else migrations
    found = facts.get("schema")
    if not isinstance(found, int) or isinstance(found, bool):
        raise BadFile(f"{where} states no schema that is a number.")
    if found > schema:
        raise BadFile(
            f"{where} is of schema {found}; this version reads up to {schema}. Update it."
        )
    for step in range(found, schema):
        if step not in known:
            raise BadFile(f"{where} is of schema {found}, which nothing migrates to {schema}.")
        facts = known[step](dict(facts)) | {"schema": step + 1}
    return facts
