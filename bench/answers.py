"""Many forecasts at once, in processes of their own."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from bench import datasets
from bench.expectations import Expectations, Expected, Question

log = logging.getLogger(__name__)

PROCESSES_PAY = 24
"""Forecasts from which on other processes help: each takes seconds to begin."""

Answer = tuple[str, Expected | None]
"""The key of a question, and what is expected."""


def answers(
    asked: Sequence[Question], references: Mapping[str, str], data_root: Path | None, workers: int
) -> Generator[Answer]:
    """Make forecasts, one after another or side by side, and hand each out as it comes.

    Close it where the rest is not wanted: processes in the midst of a forecast end at once.

    Args:
        asked: no two alike.
        references: for each dataset the text that finds it.
        data_root: where real data lie.
        workers: how many processes there may be.
    """
    if workers == 1 or len(asked) < PROCESSES_PAY:
        here = Expectations(references, data_root)
        for question in asked:
            yield question.key, here.forecast(question)
        return
    # spawned, not forked: torch's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    try:
        work = {
            pool.submit(_forecast, question, references, data_root): question
            for question in _longest_first(asked, references, data_root)
        }
        for done in as_completed(work):
            yield work[done].key, done.result()
    except BrokenProcessPool:  # an adapter that crashes, or memory that ran out
        log.warning("A process that made forecasts died; what it had not made counts nothing.")
    except BaseException:  # an interrupt, or nobody wants the rest
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()  # Python's exit would wait for the forecasts at work
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _longest_first(
    asked: Sequence[Question], references: Mapping[str, str], data_root: Path | None
) -> list[Question]:
    """Those with the most images first, so that none of them is left alone for the end."""
    classes = {
        name: datasets.describe(text, data_root=data_root).num_classes
        for name, text in references.items()
    }
    return sorted(asked, key=lambda one: -classes[one.plan.dataset] * one.plan.budget.count)


def _begin() -> None:
    """One thread a process; an interrupt is for the process that asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)


def _forecast(
    question: Question, references: Mapping[str, str], data_root: Path | None
) -> Expected | None:
    return Expectations(references, data_root).forecast(question)
