"""What the tables state about a handful of per-seed results; torch is not imported here.

Samples are small (five seeds), so everything runs on plain floats. Sums are taken of deviations
from the first value: equal values have exactly their own mean and exactly no variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby, product
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Interval = tuple[float, float]

CONFIDENCE = 0.95
"""Coverage of every interval."""

ALPHA = 0.05
"""Where a difference counts as significant."""

POWER = 0.8
"""How surely a gap that is called visible would be found."""

RESOLUTION = 1e-9
"""P-values of a bootstrap are multiples of this, to which doubles resolve sums of 10,000 images."""


def cut(bounds: Interval) -> Interval:
    """A fraction's interval without what no fraction can be: few values make it reach further."""
    low, high = bounds
    return max(low, 0.0), min(high, 1.0)


def is_cut(bounds: Interval | None) -> bool:
    """Whether :func:`cut` takes anything from an interval."""
    return bounds is not None and cut(bounds) != bounds


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

    def swapped(self) -> Comparison:
        """The same test of the second sample against the first."""
        interval = (-self.interval[1], -self.interval[0]) if self.interval else None
        return Comparison(difference=-self.difference, interval=interval, p=self.p)


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
    alpha: float = ALPHA,
    compare: Callable[[Sequence[float], Sequence[float]], Comparison] = welch,
    second: Callable[[str, str], float | None] | None = None,
) -> dict[str, int]:
    """Rank methods: groups that follow the means and part where a difference is significant.

    Every pair is tested and the p-values are Holm-corrected together. Methods whose values are the
    same, such as two that share their students, are one sample: it is tested once and they share
    its rank. The rank of a method is one plus the number of methods that are significantly better
    than it, or than a method with the same or a higher mean. So ranks never run against the means,
    a significantly better method always has the smaller rank, and neither the order nor the names
    of the methods matter. The second half of the rule is for noisy methods, which can be told apart
    from nobody: without it the noisiest would share the first rank however low its mean. "Not
    significantly different" is not transitive: of three methods the middle one may be inseparable
    from both others while these two differ; it then shares the better rank.

    Args:
        samples: per-seed values of each method, larger being better.
        alpha: accepted chance of any false difference among these methods.
        compare: the test of a pair.
        second: a further p-value of a pair, by name, or ``None`` where there is none. A difference
            must then pass both tests, so the larger p-value counts; it is asked for only where the
            first test alone would reject.

    Returns:
        Ranks from 1; a method with a single value cannot be tested and has none, and neither has
        one without a rival.
    """
    testable = {name: values for name, values in samples.items() if len(values) > 1}
    if len(testable) < 2:
        return {}
    means = {name: summarize(values).mean for name, values in testable.items()}
    ordered = sorted(testable, key=lambda name: (-means[name], name))
    shared: dict[tuple[float, ...], list[str]] = {}
    for name in ordered:
        shared.setdefault(tuple(testable[name]), []).append(name)
    pairs = list(combinations(shared.values(), 2))  # the better mean first

    def p_value(better: Sequence[str], worse: Sequence[str]) -> float:
        p = compare(testable[better[0]], testable[worse[0]]).p
        first = 1.0 if p is None else p
        if second is None or first >= alpha:
            return first
        further = (second(*names) for names in product(better, worse))
        return max([first, *(p for p in further if p is not None)])

    adjusted = holm([p_value(better, worse) for better, worse in pairs])
    better_than: dict[str, set[str]] = {name: set() for name in ordered}
    for (better, worse), p in zip(pairs, adjusted, strict=True):
        if p < alpha:
            for name in worse:
                better_than[name].update(better)
    ranks: dict[str, int] = {}
    ahead: set[str] = set()
    for _, equals in groupby(ordered, key=means.__getitem__):  # the highest mean first
        peers = list(equals)
        ahead = ahead.union(*(better_than[name] for name in peers))
        ranks |= dict.fromkeys(peers, 1 + len(ahead))
    return {name: ranks[name] for name in samples if name in ranks}


