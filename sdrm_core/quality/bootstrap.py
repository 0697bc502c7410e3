"""Intervals from a paired bootstrap over users, and Student's t over generation seeds."""

import numpy as np

from sdrm_core.randomness import numpy_stream
from sdrm_core.records import Record

CONFIDENCE = 0.95

_CHUNK_CELLS = 1 << 22


class IntervalEstimate(Record):
    """A figure with its 95 % interval; null where the figure is undefined."""

    value: float | None
    low: float | None
    high: float | None


def bootstrap_means(values: np.ndarray, *, draws: int, seed: int) -> np.ndarray:
    """Return the mean of ``values`` in each resample of users, with the variation of the few generation seeds added.

    Resampling three seeds would show only two thirds of their variance and no tails. Instead the seeds get random
    weights around 1 / n, chosen so that the weighted mean follows Student's t. With one seed the result only covers
    chance among the users, for this one set of synthetic users.

    Users and weights of a resample depend only on their numbers and the seed: two arms that are measured on the same
    users get the same resamples, and the difference of their results is paired.

    Args:
        values: (n_seeds, n_users, n_metrics), a metric by generation seed and user.
        draws: resamples.
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
    """Return ``value`` with its percentile interval; an undefined resample leaves the interval undefined."""
    if not np.isfinite(value):
        return IntervalEstimate(value=None, low=None, high=None)
    if not np.isfinite(resampled).all():
        return IntervalEstimate(value=float(value), low=None, high=None)
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return IntervalEstimate(value=float(value), low=float(low), high=float(high))


def _seed_weights(generator: np.random.Generator, *, draws: int, n_seeds: int) -> np.ndarray:
    """Return (draws, n_seeds) weights that add up to 1.

    Centred normal numbers g weigh means m so that g·m has the variance Σ(m - mean)²; over the root of an independent
    χ² of n - 1 degrees of freedom and of n it is Student's t times the standard error of the mean.
    """
    weights = np.full((draws, n_seeds), 1 / n_seeds)
    if n_seeds > 1:
        normal = generator.standard_normal((draws, n_seeds))
        scale = np.sqrt(n_seeds * generator.chisquare(n_seeds - 1, draws))
        weights += (normal - normal.mean(axis=1, keepdims=True)) / scale[:, None]
    return weights


def _resample_counts(generator: np.random.Generator, *, draws: int, population: int) -> np.ndarray:
    """Return (draws, population) how often each member was drawn, with replacement."""
    drawn = generator.integers(population, size=(draws, population))
    cells = (drawn + np.arange(draws)[:, None] * population).ravel()
    return np.bincount(cells, minlength=draws * population).reshape(draws, population).astype(np.float64)
