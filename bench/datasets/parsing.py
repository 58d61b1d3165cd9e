"""The border between files that strangers made and the rest of the suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BadFile, BenchError

MAX_ENCODED_BYTES = 64 * 2**20
"""No file of one image, and no list of annotations, is larger."""


@contextmanager
def parsing(where: Path | str) -> Iterator[None]:
    """Turn whatever the parser of a foreign format raises into one sentence.

    Raises:
        BadFile: the parser failed.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:  # parsers raise anything at all on broken bytes
        reason = str(error).partition("\n")[0] or "no reason given"
        raise BadFile(
            f"{where} cannot be read ({type(error).__name__}: {reason.rstrip('.')})."
        ) from error


def check_encoded_size(size: int, where: str) -> None:
    """Refuse a file that is too large before it is read.

    Raises:
        BadFile: it is.
    """
    if size > MAX_ENCODED_BYTES:
        raise BadFile(f"{where} takes {size:,} bytes; at most {MAX_ENCODED_BYTES:,} are read.")
