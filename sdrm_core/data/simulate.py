"""The embedded data set: a simulated rating log with the shape of real ones, made by a seed, nothing to download."""

import numpy as np
import pyarrow as pa

from sdrm_core.randomness import numpy_stream

_N_COMMUNITIES = 16
_BLOCK_USERS = 256
_FIRST_DAY = 1_577_836_800  # 2020-01-01T00:00:00Z, in seconds
_SECONDS_PER_DAY = 86_400


def simulate_interactions(*, seed: int, n_users: int = 2000, n_items: int = 800) -> pa.Table:
    """Return a rating log with communities of taste, a long tail of items and skewed activity.

    Each item belongs mostly to one community, each user likes a few of them. A user rates items that are popular
    or near the own taste, and rates the latter higher; about 57 % of the ratings are 4 or 5.

    Args:
        seed: the run's seed; the same seed gives the same log.
        n_users: users of the log; each rates at least 10 items (fewer if there are fewer items).
        n_items: items on offer; a few of the least popular ones may stay without a rating.

    Returns:
        Columns ``user_id`` (int64), ``item_id`` (string), ``rating`` (float64, 1 to 5) and ``timestamp``
        (int64, Unix seconds), in the order of time.
    """
    rng = numpy_stream(seed, "simulate")
    taste = rng.dirichlet(np.full(_N_COMMUNITIES, 0.12), size=n_users)
    community = rng.dirichlet(np.full(_N_COMMUNITIES, 0.08), size=n_items)
    log_popularity = rng.permutation(-1.35 * np.log(np.arange(1, n_items + 1) + 12))
    quality = rng.normal(scale=0.35, size=n_items)
    leniency = rng.normal(scale=0.4, size=n_users)
    activity = np.clip(np.exp(rng.normal(3.7, 0.8, size=n_users)), 10, n_items / 3).astype(np.int64)
    activity = np.minimum(activity, n_items)

    users, items, scores = [], [], []
    for start in range(0, n_users, _BLOCK_USERS):
        block = slice(start, start + _BLOCK_USERS)
        affinity = taste[block] @ community.T
        drawn = log_popularity + 9.5 * affinity + rng.gumbel(size=affinity.shape)
        order = np.argsort(-drawn, axis=1)  # Gumbel top-k: items without replacement, by weight
        is_rated = np.arange(n_items) < activity[block, None]
        row, rank = np.nonzero(is_rated)
        item = order[row, rank]
        users.append(row + start)
        items.append(item)
        scores.append(3.4 + leniency[row + start] + quality[item] + 1.6 * affinity[row, item])
    user, item, score = np.concatenate(users), np.concatenate(items), np.concatenate(scores)
    rating = np.clip(np.rint(score + rng.normal(scale=0.8, size=len(score))), 1, 5)
    time = _times(user, n_users=n_users, rng=rng)
    order = np.lexsort((item, user, time))
    user_ids = 10_000 + rng.permutation(n_users)  # neither kind of id tells activity or popularity
    item_ids = np.asarray([f"item-{number:05d}" for number in rng.permutation(n_items)], dtype=object)
    return pa.table(
        {
            "user_id": pa.array(user_ids[user[order]], pa.int64()),
            "item_id": pa.array(item_ids[item[order]], pa.string()),
            "rating": pa.array(rating[order], pa.float64()),
            "timestamp": pa.array(time[order], pa.int64()),
        }
    )


def _times(user: np.ndarray, *, n_users: int, rng: np.random.Generator) -> np.ndarray:
    """Return Unix seconds: each user joins on some day of two years and rates over the days that follow."""
    joined = rng.uniform(0, 730, size=n_users)
    days = joined[user] + rng.exponential(20, size=len(user))
    return np.asarray(_FIRST_DAY + days * _SECONDS_PER_DAY, dtype=np.int64)
