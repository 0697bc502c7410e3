"""Confidence intervals: a paired bootstrap over users, and Student's t over generation seeds."""

import numpy as np

from sdrm_core.randomness import numpy_stream
from sdrm_core.records import Record

CONFIDENCE = 0.95

_CHUNK_CELLS = 1 << 22


class IntervalEstimate(Record):
    """A figure with its 95 % interval; null where undefined."""

    value: float | None
    low: float | None
    high: float | None


def bootstrap_means(values: np.ndarray, *, draws: int, seed: int) -> np.ndarray:
    """Return the mean of ``values`` in each resample of users, including the variation between generation seeds.

    Resampling three seeds would reproduce only two thirds of their variance and no tails. Instead the seeds get random
    weights around 1 / n, such that the weighted mean follows Student's t. With one seed the result covers only the
    variation between users, for this one set of synthetic users.

    The users and weights of a resample depend only on the numbers of users and seeds and on ``seed``. So two arms that
    are measured on the same users get the same resamples, and the difference of their results is paired.

    Args:
        values: (n_seeds, n_users, n_metrics), a metric by generation seed and user.
        draws: number of resamples.
        seed: the run's seed.

    Returns:
        (draws, n_metrics) float64.
    """
    n_seeds, n_users, n_metrics = values.shape
    by_user = values.transpose(1, 0, 2).reshape(n_users, -1)
    users, seeds = numpy_stream(seed, "bootstrap-users"), numpy_stream(seed, "bootstrap-seeds", n_seeds)
    chunk_draws = max(1, _CHUNK_CELLS // n_users)
    means = np.empty((draws, n_metrics))
    for start in range(0, draws, chunk_draws):
        size = min(chunk_draws, draws - start)
        user_counts = _resample_counts(users, draws=size, population=n_users)
        seed_weights = _seed_weights(seeds, draws=size, n_seeds=n_seeds)
        by_seed = (user_counts @ by_user).reshape(size, n_seeds, n_metrics) / n_users
        means[start : start + size] = np.einsum("ds,dsm->dm", seed_weights, by_seed)
    return means


def estimate(value: float, resampled: np.ndarray) -> IntervalEstimate:
    """Return ``value`` with its percentile interval; the interval is undefined if one resample is."""
    if not np.isfinite(value):
        return IntervalEstimate(value=None, low=None, high=None)
    if not np.isfinite(resampled).all():
        return IntervalEstimate(value=float(value), low=None, high=None)
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return IntervalEstimate(value=float(value), low=float(low), high=float(high))


def _seed_weights(generator: np.random.Generator, *, draws: int, n_seeds: int) -> np.ndarray:
    """Return (draws, n_seeds) weights that sum to 1.

    For seed means m and centred standard normal numbers g, g·m has the variance Σ(m - mean)². Divided by the root of n
    times an independent χ² variable with n - 1 degrees of freedom, it is Student's t times the standard error of the
    mean.
    """
    weights = np.full((draws, n_seeds), 1 / n_seeds)
    if n_seeds > 1:
        normal = generator.standard_normal((draws, n_seeds))
        scale = np.sqrt(n_seeds * generator.chisquare(n_seeds - 1, draws))
        weights += (normal - normal.mean(axis=1, keepdims=True)) / scale[:, None]
    return weights


def _resample_counts(generator: np.random.Generator, *, draws: int, population: int) -> np.ndarray:
    """Return (draws, population) how often each member is drawn, with replacement."""
    drawn = generator.integers(population, size=(draws, population))
    cells = (drawn + np.arange(draws)[:, None] * population).ravel()
    return np.bincount(cells, minlength=draws * population).reshape(draws, population).astype(np.float64)
