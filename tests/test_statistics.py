"""Statistics against SciPy, tables and properties that hold for any sample."""

from __future__ import annotations

import math
from itertools import combinations, pairwise, product
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from bench.statistics import (
    ALPHA,
    RESOLUTION,
    Comparison,
    equivalence,
    equivalence_power,
    holm,
    paired_bootstrap,
    rank_groups,
    smallest_gap,
    summarize,
    welch,
)

IntArray = NDArray[np.int64]

fractions = st.floats(0, 1, allow_subnormal=False)
samples = st.lists(fractions, min_size=2, max_size=8)
tables = st.dictionaries(st.sampled_from("abcdef"), samples, min_size=2)


def test_summary_of_a_hand_computed_sample() -> None:
    summary = summarize([0.1, 0.2, 0.3, 0.4, 0.5])
    assert summary.mean == pytest.approx(0.3)
    assert summary.std == pytest.approx(math.sqrt(0.02))  # population
    # s = sqrt(0.025), t(0.975, 4) = 2.7764451, half width t * s / sqrt(5) = 0.1963243
    assert summary.interval == pytest.approx((0.1036757, 0.4963243), abs=1e-7)
    assert summary.n == 5


@given(samples)
def test_summary_agrees_with_numpy_and_scipy(values: list[float]) -> None:
    summary = summarize(values)
    assert summary.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert summary.std == pytest.approx(np.std(values), abs=1e-12)
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    half = stats.t.ppf(0.975, len(values) - 1) * error
    assert summary.interval is not None
    assert summary.interval == pytest.approx((np.mean(values) - half, np.mean(values) + half))


def test_a_single_value_has_no_interval() -> None:
    assert summarize([0.7]).interval is None
    assert summarize([0.7]).std == 0


@given(fractions, st.integers(2, 40))
def test_equal_values_have_exactly_their_mean_and_no_variance(value: float, n: int) -> None:
    summary = summarize([value] * n)
    assert (summary.mean, summary.std) == (value, 0)
    assert summary.interval == (value, value)


def test_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        summarize([])


@given(samples, samples)
def test_welch_agrees_with_scipy(a: list[float], b: list[float]) -> None:
    ours = welch(a, b)
    assume(min(np.std(a), np.std(b)) > 1e-6)  # SciPy cancels there; see the exact cases below
    theirs = stats.ttest_ind(a, b, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-9)
    assert ours.difference == pytest.approx(np.mean(a) - np.mean(b), abs=1e-12)
    assert ours.interval == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


@given(samples, samples)
def test_welch_is_antisymmetric(a: list[float], b: list[float]) -> None:
    forth, back = welch(a, b), welch(b, a)
    assert forth.difference == -back.difference
    assert forth.p == pytest.approx(back.p)


@given(samples, samples)
def test_a_swapped_comparison_is_the_other_one(a: list[float], b: list[float]) -> None:
    swapped, other = welch(a, b).swapped(), welch(b, a)
    assert swapped.difference == other.difference
    assert swapped.interval == pytest.approx(other.interval)
    assert swapped.swapped() == welch(a, b)
    assert welch([0.5], a).swapped() == welch(a, [0.5])


@given(samples)
def test_identical_samples_do_not_differ(values: list[float]) -> None:
    assert welch(values, values).p == 1


def test_constant_samples_are_compared_by_the_limit_of_vanishing_variance() -> None:
    assert welch([0.1] * 3, [0.1] * 5) == Comparison(difference=0, interval=(0, 0), p=1)
    apart = welch([0.5] * 3, [0.25] * 5)
    assert apart == Comparison(difference=0.25, interval=(0.25, 0.25), p=0)


def test_one_constant_sample_uses_the_other_ones_variance() -> None:
    other = [0.1, 0.2, 0.3]
    expected = stats.ttest_1samp(other, 0.4).pvalue
    assert welch([0.4, 0.4, 0.4], other).p == pytest.approx(expected)


def test_a_single_value_cannot_be_tested() -> None:
    assert welch([0.5], [0.25, 0.25]) == Comparison(difference=0.25, interval=None, p=None)


