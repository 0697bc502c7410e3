import numpy as np
import pytest
from scipy import stats

from sdrm_core.quality import bootstrap
from sdrm_core.quality.bootstrap import bootstrap_means, estimate


def test_resampled_means_have_the_standard_error():
    values = np.random.default_rng(0).standard_normal((1, 400, 1))
    means = bootstrap_means(values, draws=4000, seed=0)
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_what_few_generation_seeds_leave_open_is_students_t():
    values = np.zeros((3, 50, 1)) + np.array([0.0, 1.0, 2.0])[:, None, None]
    interval = estimate(1.0, bootstrap_means(values, draws=40_000, seed=0)[:, 0])
    half = stats.t.ppf(0.975, df=2) / np.sqrt(3)  # the standard deviation is 1
    assert (interval.low, interval.high) == pytest.approx((1 - half, 1 + half), rel=0.08)


def test_equal_generators_of_few_seeds_are_seldom_told_apart():
    generator, apart = np.random.default_rng(6), 0
    for run in range(300):
        one, other = generator.standard_normal((2, 3, 1, 1)) + np.zeros((1, 1, 20, 1))
        difference = bootstrap_means(one, draws=400, seed=run) - bootstrap_means(other, draws=400, seed=run)
        interval = estimate(one.mean() - other.mean(), difference[:, 0])
        apart += interval.low > 0 or interval.high < 0
    assert apart <= 0.08 * 300  # 27 % where three seeds were resampled


def test_arms_are_resampled_in_pairs():
    values = np.random.default_rng(0).standard_normal((1, 100, 2))
    shifted = bootstrap_means(values + 1, draws=200, seed=4) - bootstrap_means(values, draws=200, seed=4)
    np.testing.assert_allclose(shifted, 1)


def test_of_very_many_users_every_resample_is_made_though_a_few_at_a_time(monkeypatch):
    values = np.random.default_rng(0).standard_normal((1, 50, 2))
    at_once = bootstrap_means(values, draws=70, seed=4)
    monkeypatch.setattr(bootstrap, "_CHUNK_CELLS", 50 * 32)
    np.testing.assert_allclose(bootstrap_means(values, draws=70, seed=4), at_once)


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
