"""Evaluate a synthetic source: train fresh students on it, test each once, after its last epoch.

:func:`evaluate` picks one of several ways to train the students (:mod:`bench.evaluation.engine`);
the plain loop in :mod:`bench.evaluation.reference` is the oracle that the others are held against.
"""

from bench.evaluation.engine import (
    STRATEGIES,
    Choice,
    Strategy,
    evaluate,
    evaluate_candidates,
)
from bench.evaluation.outcome import Assignment, Candidate, EpochReport, Outcome
from bench.evaluation.reference import CHECK_EVERY, train
from bench.evaluation.students import start_training

__all__ = [
    "CHECK_EVERY",
    "STRATEGIES",
    "Assignment",
    "Candidate",
    "Choice",
    "EpochReport",
    "Outcome",
    "Strategy",
    "evaluate",
    "evaluate_candidates",
    "start_training",
    "train",
]