def test_holm_of_a_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1)))
def test_holm_by_its_definition(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for place, p in enumerate(p_values):
        # adjusted p of one hypothesis: the largest (m - rank) * p among those not above it
        smaller = sorted(q for q in p_values if q < p)
        ties = sorted([*smaller, p])
        expected = max((len(p_values) - k) * q for k, q in enumerate(ties))
        assert adjusted[place] == pytest.approx(min(1, expected))


@given(st.lists(st.floats(0, 1)))
def test_holm_is_monotone_and_never_below_the_raw_values(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(raw <= new <= 1 for raw, new in zip(p_values, adjusted, strict=True))
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert all(low[1] <= high[1] for low, high in pairwise(pairs))


def test_no_p_values_are_adjusted_to_none() -> None:
    assert holm([]) == []


def test_inseparable_methods_share_a_rank() -> None:
    table = {
        "low": [0.50, 0.51, 0.49, 0.50],
        "high": [0.90, 0.91, 0.89, 0.90],
        "same": [0.90, 0.92, 0.88, 0.90],
    }
    assert rank_groups(table) == {"low": 3, "high": 1, "same": 1}


def test_a_bridge_between_two_different_methods_shares_the_better_rank() -> None:
    table = {
        "high": [0.60, 0.61, 0.59, 0.60],
        "bridge": [0.50, 0.60, 0.55, 0.45],
        "low": [0.50, 0.51, 0.49, 0.50],
    }
    assert rank_groups(table) == {"high": 1, "bridge": 1, "low": 2}


def test_noise_wins_no_rank() -> None:
    table = {
        "best": [0.90, 0.91, 0.89, 0.90, 0.90],
        "steady": [0.85, 0.86, 0.84, 0.85, 0.85],
        "noisy": [0.30, 0.99, 0.55, 0.99, 0.60],
    }
    alone = {name: table[name] for name in ("best", "noisy")}
    assert rank_groups(alone) == {"best": 1, "noisy": 1}
    # nothing is significantly better than the noisy one itself, but something is than the steady
    assert rank_groups(table) == {"best": 1, "steady": 2, "noisy": 2}


def test_equal_means_share_the_worse_of_their_ranks_whatever_their_names() -> None:
    best, steady, noisy = [0.90, 0.91, 0.89], [0.50, 0.51, 0.49], [0.50, 0.99, 0.01]
    assert rank_groups({"x": best, "a": steady, "b": noisy}) == {"x": 1, "a": 2, "b": 2}
    assert rank_groups({"x": best, "a": noisy, "b": steady}) == {"x": 1, "a": 2, "b": 2}


def test_the_correction_counts_every_pair_of_the_table() -> None:
    pair = {"a": [0.50, 0.52, 0.54], "b": [0.60, 0.62, 0.58]}
    assert rank_groups(pair)["a"] == 2
    crowd = {f"c{i}": [0.1 + i / 5, 0.9 - i / 5, 0.5] for i in range(5)}
    assert rank_groups(pair | crowd)["a"] == 1


def test_methods_that_share_their_students_count_once_in_the_correction() -> None:
    table = {"a": [0.50, 0.52, 0.54], "b": [0.57, 0.59, 0.60], "c": [0.10, 0.90, 0.50]}
    p = [welch(table[one], table[other]).p or 0 for one, other in combinations(table, 2)]
    assert 3 * min(p) < ALPHA < 6 * min(p)  # so many pairs if "a2" counted as another
    assert rank_groups(table) == {"a": 2, "b": 1, "c": 2}
    twice = {**table, "a2": table["a"]}
    assert rank_groups(twice) == {"a": 2, "b": 1, "c": 2, "a2": 2}


def test_of_methods_that_share_their_values_every_further_test_must_agree() -> None:
    table = {"a": [0.90, 0.91, 0.89], "a2": [0.90, 0.91, 0.89], "b": [0.50, 0.51, 0.49]}
    further = {("a", "b"): 0.0, ("a2", "b"): 0.5}
    assert rank_groups(table) == {"a": 1, "a2": 1, "b": 3}
    ranks = rank_groups(table, second=lambda *names: further[names])
    assert ranks == {"a": 1, "a2": 1, "b": 1}


def test_a_method_without_a_rival_has_no_rank() -> None:
    assert rank_groups({"a": [0.5, 0.6]}) == {}
    assert rank_groups({"a": [0.5, 0.6], "b": [0.7]}) == {}
    assert rank_groups({}) == {}


def test_a_method_with_one_value_has_no_rank() -> None:
    ranks = rank_groups({"a": [0.9], "b": [0.1, 0.2], "c": [0.5, 0.6]})
    assert set(ranks) == {"b", "c"}


@given(tables)
def test_ranks_lie_within_bounds_and_start_at_one(table: dict[str, list[float]]) -> None:
    ranks = rank_groups(table)
    assert set(ranks) == set(table)
    assert all(1 <= rank <= len(table) for rank in ranks.values())
    assert min(ranks.values()) == 1


@given(tables)
def test_a_significantly_better_method_has_the_smaller_rank(table: dict[str, list[float]]) -> None:
    ranks = rank_groups(table)
    pairs = list(combinations(table, 2))
    tests = [welch(table[a], table[b]) for a, b in pairs]
    adjusted = holm([test.p for test in tests if test.p is not None])
    for (a, b), test, p in zip(pairs, tests, adjusted, strict=True):
        if p < 0.05:
            better, worse = (a, b) if test.difference > 0 else (b, a)
            assert ranks[better] < ranks[worse]


@given(tables)
def test_ranks_follow_the_means(table: dict[str, list[float]]) -> None:
    ranks = rank_groups(table)
    means = {name: summarize(values).mean for name, values in table.items()}
    for a, b in combinations(table, 2):
        if means[a] != means[b]:
            better, worse = (a, b) if means[a] > means[b] else (b, a)
            assert ranks[better] <= ranks[worse]
        else:
            assert ranks[a] == ranks[b]


@given(tables, st.permutations("abcdef"))
def test_ranks_do_not_depend_on_names(table: dict[str, list[float]], names: list[str]) -> None:
    renamed = dict(zip("abcdef", names, strict=True))
    ranks = rank_groups({renamed[name]: values for name, values in table.items()})
    assert {name: ranks[renamed[name]] for name in table} == rank_groups(table)


@given(tables, st.randoms(use_true_random=False))
def test_ranks_do_not_depend_on_order(table: dict[str, list[float]], random: Random) -> None:
    shuffled = random.sample(list(table.items()), len(table))
    assert rank_groups(dict(shuffled)) == rank_groups(table)


def test_another_test_can_be_put_in() -> None:
    def never(a: object, b: object) -> Comparison:
        return Comparison(difference=0, interval=None, p=None)

    assert rank_groups({"a": [0.9, 0.9], "b": [0.1, 0.1]}, compare=never) == {"a": 1, "b": 1}


def test_a_second_test_can_only_take_differences_away() -> None:
    table = {"a": [0.90, 0.91, 0.89], "b": [0.50, 0.51, 0.49], "c": [0.10, 0.95, 0.60]}
    asked: list[tuple[str, str]] = []

    def second(better: str, worse: str) -> float | None:
        asked.append((better, worse))
        return 0.5

    assert rank_groups(table) == {"a": 1, "b": 2, "c": 1}
    assert rank_groups(table, second=second) == {"a": 1, "b": 1, "c": 1}
    assert asked == [("a", "b")]  # only where seeds alone would tell a difference
    assert rank_groups(table, second=lambda *_: None) == rank_groups(table)


def drawn_differences(
    a: IntArray, b: IntArray, students: tuple[int, int], resamples: int
) -> NDArray[np.float64]:
    """Resampled differences, image after image: what the exact chances must agree with."""
    rng = np.random.default_rng(1)
    steps = a / students[0] - b / students[1]
    drawn: NDArray[np.float64] = steps[rng.integers(len(steps), size=(resamples, len(steps)))]
    return drawn.mean(1)


@pytest.mark.parametrize("students", [(5, 5), (5, 3), (1, 20)])
def test_bootstrap_agrees_with_resampling_single_images(students: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    a, b = (
        rng.binomial(count, chance, size=200)
        for count, chance in zip(students, (0.62, 0.58), strict=True)
    )
    ours = paired_bootstrap(a, b, students)
    drawn = drawn_differences(a, b, students, 20_000)
    observed = a.mean() / students[0] - b.mean() / students[1]
    assert ours.difference == pytest.approx(observed)
    assert ours.interval == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=3e-3)
    beyond = np.mean(np.abs(drawn - observed) >= abs(observed) - 1e-9)
    assert ours.p == pytest.approx(beyond, abs=0.01)


def test_bootstrap_chances_are_those_of_every_possible_resample() -> None:
    a, b = [1, 0, 1, 1], [0, 0, 1, 0]
    ours = paired_bootstrap(a, b, (1, 1))
    differences = [
        sum(a[place] - b[place] for place in places) / 4 for places in product(range(4), repeat=4)
    ]
    beyond = [abs(value - 0.5) >= 0.5 for value in differences]
    assert ours.p == pytest.approx(sum(beyond) / len(beyond))
    assert ours.interval == (0.0, 1.0)


def test_bootstrap_rarely_finds_what_is_not_there() -> None:
    rng = np.random.default_rng(3)
    p_values = [
        paired_bootstrap(*rng.binomial(2, 0.7, size=(2, 400)), (2, 2)).p for _ in range(300)
    ]
    assert np.mean([p is not None and p < 0.05 for p in p_values]) < 0.09


def test_bootstrap_has_two_sides_and_knows_equals() -> None:
    a, b = [1, 0, 1, 1, 0], [0, 0, 1, 1, 0]
    there, back = paired_bootstrap(a, b, (1, 1)), paired_bootstrap(b, a, (1, 1))
    assert (back.difference, back.p) == (-there.difference, pytest.approx(there.p))
    assert paired_bootstrap(a, a, (1, 1)).p == 1


@pytest.mark.parametrize("methods", [2, 14, 60, 120])
def test_among_any_number_of_methods_a_bootstrap_can_tell_a_difference(methods: int) -> None:
    sure = paired_bootstrap([1] * 9, [0] * 9, (1, 1))
    assert sure.p == RESOLUTION
    assert holm([sure.p] + [1.0] * (math.comb(methods, 2) - 1))[0] < ALPHA


def test_rounding_stays_below_the_smallest_p_value() -> None:
    images = 10_000
    sure = paired_bootstrap([5] * images, [4] * (images - 1) + [0], (5, 5))
    unsure = paired_bootstrap([5] * images, [5] * images, (5, 5))
    assert (sure.p, unsure.p) == (RESOLUTION, 1)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1], [1, 0])])