def paired_bootstrap(
    a: Sequence[int] | NDArray[np.int64],
    b: Sequence[int] | NDArray[np.int64],
    students: tuple[int, int],
) -> Comparison:
    """Compare two methods over the test images: would other images tell the same?

    Images are resampled with replacement, the same ones for both methods; the students (seeds) are
    kept. The interval is that of the percentiles; p is the chance that a resampled difference lies
    at least as far from the observed difference as zero does. Nothing is drawn: a resampled
    difference is a sum of as many independent terms as there are images, each a whole number of
    steps, so its distribution is a convolution power, which Fourier transforms give.

    Args:
        a: for each test image how many of the first method's students are right.
        b: the same for the second method; the same images in the same order.
        students: how many the first and the second method have.

    Raises:
        ValueError: the two do not have the same number of images, or none.
    """
    import numpy as np

    if len(a) != len(b) or not len(a):
        raise ValueError(f"Pairs are needed, not {len(a)} and {len(b)} images.")
    step = math.lcm(*students)
    each = np.asarray(a) * (step // students[0]) - np.asarray(b) * (step // students[1])
    sums, chances = _sum_of_resampled(each)
    difference, whole = int(each.sum()), len(each) * step
    p = float(chances[abs(sums - difference) >= abs(difference)].sum())
    low, high = _tail_end(chances), len(sums) - 1 - _tail_end(chances[::-1])
    return Comparison(
        difference=difference / whole,
        interval=(float(sums[low]) / whole, float(sums[high]) / whole),
        p=min(1.0, max(round(p / RESOLUTION) * RESOLUTION, RESOLUTION)),
    )


def _tail_end(chances: NDArray[np.float64]) -> int:
    """The place at which these chances, added up, exceed the share of one tail."""
    import numpy as np

    return int(np.searchsorted(np.cumsum(chances), (1 - CONFIDENCE) / 2, side="right"))


def _sum_of_resampled(
    terms: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """What the sum of as many terms, drawn from them with replacement, may be, and how likely."""
    import numpy as np
    from scipy.fft import next_fast_len

    count, least = len(terms), int(terms.min())
    one = np.bincount(terms - least) / count
    places = count * (len(one) - 1) + 1
    size = next_fast_len(places, real=True)
    chances = np.fft.irfft(np.fft.rfft(one, size) ** count, size)[:places].clip(0)
    return np.arange(places) + count * least, chances


def smallest_gap(
    samples: Sequence[Sequence[float]], alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """The smallest true difference of two means that these samples' test would mostly find.

    For two samples of n values with standard deviation s, tested by a two-sided t-test at the level
    that Holm's procedure asks of the first of m pairs (alpha / m)::

        gap = (t(1 - alpha / 2m, v) + t(power, v)) · s · sqrt(2 / n),   v = 2 (n - 1)

    where s² is the median sample variance (the spread of a usual method, whatever one noisy method
    does) and n the harmonic mean of the samples' sizes. A shifted central t stands for the
    noncentral one, and Holm's later, milder levels are not counted on.

    Args:
        samples: per-seed values of each method; those with a single value are left out.
        alpha: accepted chance of any false difference.
        power: wanted chance to find the gap.

    Returns:
        The gap in the unit of the values; ``None`` for fewer than two samples that can be tested.
    """
    from scipy.special import stdtrit

    testable = [values for values in samples if len(values) > 1]
    if len(testable) < 2:
        return None
    variance = median(_variance(values) for values in testable)
    n = len(testable) / math.fsum(1 / len(values) for values in testable)
    pairs = len(testable) * (len(testable) - 1) / 2
    freedom = 2 * (n - 1)
    quantiles = stdtrit(freedom, 1 - alpha / (2 * pairs)) + stdtrit(freedom, power)
    return float(quantiles) * math.sqrt(2 * variance / n)


def equivalence(differences: Sequence[float], margin: float) -> float | None:
    """The p-value of two one-sided t-tests (TOST) on paired differences.

    A small one shows that their mean lies within ``margin`` of zero on either side. Without any
    variance it is 0 where it does and 1 where it does not.

    Returns:
        The larger of the two p-values; ``None`` for a single difference.

    Raises:
        ValueError: no differences.
    """
    mean, _ = _moments(differences)
    if len(differences) < 2:
        return None
    error = math.sqrt(_variance(differences) / len(differences))
    slack = margin - abs(mean)
    if error == 0:
        return float(slack <= 0)
    return _t_cdf(-slack / error, len(differences) - 1)


def equivalence_power(std: float, n: int, margin: float, alpha: float = ALPHA) -> float:
    """The chance that :func:`equivalence` rejects at ``alpha`` when nothing differs.

    ``2 T(margin · sqrt(n) / std - t(1 - alpha)) - 1``, T being Student's distribution function with
    n - 1 degrees of freedom, or 0 where that is negative. The shifted central t stands for the
    noncentral one, which promises a little too little where the power is middling.

    Args:
        std: sample standard deviation of paired differences.
        n: how many pairs, at least 2.
        margin: half the width of what counts as equal.
        alpha: level of the test.
    """
    from scipy.special import stdtrit

    if std == 0:
        return 1.0
    shift = margin * math.sqrt(n) / std - float(stdtrit(n - 1, 1 - alpha))
    return max(0.0, 2 * _t_cdf(shift, n - 1) - 1)


def _variance(values: Sequence[float]) -> float:
    """Sample variance (division by n - 1) of at least two values."""
    return _moments(values)[1] / (len(values) - 1)


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
