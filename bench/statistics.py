"""What the tables state about a handful of per-seed results; torch is not imported here.

Samples are small (five seeds), so everything runs on plain floats. Sums are taken of deviations
from the first value: equal values have exactly their own mean and exactly no variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

Interval = tuple[float, float]

CONFIDENCE = 0.95
"""Coverage of every interval."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is stated of one sample, in the unit of its values.

    Attributes:
        mean: arithmetic mean.
        std: population standard deviation (division by n), as the field's papers print it.
        interval: 95 % t-interval of the mean; ``None`` for a single value.
        n: how many values.
    """

    mean: float
    std: float
    interval: Interval | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How far apart the means of two samples are, and how sure that is.

    Attributes:
        difference: mean of the first minus mean of the second.
        interval: 95 % interval of the difference; ``None`` if a sample has a single value.
        p: two-sided p-value of equal means; ``None`` if a sample has a single value.
    """

    difference: float
    interval: Interval | None
    p: float | None


def summarize(values: Sequence[float]) -> Summary:
    """Mean, population standard deviation and 95 % t-interval.

    Raises:
        ValueError: no values.
    """
    mean, squares = _moments(values)
    n = len(values)
    interval = None
    if n > 1:
        interval = _around(mean, math.sqrt(squares / (n - 1) / n), n - 1)
    return Summary(mean=mean, std=math.sqrt(squares / n), interval=interval, n=n)


def welch(a: Sequence[float], b: Sequence[float]) -> Comparison:
    """Welch's t-test: equal means, without assuming equal variances.

    Two samples without any variance are compared by the limit of vanishing variance: p is 1 where
    their values are the same and 0 where they are not.

    Raises:
        ValueError: a sample without values.
    """
    (mean_a, squares_a), (mean_b, squares_b) = _moments(a), _moments(b)
    difference = mean_a - mean_b
    if min(len(a), len(b)) < 2:
        return Comparison(difference=difference, interval=None, p=None)
    # squared standard errors of the two means
    error_a, error_b = (s / (len(x) - 1) / len(x) for s, x in ((squares_a, a), (squares_b, b)))
    error = math.sqrt(error_a + error_b)
    if error == 0:
        exact = (difference, difference)
        return Comparison(difference=difference, interval=exact, p=float(difference == 0))
    # Welch–Satterthwaite degrees of freedom, from the shares of the two samples in the variance
    share = error_a / (error_a + error_b)
    freedom = 1 / (share**2 / (len(a) - 1) + (1 - share) ** 2 / (len(b) - 1))
    return Comparison(
        difference=difference,
        interval=_around(difference, error, freedom),
        p=2 * _t_cdf(-abs(difference) / error, freedom),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for how many there are (Holm, 1979); the order given is kept.

    Rejecting where an adjusted value is below alpha keeps the chance of any false rejection among
    all of them below alpha.
    """
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for done, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        floor = max(floor, min(1.0, (len(p_values) - done) * p_values[place]))
        adjusted[place] = floor
    return adjusted


def rank_groups(
    samples: Mapping[str, Sequence[float]],
    alpha: float = 0.05,
    compare: Callable[[Sequence[float], Sequence[float]], Comparison] = welch,
) -> dict[str, int]:
    """Rank methods so that those which cannot be told apart share a rank.

    Every pair is tested and the p-values are Holm-corrected together. A method is *ahead* of
    another if it is significantly better, or significantly better than a method that is ahead. The
    rank of a method is one plus the number of methods ahead of it. So a significantly better
    method always has the smaller rank, a method that nothing is ahead of has rank 1, and the
    outcome does not depend on any order. "Not significantly different" is not transitive: of three
    methods the middle one may be inseparable from both others while these two differ; it then
    shares the better rank.

    Args:
        samples: per-seed values of each method, larger being better.
        alpha: accepted chance of any false difference among these methods.
        compare: the test of a pair.

    Returns:
        Ranks from 1; a method with a single value cannot be tested and has none.
    """
    testable = {name: values for name, values in samples.items() if len(values) > 1}
    ordered = sorted(testable, key=lambda name: (-summarize(testable[name]).mean, name))
    pairs = list(combinations(ordered, 2))  # the better mean first
    tests = [compare(testable[better], testable[worse]) for better, worse in pairs]
    adjusted = holm([1.0 if test.p is None else test.p for test in tests])
    ahead: dict[str, set[str]] = {name: set() for name in ordered}
    # pairs run down the order, so whoever is ahead of `better` is known by then
    for (better, worse), p in zip(pairs, adjusted, strict=True):
        if p < alpha:
            ahead[worse] |= {better} | ahead[better]
    return {name: 1 + len(ahead[name]) for name in samples if name in ahead}


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sum of squared deviations from it."""
    if not values:
        raise ValueError("A sample needs at least one value.")
    origin = values[0]
    shift = math.fsum(value - origin for value in values) / len(values)
    squares = math.fsum((value - origin - shift) ** 2 for value in values)
    return origin + shift, squares


def _around(centre: float, error: float, freedom: float) -> Interval:
    """The 95 % t-interval around an estimate with this standard error."""
    from scipy.special import stdtrit  # not scipy.stats, which takes a second to import

    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    return centre - half, centre + half


def _t_cdf(t: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(freedom, t))
