"""How well one ranking agrees with another: of architectures by their scores, for example.

Sequences are parallel: place i of both belongs to the same item. NumPy comes with the first call;
torch is not imported here.

Every statistic is written for items that count several times, ``counts[r, i]`` times in resample r:
so a bootstrap takes one call, not one a resample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.randomness import derive_seed
from bench.statistics import CONFIDENCE, Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Scores = Sequence[float]
RankStatistic = Callable[[Scores, Scores], float | None]

RESAMPLES = 1000


def spearman(a: Scores, b: Scores) -> float | None:
    """Spearman's rank correlation in [-1, 1]: Pearson's of the ranks, equal scores sharing one.

    Returns:
        ``None`` where a side has no two different scores: it is no ranking.

    Raises:
        ValueError: the sides differ in length.
    """
    return _once(_spearman, a, b)


def kendall(a: Scores, b: Scores) -> float | None:
    """Kendall's tau-b in [-1, 1]: concordant minus discordant pairs, corrected for ties.

    All pairs are compared at once: memory grows with the square of the length.

    Returns:
        ``None`` where a side has no two different scores: it is no ranking.

    Raises:
        ValueError: the sides differ in length.
    """
    return _once(_kendall, a, b)


def top_overlap(a: Scores, b: Scores, k: int) -> float:
    """Share in [0, 1] of the ``k`` best of one ranking that are among the ``k`` best of the other.

    Where equal scores compete for the last places, each holds an equal part of a place.

    Raises:
        ValueError: the sides differ in length, or ``k`` is not from 1 to that length.
    """
    _check(a, b)
    if not 1 <= k <= len(a):
        raise ValueError(f"The top {k} of {len(a)} items cannot be compared.")
    return math.fsum(map(min, _places(a, k), _places(b, k))) / k


def bootstrap_interval(
    statistic: RankStatistic, a: Scores, b: Scores, *scope: str | int, resamples: int = RESAMPLES
) -> Interval | None:
    """95 % percentile interval of ``statistic`` when items are drawn anew with replacement.

    Args:
        statistic: :func:`spearman` or :func:`kendall`.
        a: one side.
        b: the other side.
        scope: names the random stream: equal scopes draw equal items.
        resamples: how many draws; those that make no ranking are left out.

    Returns:
        ``None`` of fewer than three items, or where no draw makes a ranking.

    Raises:
        ValueError: the sides differ in length.
    """
    import numpy as np

    _check(a, b)
    items = len(a)
    if items < 3:
        return None
    rng = np.random.default_rng(derive_seed("bootstrap", *scope))
    counts = rng.multinomial(items, [1 / items] * items, size=resamples)
    found = _COUNTED[statistic](np.asarray(a), np.asarray(b), counts.astype(float))
    found = found[~np.isnan(found)]
    if not len(found):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail]).tolist()
    return low, high


_Counted = Callable[["Array", "Array", "Array"], "Array"]
"""From two sides ``(n,)`` and counts ``(R, n)`` to statistics ``(R,)``, NaN without a ranking."""


def _once(statistic: _Counted, a: Scores, b: Scores) -> float | None:
    """The statistic of the items as they are, each counted once."""
    import numpy as np

    _check(a, b)
    (value,) = statistic(np.asarray(a), np.asarray(b), np.ones((1, len(a)))).tolist()
    return None if math.isnan(value) else value


def _spearman(a: Array, b: Array, counts: Array) -> Array:
    middle = (counts.sum(1, keepdims=True) + 1) / 2
    left, right = _ranks(a, counts) - middle, _ranks(b, counts) - middle
    squares = [(counts * side**2).sum(1) for side in (left, right)]
    return _ratio((counts * left * right).sum(1), *squares)


def _kendall(a: Array, b: Array, counts: Array) -> Array:
    import numpy as np

    signs = [np.sign(np.subtract.outer(side, side)) for side in (a, b)]

    def pairs(weights: Array) -> Array:
        """Sum over ordered pairs of items, as often as both count."""
        summed: Array = ((counts @ weights) * counts).sum(1)
        return summed

    return _ratio(pairs(signs[0] * signs[1]), *(pairs(sign**2) for sign in signs))


_COUNTED: dict[RankStatistic, _Counted] = {spearman: _spearman, kendall: _kendall}


def _check(a: Scores, b: Scores) -> None:
    if len(a) != len(b):
        raise ValueError(f"Rankings of {len(a)} and {len(b)} items cannot be compared.")


def _ranks(scores: Array, counts: Array) -> Array:
    """Ranks from 1, ascending, ``(R, n)``; equal scores share the mean of their ranks."""
    import numpy as np

    values, place = np.unique(scores, return_inverse=True)
    tied = np.zeros((len(counts), len(values)))  # how many items have each value
    np.add.at(tied.T, place, counts.T)
    shared: Array = np.cumsum(tied, 1) - (tied - 1) / 2
    return shared[:, place]


def _ratio(together: Array, one: Array, other: Array) -> Array:
    """``together`` / √(``one`` · ``other``), in [-1, 1] whatever was rounded; NaN for 0 / 0."""
    import numpy as np

    scale = np.sqrt(one * other)
    ratio = np.divide(together, scale, out=np.full_like(scale, np.nan), where=scale > 0)
    return np.clip(ratio, -1, 1)


def _places(scores: Scores, k: int) -> list[float]:
    """The part of one of the ``k`` best places that each item holds, in [0, 1]."""
    border = sorted(scores, reverse=True)[k - 1]
    above = sum(score > border for score in scores)
    share = (k - above) / sum(score == border for score in scores)
    return [1.0 if score > border else share if score == border else 0.0 for score in scores]
