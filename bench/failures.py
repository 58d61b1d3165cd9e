"""What goes wrong in a method or a student, as records say it; torch is not imported here."""

from __future__ import annotations

import logging

from bench.errors import BenchError, ContractError, Diverged, NotApplicable
from bench.records import Status

log = logging.getLogger(__name__)

FAULTS = (Exception, SystemExit)
"""What a method or a protocol may end in: one that calls ``sys.exit`` must not end the run."""

MAX_REASON = 1000
"""Characters of an error's message that a record keeps."""


class Failed(Exception):
    """What a piece of work ended in, as it is recorded for every trial that waits for it.

    Args:
        status: how it ended.
        reason: why.
    """

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(status, reason)
        self.status: Status = status
        self.reason = reason

    @classmethod
    def of(cls, error: BaseException) -> Failed:
        """How ``error`` is recorded.

        Raises:
            BenchError: the error itself, if the user must put it right.
        """
        return error if isinstance(error, Failed) else cls(*classify(error))


def classify(error: BaseException) -> tuple[Status, str]:
    """The status and reason that an exception is recorded with.

    Raises:
        BenchError: the error itself, if the user must put it right.
    """
    reason = first_line(error)
    if isinstance(error, NotApplicable):
        return "skipped", reason
    if isinstance(error, Diverged):
        return "diverged", reason
    if _is_out_of_memory(error):
        return "oom", reason
    if isinstance(error, BenchError) and not isinstance(error, ContractError):
        raise error
    log.error("A trial failed.", exc_info=error)
    return "failed", f"{type(error).__name__}: {reason}"


def _is_out_of_memory(error: BaseException) -> bool:
    """Only CUDA's allocator has an exception of its own; others say so in words."""
    import torch

    words = ("allocate memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def first_line(error: BaseException) -> str:
    """What an error says, as a line of a record can hold it."""
    text = (str(error) or type(error).__name__).partition("\n")[0]
    return text[:MAX_REASON].encode(errors="replace").decode()
