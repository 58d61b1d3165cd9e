"""Robustness scores: by hand, at the reference points, and inside [0, 1] whatever goes in."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.errors import InvalidValue
from bench.scores import (
    augmentation_balance,
    gain,
    label_balance,
    robustness,
    score_of_mean,
)

fractions = st.floats(0, 1)
balances = st.floats(-1, 1)


@pytest.mark.parametrize(
    ("balance", "score"), [(-1, 0), (-0.5, 0.1015), (0, 0.2689), (0.5, 0.5449), (1, 1)]
)
def test_reference_points_of_the_map(balance: float, score: float) -> None:
    assert robustness(balance) == pytest.approx(score, abs=5e-5)


def test_the_ends_of_the_map_are_exact() -> None:
    assert (robustness(-1), robustness(1)) == (0, 1)


@given(real_hard=fractions, hard=fractions, native=fractions, random=fractions, weight=fractions)
def test_label_robustness_stays_in_its_range(
    real_hard: float, hard: float, native: float, random: float, weight: float
) -> None:
    alpha = label_balance(gain(real_hard, hard), gain(native, random), weight)
    assert 0 <= robustness(alpha) <= 1


@given(*(fractions,) * 5)
def test_augmentation_robustness_stays_in_its_range(
    ours: float, random: float, ours_plain: float, random_plain: float, weight: float
) -> None:
    beta = augmentation_balance(gain(ours, random), gain(ours_plain, random_plain), weight)
    assert 0 <= robustness(beta) <= 1


@given(balances, balances)
def test_a_better_balance_never_scores_less(a: float, b: float) -> None:
    assert (a <= b) <= (robustness(a) <= robustness(b))


def test_label_balance_by_hand() -> None:
    # HLR 0.9 - 0.5 = 0.4, IOR 0.7 - 0.6 = 0.1: 0.5 · 0.1 - 0.5 · 0.4
    alpha = label_balance(gain(0.9, 0.5), gain(0.7, 0.6))
    assert alpha == pytest.approx(-0.15)
    assert robustness(alpha) == pytest.approx(
        (math.exp(-0.15) - 1 / math.e) / (math.e - 1 / math.e)
    )
    assert label_balance(0.4, 0.1, weight=1) == 0.1
    assert label_balance(0.4, 0.1, weight=0) == -0.4


def test_augmentation_balance_by_hand() -> None:
    assert augmentation_balance(0.2, -0.1) == pytest.approx(0.05)
    assert augmentation_balance(0.2, -0.1, weight=0.25) == pytest.approx(-0.025)


@pytest.mark.parametrize("value", [-0.01, 1.01, 71.2, math.nan])
def test_percentages_and_nonsense_are_refused_as_accuracies(value: float) -> None:
    with pytest.raises(InvalidValue, match=r"fraction in \[0, 1\], not a percentage"):
        gain(value, 0.5)
    with pytest.raises(InvalidValue, match="accuracy"):
        gain(0.5, value)


@pytest.mark.parametrize("value", [-1.01, 1.01, 20.0, math.nan])
def test_balances_outside_their_range_are_refused(value: float) -> None:
    for refused in (
        lambda: robustness(value),
        lambda: label_balance(value, 0),
        lambda: label_balance(0, value),
        lambda: augmentation_balance(value, 0),
        lambda: score_of_mean([0.0, value]),
    ):
        with pytest.raises(InvalidValue, match=r"fraction in \[-1, 1\]"):
            refused()


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_weights_outside_the_unit_interval_are_refused(weight: float) -> None:
    with pytest.raises(InvalidValue, match="weight"):
        label_balance(0, 0, weight)


@given(st.lists(balances, min_size=2, max_size=6))
def test_the_printed_score_is_that_of_the_mean_inside_its_interval(values: list[float]) -> None:
    found = score_of_mean(values)
    assert found is not None
    assert found.interval is not None
    low, high = found.interval
    assert 0 <= low <= found.value <= high <= 1
    assert found.value == pytest.approx(robustness(math.fsum(values) / len(values)), abs=1e-12)
    mean_of_scores = math.fsum(map(robustness, values)) / len(values)
    assert found.value <= mean_of_scores + 1e-12  # the map is convex
    assert (found.n, found.std) == (len(values), None)


def test_the_interval_is_that_of_the_balance_mapped() -> None:
    values = [0.10, 0.12, 0.11, 0.14, 0.08]
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = score_of_mean(values)
    assert found is not None
    assert found.interval == pytest.approx(tuple(map(robustness, interval)))


def test_one_repetition_has_no_interval_and_none_no_score() -> None:
    single = score_of_mean([0.5])
    assert single is not None
    assert (single.value, single.interval) == (robustness(0.5), None)
    assert score_of_mean([]) is None
