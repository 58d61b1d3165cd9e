"""Addresses within the site: names of pages and anchors, safe and unique for any name."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.records import Record
    from leaderboard.rows import Row

MAX_STEM = 60
PROFILES_FILE = "profiles/records.jsonl"
"""Every profile record, from the site's root."""
_PLAIN = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_TAGGED = re.compile(r".*-[0-9a-f]{10}")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
"""Names that one system or another keeps for its devices."""


def slug(name: str) -> str:
    """A name for files and anchors; two names never share one, on any file system.

    A plain lower-case name stands for itself. Any other is reduced to letters, digits and hyphens,
    and tagged with a digest of the original; plain names that look tagged are tagged too.
    """
    plain = _PLAIN.fullmatch(name) and len(name) <= MAX_STEM
    if plain and not _TAGGED.fullmatch(name) and not _RESERVED.fullmatch(name):
        return name
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:MAX_STEM].strip("-") or "name"
    return f"{stem}-{_digest(name)[:10]}"


def anchor(*parts: str) -> str:
    """An id for a place on a page; two lists of parts never share one."""
    readable = "-".join(slug(part) for part in parts)[:120].rstrip("-._")
    return f"{readable}-{_digest(chr(0x1F).join(parts))[:10]}"


def method_page(name: str) -> str:
    """The page of a method, from the site's root."""
    return f"methods/{slug(name)}.html"


def records_file(name: str) -> str:
    """The record lines of a method, from the site's root."""
    return f"records/{slug(name)}.jsonl"


def record_anchor(record: Record) -> str:
    """The id of a record's row on the page of its method."""
    return f"record-{_digest(chr(0x1F).join(identity(record)))[:16]}"


def identity(record: Record) -> tuple[str, str, str]:
    """What tells a record from others, also from others of its trial."""
    return record.id, record.time, record.environment.commit


def row_records(row: Row) -> str:
    """Where the records of a table's row begin, from the site's root; they stand together."""
    return f"{method_page(row.method)}#{record_anchor(row.records[0])}"


def dataset_page(name: str) -> str:
    """The page of a dataset, from the site's root."""
    return f"datasets/{slug(name)}.html"


def protocol_page(name: str) -> str:
    """The page of a protocol with tables of its own, from the site's root."""
    return f"protocols/{slug(name)}.html"


def image_file(content: bytes) -> str:
    """Where an image lies, from the site's root: equal images share one file."""
    return f"images/{hashlib.sha256(content).hexdigest()[:20]}.png"


def up(page: str) -> str:
    """The way from a page to the site's root."""
    return "../" * page.count("/")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
