"""Everything the suite raises on purpose.

::

    BenchError              the user can put it right: one sentence, exit code 2
    ├── UnknownName         no plug-in, dataset, tier or parameter of that name
    ├── InvalidValue        a value outside what is allowed
    ├── MissingData         a dataset is not on this machine; the message says how to get it
    ├── BadFile             a file is broken, of another kind, or contradicts itself
    ├── StoreError          the store cannot be used (read-only, full)
    │   └── InUse           another process holds it
    └── ContractError       a plug-in returned something the contract forbids
    NotApplicable           a trial that makes no sense: recorded as ``skipped`` with this reason
    Diverged                NaN or Inf in a method or a student: recorded as ``diverged``

Anything else is our bug and shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def printable(text: object) -> str:
    """A stranger's text as a terminal may show it: control and half characters are escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(text)
    )


class BenchError(Exception):
    """Something the user can put right: what was given, what is allowed, what to do."""

    def __str__(self) -> str:
        return printable(super().__str__())  # what was given may be a stranger's


class UnknownName(BenchError):
    """A name that nothing answers to.

    Args:
        kind: what the name should denote, for example ``"method"``.
        given: the name as given.
        known: every name that would have been accepted.
    """

    def __init__(self, kind: str, given: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"No {kind} named {given!r}.{hint} Known: {', '.join(names) or 'none'}.")

    def __reduce__(self) -> tuple[type[BenchError], tuple[str]]:
        # a worker sends its errors to the parent process; only the sentence matters there
        return BenchError, (str(self),)


class InvalidValue(BenchError):
    """A value outside what is allowed."""


class MissingData(BenchError):
    """A dataset that is not on this machine."""


class BadFile(BenchError):
    """A file that is broken, of another kind than expected, or contradicts itself."""


class StoreError(BenchError):
    """A store that cannot be read or written."""


class InUse(StoreError):
    """A lock that another process holds."""


class ContractError(BenchError):
    """A plug-in broke the contract of its seam."""


class NotApplicable(Exception):
    """A combination that makes no sense; the trial is recorded as skipped with this reason."""


class Diverged(Exception):
    """A NaN or an infinity where a number belongs; the trial is recorded as diverged."""
