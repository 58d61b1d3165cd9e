"""Rank statistics against SciPy, brute force and known distributions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.randomness import derive_seed
from bench.rank_statistics import Scores, bootstrap_interval, kendall, spearman, top_overlap

# few different values, so that ties are common
scores = st.lists(st.integers(0, 6).map(lambda n: n / 7), min_size=2, max_size=30)
pairs = scores.flatmap(
    lambda a: st.tuples(
        st.just(a), st.lists(st.floats(0, 1) | st.just(0.5), min_size=len(a), max_size=len(a))
    )
)


@settings(max_examples=50)
@given(pairs)
def test_spearman_and_kendall_agree_with_scipy(sides: tuple[Scores, Scores]) -> None:
    a, b = sides
    assume(len(set(a)) > 1 and len(set(b)) > 1)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)


@settings(max_examples=50)
@given(pairs)
def test_only_the_order_counts(sides: tuple[Scores, Scores]) -> None:
    a, b = sides
    stretched = [value**3 + 5 for value in a]
    assume(len(set(stretched)) == len(set(a)))
    for statistic in (spearman, kendall):
        assert statistic(stretched, b) == statistic(a, b) == statistic(b, a)


@pytest.mark.parametrize("statistic", [spearman, kendall])
def test_equal_and_opposite_rankings_are_exactly_one_and_minus_one(statistic: object) -> None:
    assert callable(statistic)
    a = [0.1, 0.4, 0.2, 0.9, 0.4]
    assert statistic(a, a) == 1
    assert statistic(a, [-value for value in a]) == -1


@pytest.mark.parametrize("statistic", [spearman, kendall])
def test_a_side_without_order_makes_no_statistic(statistic: object) -> None:
    assert callable(statistic)
    assert statistic([0.5, 0.5, 0.5], [1.0, 2.0, 3.0]) is None


def test_sides_of_different_lengths_are_refused() -> None:
    for call in (spearman, kendall, lambda a, b: top_overlap(a, b, 1)):
        with pytest.raises(ValueError, match="Rankings of 2 and 3 items"):
            call([1.0, 2.0], [1.0, 2.0, 3.0])


@given(st.permutations(range(8)), st.integers(1, 8))
def test_top_overlap_without_ties_is_that_of_two_sets(order: list[int], k: int) -> None:
    best = {place for place, score in enumerate(order) if score >= 8 - k}
    expected = len(best & set(range(8 - k, 8))) / k
    assert top_overlap(order, range(8), k) == pytest.approx(expected)


@given(scores, st.data())
def test_top_overlap_of_a_ranking_with_itself_is_whole(a: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(a)))
    assert top_overlap(a, a, k) == pytest.approx(1)


def test_cells_that_tie_at_the_border_share_the_last_place() -> None:
    # of the best two of b one is sure and two compete: half a place is shared with a
    assert top_overlap([4, 3, 2, 1], [4, 3, 3, 1], 2) == pytest.approx(0.75)


@pytest.mark.parametrize("k", [0, 4])
def test_a_top_of_impossible_size_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"top {k} of 3 items"):
        top_overlap([1, 2, 3], [1, 2, 3], k)


def test_the_interval_repeats_for_a_scope_and_differs_between_scopes() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 20)).tolist()
    first, again, other = (bootstrap_interval(spearman, a, b, name) for name in "aab")
    assert first == again != other
    assert first is not None
    assert -1 <= first[0] <= first[1] <= 1


@pytest.mark.parametrize("statistic", [spearman, kendall])
def test_an_interval_is_that_of_the_statistic_of_resampled_items(statistic: object) -> None:
    """With ties, and items that some resamples lack."""
    assert callable(statistic)
    a, b = [0.2, 0.4, 0.4, 0.9, 0.1], [0.3, 0.3, 0.8, 0.7, 0.2]
    rng = np.random.default_rng(derive_seed("bootstrap", "check"))
    values = []
    for counts in rng.multinomial(5, [0.2] * 5, size=200):
        items = np.repeat(np.arange(5), counts)
        values.append(statistic([a[i] for i in items], [b[i] for i in items]))
    expected = np.quantile([value for value in values if value is not None], [0.025, 0.975])
    interval = bootstrap_interval(statistic, a, b, "check", resamples=200)
    assert interval == pytest.approx(tuple(expected))


def test_too_few_items_or_no_order_have_no_interval() -> None:
    assert bootstrap_interval(spearman, [1.0, 2.0], [1.0, 2.0], "few") is None
    assert bootstrap_interval(kendall, [1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0], "flat") is None


def test_kendall_counts_pairs() -> None:
    a, b = [3, 1, 4, 1, 5, 9, 2, 6], [2, 7, 1, 8, 2, 8, 1, 8]
    signs = [
        (np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in combinations(range(len(a)), 2)
    ]
    together = sum(x * y for x, y in signs)
    untied = [sum(side != 0 for side in column) for column in zip(*signs, strict=True)]
    assert kendall(a, b) == pytest.approx(together / (untied[0] * untied[1]) ** 0.5)
