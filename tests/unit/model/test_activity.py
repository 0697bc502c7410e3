import numpy as np
import pytest
from scipy.stats import kstest, norm

from sdrm_core.model.activity import counts_at, normal_scores, scores_of, spread_quantiles

REFERENCE = np.array([2, 2, 3, 5, 5, 5, 8, 20])


def test_a_users_score_is_the_normal_quantile_of_its_stretch_of_the_ranks():
    scores = normal_scores(np.array([2, 3, 5, 8, 20]), reference=REFERENCE, rng=np.random.default_rng(0))
    lowest = norm.ppf(np.maximum(np.array([0, 2, 3, 6, 7]) / 8, 0.5 / 8))
    highest = norm.ppf(np.minimum(np.array([2, 3, 6, 7, 8]) / 8, 7.5 / 8))
    assert ((lowest <= scores) & (scores <= highest)).all()


def test_scores_of_the_reference_itself_are_standard_normal_despite_ties():
    counts = np.random.default_rng(0).geometric(0.3, 5000)
    scores = normal_scores(counts, reference=counts, rng=np.random.default_rng(1))
    assert kstest(scores, "norm").statistic < 0.01


def test_counts_outside_the_reference_have_finite_scores():
    scores = normal_scores(np.array([1, 500]), reference=REFERENCE, rng=np.random.default_rng(0))
    assert scores == pytest.approx(scores_of(np.array([0.0, 1.0]), n_reference=8))
    assert np.isfinite(scores).all()


def test_counts_follow_the_inverse_empirical_distribution():
    quantiles = np.array([0.0, 0.124, 0.25, 0.374, 0.375, 0.874, 0.875, 0.999999])
    assert counts_at(quantiles, reference=REFERENCE).tolist() == [2, 2, 3, 3, 5, 8, 20, 20]


@pytest.mark.parametrize("shift", [0.0, 0.37, 0.999])
def test_any_run_of_users_covers_the_quantiles_evenly(shift):
    for start, stop in ((0, 100), (12_345, 13_000), (10**9, 10**9 + 656)):
        quantiles = spread_quantiles(start, stop, shift=shift)
        assert kstest(quantiles, "uniform").statistic < 3 / (stop - start) + 1e-4


def test_a_longer_run_begins_with_the_shorter():
    whole = spread_quantiles(0, 1000, shift=0.2)
    assert np.array_equal(whole[300:700], spread_quantiles(300, 700, shift=0.2))


def test_the_mean_count_of_a_small_release_is_that_of_the_training_users():
    reference = np.sort(np.random.default_rng(0).geometric(0.02, 656))
    for shift in (0.1, 0.5, 0.9):
        counts = counts_at(spread_quantiles(0, 656, shift=shift), reference=reference)
        assert counts.mean() == pytest.approx(reference.mean(), rel=0.02)
