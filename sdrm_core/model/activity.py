"""How many items each synthetic user gets: the training users' distribution, reproduced evenly."""

import math

import numpy as np
from scipy.special import ndtri

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


def normal_scores(counts: np.ndarray, *, reference: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the standard normal quantile of each user's place among the reference users.

    Equal counts share their stretch of the ranks at random, so that the reference's own scores are normal
    however many ties it has.

    Args:
        counts: (n_users,) items per user.
        reference: (n_reference,) items per reference user.
        rng: divides ties.

    Returns:
        (n_users,) float64, finite.
    """
    ordered = np.sort(reference)
    low = np.searchsorted(ordered, counts, side="left")
    high = np.searchsorted(ordered, counts, side="right")
    return scores_of(((low + (high - low) * rng.random(len(counts))) / len(reference)), n_reference=len(reference))


def scores_of(quantiles: np.ndarray, *, n_reference: int) -> np.ndarray:
    """Return normal scores of quantiles in [0, 1], none further out than half a reference user."""
    half_a_user = 0.5 / n_reference
    scores: np.ndarray = ndtri(np.clip(quantiles, half_a_user, 1 - half_a_user))
    return scores


def spread_quantiles(start: int, stop: int, *, shift: float) -> np.ndarray:
    """Return quantiles in [0, 1) of users [start, stop): multiples of the golden ratio, modulo 1.

    Any run of users covers the interval evenly, so a small release already has the training users' activity
    and density, where independent draws would miss the density by sd / sqrt(n).

    Args:
        start: first user.
        stop: one after the last user.
        shift: in [0, 1), the release's own starting point.
    """
    return (shift + np.arange(start, stop) * _GOLDEN_RATIO) % 1.0


def counts_at(quantiles: np.ndarray, *, reference: np.ndarray) -> np.ndarray:
    """Return the items per user at each quantile of the sorted ``reference`` (inverse empirical distribution)."""
    places = np.minimum((quantiles * len(reference)).astype(np.int64), len(reference) - 1)
    counts: np.ndarray = reference[places]
    return counts
