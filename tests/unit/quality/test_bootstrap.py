import numpy as np
import pytest

from sdrm_core.quality.bootstrap import bootstrap_means, estimate


def test_resampled_means_have_the_standard_error():
    values = np.random.default_rng(0).standard_normal((1, 400, 1))
    means = bootstrap_means(values, draws=4000, seed=0)
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_generation_seeds_are_resampled_too():
    values = np.zeros((3, 50, 1)) + np.array([0.0, 1.0, 2.0])[:, None, None]
    means = bootstrap_means(values, draws=4000, seed=0)
    assert means.std() == pytest.approx(np.sqrt(2 / 3 / 3), rel=0.05)


def test_arms_are_resampled_in_pairs():
    values = np.random.default_rng(0).standard_normal((1, 100, 2))
    shifted = bootstrap_means(values + 1, draws=200, seed=4) - bootstrap_means(values, draws=200, seed=4)
    np.testing.assert_allclose(shifted, 1)


def test_arms_of_several_seeds_stay_paired_by_user():
    values = np.random.default_rng(0).standard_normal((1, 100, 2))
    many = bootstrap_means(np.repeat(values, 3, axis=0), draws=200, seed=4)
    np.testing.assert_allclose(many, bootstrap_means(values, draws=200, seed=4))


def test_the_interval_covers_the_truth():
    generator = np.random.default_rng(5)
    covered = 0
    for run in range(200):
        sample = generator.exponential(size=(1, 80, 1))
        interval = estimate(sample.mean(), bootstrap_means(sample, draws=400, seed=run)[:, 0])
        covered += interval.low <= 1 <= interval.high
    assert covered >= 0.88 * 200


def test_undefined_figures_are_null():
    assert estimate(np.nan, np.ones(5)).model_dump() == {"value": None, "low": None, "high": None}
    assert estimate(1.0, np.array([1.0, np.inf])).model_dump() == {"value": 1.0, "low": None, "high": None}
