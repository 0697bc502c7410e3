import numpy as np
import pytest
from scipy.stats import kstest, norm

from sdrm_core.model.activity import block_quantiles, counts_at, normal_scores, scores_of

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


def quantiles_of(numbers, *, size=1_024, seed=0):
    return np.concatenate([block_quantiles(number, size=size, seed=seed, stream="activity") for number in numbers])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("start", "stop"), [(0, 100), (345, 1_001), (700, 2_048)])
def test_any_run_of_users_covers_the_quantiles_evenly(seed, start, stop):
    found = quantiles_of(range(2), seed=seed)[start:stop]
    assert kstest(found, "uniform").statistic < 16 / (stop - start)  # independent draws: 1.36 / sqrt(n) at times
    assert kstest(quantiles_of(range(10**6, 10**6 + 2), seed=seed), "uniform").statistic < 3 / 2_048


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_activity_has_no_rhythm(seed):
    found = quantiles_of(range(8), seed=seed)
    power = np.square(np.abs(np.fft.rfft(found - 0.5)))[1:-1]
    assert power.max() / power.sum() < 20 / len(power)  # Fisher's test: p > 4,000 exp(-20)


def test_blocks_and_seeds_are_shuffled_differently():
    orders = [np.argsort(quantiles_of([number], seed=seed)[:64]).tolist() for number in (0, 1) for seed in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4


def test_the_mean_count_of_a_small_release_is_that_of_the_training_users():
    reference = np.sort(np.random.default_rng(0).geometric(0.02, 656))
    for seed in range(10):
        counts = counts_at(quantiles_of([0], seed=seed)[:656], reference=reference)
        assert counts.mean() == pytest.approx(reference.mean(), rel=0.02)
