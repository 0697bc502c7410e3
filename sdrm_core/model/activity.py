"""How many items each synthetic user gets: the training users' distribution, reproduced with even spacing."""

import math

import numpy as np
from scipy.special import ndtri

from sdrm_core.randomness import numpy_stream

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
_SHUFFLED = 64  # consecutive users that are shuffled


def normal_scores(counts: np.ndarray, *, reference: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the standard normal quantile of each user's rank among the reference users.

    Users with equal counts are spread at random over the ranks they share, so that the reference's own scores are
    normal even with many ties.

    Args:
        counts: (n_users,) items per user.
        reference: (n_reference,) items per reference user.
        rng: breaks ties.

    Returns:
        (n_users,) float64, finite.
    """
    ordered = np.sort(reference)
    low = np.searchsorted(ordered, counts, side="left")
    high = np.searchsorted(ordered, counts, side="right")
    return scores_of(((low + (high - low) * rng.random(len(counts))) / len(reference)), n_reference=len(reference))


def scores_of(quantiles: np.ndarray, *, n_reference: int) -> np.ndarray:
    """Return normal scores of quantiles in [0, 1], clipped to half a reference user from either end."""
    half_a_user = 0.5 / n_reference
    scores: np.ndarray = ndtri(np.clip(quantiles, half_a_user, 1 - half_a_user))
    return scores


def block_quantiles(number: int, *, size: int, seed: int, stream: str) -> np.ndarray:
    """Return (size,) quantiles in [0, 1) of the users of a block: multiples of the golden ratio, modulo 1, shuffled.

    Every run of users covers the interval evenly. So even a small release has the training users' activity and density;
    with independent draws the density would deviate by sd / sqrt(n). Only each 64 consecutive users are shuffled, so
    that this remains so; unshuffled, activity would have a rhythm, and with real ids that go with activity the rows of
    a release would seem to follow the order of the training rows.

    Args:
        number: of the block; block b contains the users [b * size, (b + 1) * size).
        size: number of users of each block.
        seed: of the release.
        stream: name of the random streams.
    """
    users = np.arange(number * size, (number + 1) * size)
    even = (numpy_stream(seed, stream).random() + users * _GOLDEN_RATIO) % 1.0
    place = np.arange(size) // _SHUFFLED + numpy_stream(seed, stream, number).random(size)
    return even[np.argsort(place)]


def counts_at(quantiles: np.ndarray, *, reference: np.ndarray) -> np.ndarray:
    """Return the items per user at each quantile of the sorted ``reference`` (inverse empirical distribution)."""
    places = np.minimum((quantiles * len(reference)).astype(np.int64), len(reference) - 1)
    counts: np.ndarray = reference[places]
    return counts
