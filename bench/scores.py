"""Robustness scores of DD-Ranking: how much of an accuracy is the labels' or the augmentation's.

Accuracies are fractions in [0, 1]. Both scores are one map of a balance in [-1, 1]::

    HLR = acc(real, hard) - acc(syn, hard)        hard-label recovery, smaller is better
    IOR = acc(syn, any) - acc(random, any)        improvement over random
    α   = w · IOR - (1 - w) · HLR                 LRS = (e^α - e^-1) / (e - e^-1)
    β   = γ · gain with augmentation + (1 - γ) · gain without it      ARS = the same map of β

Source: DD-Ranking (Li et al. 2024), whose released package feeds percentages into the map, so that
its scores leave [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.errors import InvalidValue
from bench.statistics import summarize
from bench.studies import Estimate


def gain(accuracy: float, reference: float) -> float:
    """How much more of the test set is right: HLR of whole over hard, IOR over random.

    Args:
        accuracy: a fraction.
        reference: the fraction that it is compared with.

    Raises:
        InvalidValue: one is no fraction in [0, 1].
    """
    _check("An accuracy", (accuracy, reference), 0.0)
    return accuracy - reference


def label_balance(recovery: float, improvement: float, weight: float = 0.5) -> float:
    """α = w · IOR - (1 - w) · HLR, in [-1, 1].

    Args:
        recovery: HLR, in [-1, 1].
        improvement: IOR, in [-1, 1].
        weight: w, in [0, 1].

    Raises:
        InvalidValue: one is outside its range.
    """
    return _between(improvement, -recovery, weight)


def augmentation_balance(with_augmentation: float, without: float, weight: float = 0.5) -> float:
    """β = γ · gain with augmentation + (1 - γ) · gain without it, in [-1, 1].

    Args:
        with_augmentation: acc(syn, aug) - acc(random, aug), in [-1, 1].
        without: acc(syn, no aug) - acc(random, no aug), in [-1, 1].
        weight: γ, in [0, 1].

    Raises:
        InvalidValue: one is outside its range.
    """
    return _between(with_augmentation, without, weight)


def robustness(balance: float) -> float:
    """(e^x - e^-1) / (e - e^-1) of a balance x in [-1, 1]: LRS of α, ARS of β; in [0, 1].

    Raises:
        InvalidValue: the balance is outside [-1, 1].
    """
    _check("A balance", (balance,), -1.0)
    return (math.exp(balance) - math.exp(-1)) / (math.exp(1) - math.exp(-1))


def score_of_mean(balances: Sequence[float]) -> Estimate | None:
    """The score of the mean balance of several repetitions; ``None`` of none.

    The map bends, so this is a little less than the mean of the repetitions' scores. It rises
    everywhere, so the ends of the balance's 95 % t-interval, cut to [-1, 1], map to the ends of the
    score's.

    Raises:
        InvalidValue: a balance is outside [-1, 1].
    """
    if not balances:
        return None
    _check("A balance", balances, -1.0)
    found = summarize(balances)
    interval = None
    if found.interval is not None:
        low, high = found.interval
        interval = (robustness(max(low, -1.0)), robustness(min(high, 1.0)))
    return Estimate(value=robustness(found.mean), interval=interval, n=found.n)


def _between(first: float, second: float, weight: float) -> float:
    _check("A weight", (weight,), 0.0)
    _check("A difference of accuracies", (first, second), -1.0)
    return weight * first + (1 - weight) * second


def _check(what: str, values: Sequence[float], lowest: float) -> None:
    for value in values:
        if not lowest <= value <= 1:
            raise InvalidValue(
                f"{what} is {value}; give a fraction in [{lowest:g}, 1], not a percentage."
            )
