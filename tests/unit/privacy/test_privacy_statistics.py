from dataclasses import astuple
from math import nan

import numpy as np
import pytest
from scipy import stats

from sdrm_core.privacy import statistics
from sdrm_core.privacy.statistics import Estimate


def test_binomial_bounds_by_hand():
    assert statistics.binomial_upper(0, n=100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert statistics.binomial_lower(100, n=100) == pytest.approx(0.05 ** (1 / 100))
    assert statistics.binomial_upper(7, n=7) == 1
    assert statistics.binomial_lower(0, n=7) == 0


def test_binomial_bounds_agree_with_scipy():
    interval = stats.binomtest(13, 200).proportion_ci(confidence_level=0.9, method="exact")
    assert statistics.binomial_lower(13, n=200) == pytest.approx(interval.low)
    assert statistics.binomial_upper(13, n=200) == pytest.approx(interval.high)


def test_excess_is_fishers_exact_test():
    expected = stats.fisher_exact([[9, 91], [2, 98]], alternative="greater").pvalue
    assert statistics.excess_p_value(9, n=100, control_hits=2, n_control=100) == pytest.approx(expected)


def test_twenty_hits_all_on_one_side_of_seven_to_one():
    # (7/8)^20 = .069 when people are many: exactly, no holdout user among 20 drawn of 8,000
    p_value = statistics.excess_p_value(20, n=7000, control_hits=0, n_control=1000)
    assert p_value == pytest.approx((7 / 8) ** 20, rel=0.01)


def test_auc_counts_ties_half():
    scores, is_train = np.array([1.0, 2, 2, 3]), np.array([False, True, False, True])
    # pairs (train, holdout): 2>1, 2=2, 3>1, 3>2 -> 3.5 of 4
    assert statistics.auc(scores, is_train, np.zeros((4, 0))).effect == pytest.approx(3.5 / 4)


@pytest.mark.parametrize("is_train", [np.ones(3, bool), np.zeros(3, bool)])
def test_nobody_to_compare_with_tells_nothing(is_train):
    assert statistics.auc(np.arange(3.0), is_train, np.zeros((3, 0))) == Estimate(0.5, 0.0, 1.0, 1.0)


def test_many_attacks_at_once_do_as_well_as_each_alone():
    rng = np.random.default_rng(4)
    scores, is_train, taste = rng.normal(size=(3, 200)), rng.random(200) < 0.8, rng.normal(size=(200, 5))
    alone = [statistics.auc(attack, is_train, taste).effect for attack in scores]
    assert statistics.aucs(scores, is_train, taste) == pytest.approx(alone)
    assert (statistics.aucs(scores, np.ones(200, bool), taste) == 0.5).all()  # nobody to compare with


def test_few_users_with_many_covariates_lose_certainty_and_none_of_the_effect():
    rng = np.random.default_rng(2)
    gaps = []
    for _ in range(300):
        is_train = rng.permutation(np.arange(40) < 30)
        values = is_train + rng.normal(scale=0.3, size=40)
        gaps.append(statistics.adjusted_difference(values, is_train, rng.normal(size=(40, 11))))
    assert np.mean([gap.effect for gap in gaps]) == pytest.approx(1, abs=0.03)
    assert np.mean([gap.standard_error for gap in gaps]) == pytest.approx(
        np.std([gap.effect for gap in gaps]), rel=0.15
    )


def test_hardly_more_users_than_covariates_tell_nothing():
    rng = np.random.default_rng(3)
    assert statistics.auc(np.arange(14.0), np.arange(14) > 4, rng.normal(size=(14, 11))).upper == 1


def test_a_rate_of_two_halves_is_as_uncertain_as_they_are_and_as_significant():
    half = Estimate(0.01, -0.03, 0.05, 0.001)
    both = statistics.averaged_rate(half, half)
    assert (both.effect, both.lower) == (0.01, 0.0)
    assert both.upper == pytest.approx(0.01 + 0.04 / np.sqrt(2))
    assert both.p_value < 1e-4


@pytest.mark.filterwarnings("error")
def test_a_p_value_too_small_for_a_number_can_be_combined():
    rate = Estimate(0.5, 0.4, 0.6, 0.0)
    assert statistics.averaged_rate(rate, rate).p_value == 0


@pytest.mark.filterwarnings("error")
def test_a_mean_of_estimates_is_as_sure_as_one_of_them():
    one, other = Estimate(0.1, 0.0, 0.2, stats.norm.sf(3.0)), Estimate(0.3, 0.2, 0.6, stats.norm.sf(1.0))
    mean = statistics.mean_of([one, other])
    assert (mean.effect, mean.lower, mean.upper, mean.p_value) == pytest.approx((0.2, 0.1, 0.4, stats.norm.sf(2.0)))
    assert astuple(statistics.mean_of([one])) == pytest.approx(astuple(one))
    for p_value in (0.0, 1.0):
        assert statistics.mean_p_value([p_value, p_value]) == pytest.approx(p_value)


def test_estimates_from_the_same_users_make_no_narrower_bounds_and_no_smaller_p_value():
    agreed = statistics.agreed(
        [Estimate(0.1, 0.0, 0.2, 0.01), Estimate(0.3, 0.2, 0.6, 0.02), Estimate(0.2, 0.1, 0.4, 0.4)]
    )
    assert (agreed.effect, agreed.lower, agreed.upper, agreed.p_value) == pytest.approx((0.2, 0.1, 0.4, 0.04))
    assert statistics.agreed([Estimate(0.0, -1.0, 1.0, 1.0)]) == Estimate(0.0, -1.0, 1.0, 1.0)


def test_what_is_not_finite_does_not_vanish_in_a_mean():
    agreed = statistics.agreed([Estimate(0.1, 0.0, 0.2, 0.01), Estimate(nan, nan, nan, nan)])
    assert np.isnan([agreed.effect, agreed.lower, agreed.upper, agreed.p_value]).all()


@pytest.mark.parametrize("n_holdout", [30, 60, 134])
def test_too_high_a_rate_of_recognised_members_rarely_passes(n_holdout):
    rng = np.random.default_rng(n_holdout)
    bounds = []
    for _ in range(200):
        scores, is_train = rng.normal(size=n_holdout * 8), np.arange(n_holdout * 8) >= n_holdout
        scores[is_train & (rng.random(len(scores)) < 0.06)] += 10
        half = rng.random(len(scores)) < 0.5
        rates = [
            statistics.true_positive_rate(scores[side], is_train[side], false_positive_rate=0.01)
            for side in (half, ~half)
        ]
        bounds.append(statistics.averaged_rate(*rates).upper)
    assert np.mean(np.array(bounds) <= 0.05) < 0.2


def test_covariates_remove_noise_and_keep_the_effect():
    rng = np.random.default_rng(0)
    is_train, known = rng.random(4000) < 0.8, rng.normal(size=4000)
    values = 3 * known + 0.1 * is_train + rng.normal(scale=0.1, size=4000)
    plain = statistics.adjusted_difference(values, is_train, np.zeros((4000, 0)))
    controlled = statistics.adjusted_difference(values, is_train, known[:, None])
    assert controlled.effect == pytest.approx(0.1, abs=0.02)
    assert controlled.standard_error < plain.standard_error / 10


def test_difference_has_the_permutation_variance():
    rng = np.random.default_rng(1)
    values, labels, nothing = rng.exponential(size=300), np.arange(300) < 240, np.zeros((300, 0))
    null = [statistics.adjusted_difference(values, rng.permutation(labels), nothing).effect for _ in range(2000)]
    found = statistics.adjusted_difference(values, labels, nothing)
    assert found.standard_error == pytest.approx(np.std(null), rel=0.06)


def test_sides_that_differ_in_everything_are_significant():
    is_train = np.arange(60) < 40
    found = statistics.adjusted_difference(is_train.astype(float), is_train, np.zeros((60, 0)))
    assert found.effect == pytest.approx(1)
    assert found.p_value < 1e-6


def test_a_difference_to_nobody_is_none():
    with pytest.raises(ValueError, match="no held-out user"):
        statistics.adjusted_difference(np.ones(40), np.ones(40, bool), np.zeros((40, 1)))


def test_true_positive_rate_of_members_with_a_score_of_their_own():
    scores = np.concatenate([np.full(100, 5.0), np.zeros(900), np.linspace(0, 1, 200)])
    found = statistics.true_positive_rate(scores, np.arange(1200) < 1000, false_positive_rate=0.01)
    assert found.effect == pytest.approx(0.1)
    assert found.p_value < 1e-3
    assert found.lower < 0.1 < found.upper


def test_held_out_users_who_share_the_threshold_are_not_above_it():
    scores = np.concatenate([np.full(100, 5.0), np.zeros(900), np.zeros(200)])  # a tenth of the members stand out
    found = statistics.true_positive_rate(scores, np.arange(1200) < 1000, false_positive_rate=0.01)
    assert found.effect == pytest.approx(0.1 * 2)  # at a false positive rate of one in 200, taken up to one in 100
    assert found.p_value < 1e-3


def test_members_who_share_the_highest_score_with_many_held_out_people_are_split_as_these_are():
    n_train, n_holdout = 2000, 300
    scores = np.concatenate([np.ones(180), np.zeros(n_train - 180), np.ones(5), np.zeros(n_holdout - 5)])
    found = statistics.true_positive_rate(scores, np.arange(n_train + n_holdout) < n_train, false_positive_rate=0.01)
    assert found.effect == pytest.approx(0.09 * 3 / 5)
    assert found.upper > 0.09
    assert found.p_value == pytest.approx(stats.hypergeom.sf(179, n_train + n_holdout, 185, n_train))


def test_where_no_member_stands_out_the_rate_is_no_surer_than_one_at_chance():
    n_train, n_holdout = 1000, 200
    scores = np.concatenate([np.zeros(n_train), np.linspace(1, 2, n_holdout)])
    found = statistics.true_positive_rate(scores, np.arange(n_train + n_holdout) < n_train, false_positive_rate=0.01)
    spread = np.sqrt(0.01 / n_train + 0.01 * 0.99 / n_holdout)
    assert found.effect == 0
    assert found.upper == pytest.approx(stats.norm.ppf(0.95) * spread)


def test_a_figure_without_spread_decides_nothing():
    assert Estimate.normal(0.0, standard_error=0.0).p_value == 1


def test_average_of_two_estimates():
    estimate = statistics.averaged(
        Estimate.normal(0.6, standard_error=0.04), Estimate.normal(0.5, standard_error=0.03), null=0.5
    )
    assert estimate.effect == pytest.approx(0.55)
    assert estimate.standard_error == pytest.approx(0.025)
    assert estimate.p_value == pytest.approx(stats.norm.sf(2))
