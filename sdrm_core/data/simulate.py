"""The embedded data set: a rating log that looks like a real one, simulated from a seed. Nothing is downloaded."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from sdrm_core.randomness import numpy_stream

_N_COMMUNITIES = 16
_USER_CONCENTRATION, _ITEM_CONCENTRATION = 0.12, 0.08  # Dirichlet: a user likes few communities, an item belongs to one
_TASTE_WEIGHT = 9.5
_MIN_ACTIVITY, _MAX_ACTIVITY_SHARE = 10, 1 / 3
_BLOCK_USERS = 256
_FIRST_DAY = 1_577_836_800  # 2020-01-01T00:00:00Z, in seconds
_SECONDS_PER_DAY = 86_400


def simulate_interactions(*, seed: int, n_users: int = 2000, n_items: int = 800) -> pa.Table:
    """Return a rating log with communities of taste, few popular and many rare items, and few very active users.

    Users rate items that are popular or match their taste, and give the matching items higher ratings. About 57 % of
    the ratings are 4 or 5.

    Args:
        seed: seed of the run; the same seed gives the same log.
        n_users: number of users; each rates at least 10 items, or all items if there are fewer.
        n_items: number of items; a few of the least popular ones may get no rating.

    Returns:
        Columns ``user_id`` (int64), ``item_id`` (string), ``rating`` (float64, 1 to 5) and ``timestamp`` (int64, Unix
        seconds), sorted by time.
    """
    rng = numpy_stream(seed, "simulate")
    taste = rng.dirichlet(np.full(_N_COMMUNITIES, _USER_CONCENTRATION), size=n_users)
    community = rng.dirichlet(np.full(_N_COMMUNITIES, _ITEM_CONCENTRATION), size=n_items)
    user, item, affinity = (np.concatenate(parts) for parts in zip(*_choices(taste, community, rng), strict=True))

    leniency, quality = rng.normal(scale=0.4, size=n_users), rng.normal(scale=0.35, size=n_items)
    score = 3.4 + 1.6 * affinity + leniency[user] + quality[item] + rng.normal(scale=0.8, size=len(user))
    days = rng.uniform(0, 730, size=n_users)[user] + rng.exponential(20, size=len(user))  # joining, then rating
    time = (_FIRST_DAY + days * _SECONDS_PER_DAY).astype(np.int64)

    order = np.lexsort((item, user, time))
    user_ids = 10_000 + rng.permutation(n_users)  # shuffled: ids must not reveal activity or popularity
    item_ids = np.array([f"item-{number:05d}" for number in rng.permutation(n_items)], dtype=object)
    return pa.table(
        {
            "user_id": pa.array(user_ids[user[order]], pa.int64()),
            "item_id": pa.array(item_ids[item[order]], pa.string()),
            "rating": pa.array(np.clip(np.rint(score[order]), 1, 5), pa.float64()),
            "timestamp": pa.array(time[order], pa.int64()),
        }
    )


def _choices(
    taste: np.ndarray, community: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the user, the item and their affinity of each rating, for one block of users at a time.

    Each user draws items without replacement; popularity and affinity together give the probability (Gumbel top-k).

    taste: (n_users, n_communities); community: (n_items, n_communities).
    """
    n_users, n_items = len(taste), len(community)
    log_popularity = rng.permutation(-1.35 * np.log(np.arange(1, n_items + 1) + 12))
    least = min(_MIN_ACTIVITY, n_items)
    most = max(least, int(_MAX_ACTIVITY_SHARE * n_items))
    activity = np.clip(rng.lognormal(3.7, 0.8, size=n_users), least, most).astype(np.int64)
    for start in range(0, n_users, _BLOCK_USERS):
        affinity = taste[start : start + _BLOCK_USERS] @ community.T
        drawn = log_popularity + _TASTE_WEIGHT * affinity + rng.gumbel(size=affinity.shape)
        ranking = np.argsort(-drawn, axis=1)
        row, rank = np.nonzero(np.arange(n_items) < activity[start : start + _BLOCK_USERS, None])
        item = ranking[row, rank]
        yield row + start, item, affinity[row, item]
