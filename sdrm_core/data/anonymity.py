"""What may be published of the training users: no item, and no number of items, of fewer than k of them."""

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.matrix import item_popularity
from sdrm_core.errors import DataError, Problem


def is_publishable(train: csr_matrix, *, k_anonymity: int) -> np.ndarray:
    """Return (n_items,) bool: whether at least ``k_anonymity`` training users (n_train, n_items) have the item."""
    publishable: np.ndarray = item_popularity(train) >= k_anonymity
    return publishable


def publishable_items(popularity: np.ndarray, *, k_anonymity: int) -> np.ndarray:
    """Return the columns, ascending, of items that at least ``k_anonymity`` training users have.

    Args:
        popularity: (n_items,) training users an item has.
        k_anonymity: users it must have.

    Raises:
        DataError: there is none.
    """
    publishable = np.flatnonzero(popularity >= k_anonymity)
    if not len(publishable):
        what = f"asks for {k_anonymity} training users an item, the most popular has {int(popularity.max(initial=0))}"
        raise DataError(Problem("privacy.k_anonymity", what, "Lower it, or use more data"))
    return publishable


def shared_activity(counts: np.ndarray, *, k_anonymity: int) -> int:
    """Return the largest number of items that ``k_anonymity`` users, or all if there are fewer, reach.

    Args:
        counts: (n_users,) items per user.
        k_anonymity: users that must have at least as many.
    """
    k = min(k_anonymity, len(counts))
    return int(np.partition(counts, -k)[-k])


def publishable_activity(counts: np.ndarray, *, k_anonymity: int, n_publishable: int) -> np.ndarray:
    """Return the numbers of items that synthetic users may have, ascending: those of the training users, cut.

    The counts are capped at the number of publishable items, and at what ``k_anonymity`` training users reach: the
    count of the most active user would identify that user.

    Args:
        counts: (n_train_users,) items per training user.
        k_anonymity: training users that must have at least the largest count.
        n_publishable: items that may be published.
    """
    most = min(shared_activity(counts, k_anonymity=k_anonymity), n_publishable)
    return np.minimum(np.sort(counts).astype(np.int64), most)