def test_bootstrap_needs_pairs(a: list[int], b: list[int]) -> None:
    with pytest.raises(ValueError, match="Pairs are needed"):
        paired_bootstrap(a, b, (1, 1))


def test_the_smallest_gap_is_found_as_often_as_stated() -> None:
    rng = np.random.default_rng(0)
    gap = smallest_gap([[0.0, 2.0, 1.0, 3.0, 4.0]] * 2)
    assert gap is not None
    std = np.std([0, 2, 1, 3, 4], ddof=1)
    a = rng.normal(gap, std, (4000, 5))
    b = rng.normal(0, std, (4000, 5))
    found = np.mean(stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue < 0.05)
    assert 0.74 < found < 0.88


def test_more_methods_more_spread_and_fewer_seeds_hide_larger_gaps() -> None:
    few, spread = [0.1, 0.2, 0.3, 0.4], [0.0, 0.2, 0.4, 0.6]
    pair = smallest_gap([few, few])
    assert pair is not None
    assert smallest_gap([few] * 5) > pair  # type: ignore[operator]
    assert smallest_gap([spread, spread]) == pytest.approx(2 * pair)
    assert smallest_gap([few * 3, few * 3]) < pair  # type: ignore[operator]
    assert smallest_gap([few, [0.5]]) is None


@given(samples, st.floats(0.001, 0.5))
def test_equivalence_is_the_worse_of_two_one_sided_tests(
    values: list[float], margin: float
) -> None:
    assume(np.std(values) > 1e-6)
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    assert equivalence(values, margin) == pytest.approx(max(above, below), rel=1e-6, abs=1e-9)


def test_equal_differences_are_decided_by_the_margin_alone() -> None:
    assert equivalence([0.0] * 3, 0.01) == 0
    assert equivalence([-0.02] * 3, 0.01) == 1
    assert equivalence([0.0], 0.01) is None


@pytest.mark.parametrize(("std", "n"), [(0.004, 5), (0.01, 6), (0.01, 12), (0.02, 5)])
def test_power_of_the_equivalence_test_by_simulation(std: float, n: int) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.normal(0, std, (2000, n)).tolist()
    found = np.mean([p < 0.05 for values in drawn if (p := equivalence(values, 0.01)) is not None])
    power = equivalence_power(std, n, 0.01)
    # the shifted central t promises a little less where the power is middling
    assert power - 0.03 <= found <= power + (0.03 if power > 0.8 else 0.1)
    assert equivalence_power(0.0, n, 0.01) == 1
