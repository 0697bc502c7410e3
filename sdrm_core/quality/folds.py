"""Fold-in splits: which items of an evaluation user are input to a recommender, and which it must predict."""

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.matrix import Fold, cell_rows, split_items
from sdrm_core.randomness import stream_seed

MIN_POSITIVES = 5
MIN_USERS = 2
"""With fewer rankable users there is no confidence interval."""


def rankable_users(user_items: csr_matrix, *, max_users: int, seed: int) -> csr_matrix:
    """Return the users with at least five positives; a random subset if there are more than ``max_users``.

    The random priority of a user depends only on the user's own items and the seed; other users matter only through
    the limit.

    Args:
        user_items: (n_users, n_items) binary, canonical.
        max_users: maximum number of rows of the result.
        seed: the run's seed.

    Returns:
        (≤ max_users, n_items), in the given order.
    """
    users = user_items[np.flatnonzero(np.diff(user_items.indptr) >= MIN_POSITIVES)]
    if users.shape[0] <= max_users:
        return users
    priority = _mix(_row_keys(users) ^ np.uint64(stream_seed(seed, "rankable-users")))
    return users[np.sort(np.argsort(priority, kind="stable")[:max_users])]


def split_fold(user_items: csr_matrix, *, input_share: float, seed: int, fold: int) -> Fold:
    """Divide each user's items at random into input and target.

    The randomness is a hash of the seed, the fold, the user's item set and the item. So a user's division does not
    depend on the row or on other users, and users with equal items are divided equally.

    Args:
        user_items: (n_users, n_items) binary, canonical, at least two items per row.
        input_share: share of a user's items that is input; at least one item goes to each side.
        seed: the run's seed.
        fold: number of the division.

    Returns:
        Inputs and targets, rows as in ``user_items``.
    """
    key = np.uint64(stream_seed(seed, "fold", fold))
    of_user = _mix(_row_keys(user_items) ^ key)[cell_rows(user_items)]
    priority = _mix(_mix(user_items.indices.astype(np.uint64)) ^ of_user)
    return split_items(user_items, priority, input_share=input_share)


def _row_keys(user_items: csr_matrix) -> np.ndarray:
    """Return an (n_users,) hash of each item set, independent of the order of its items."""
    sums = np.zeros(user_items.nnz + 1, dtype=np.uint64)
    np.cumsum(_mix(user_items.indices.astype(np.uint64)), out=sums[1:])
    return _mix(sums[user_items.indptr[1:]] - sums[user_items.indptr[:-1]])


def _mix(values: np.ndarray) -> np.ndarray:
    """Hash 64-bit integers (the finaliser of SplitMix64: Steele, Lea, Flood, OOPSLA 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
