"""k-anonymity: an item is published only if k training users have it, a number of items only if k users reach it."""

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.matrix import item_popularity
from sdrm_core.errors import DataError, Problem


def is_publishable(train: csr_matrix, *, k_anonymity: int) -> np.ndarray:
    """Return (n_items,) bool: whether at least ``k_anonymity`` of the users in ``train`` have the item.

    train: (n_train, n_items) items of the training users.
    """
    publishable: np.ndarray = item_popularity(train) >= k_anonymity
    return publishable


def publishable_items(popularity: np.ndarray, *, k_anonymity: int) -> np.ndarray:
    """Return the columns, ascending, of items that at least ``k_anonymity`` training users have.

    Args:
        popularity: (n_items,) number of training users who have each item.
        k_anonymity: number of users who must have an item.

    Raises:
        DataError: no item has so many users.
    """
    publishable = np.flatnonzero(popularity >= k_anonymity)
    if not len(publishable):
        what = f"asks for {k_anonymity} training users an item, the most popular has {int(popularity.max(initial=0))}"
        raise DataError(Problem("privacy.k_anonymity", what, "Lower it, or use more data"))
    return publishable


def shared_activity(counts: np.ndarray, *, k_anonymity: int) -> int:
    """Return the largest number such that at least ``k_anonymity`` users have that many items or more.

    Args:
        counts: (n_users,) number of items of each user.
        k_anonymity: number of users; if there are fewer users, all of them.
    """
    k = min(k_anonymity, len(counts))
    return int(np.partition(counts, -k)[-k])


def publishable_activity(counts: np.ndarray, *, k_anonymity: int, n_publishable: int) -> np.ndarray:
    """Return (n_train_users,) the capped numbers of items of the training users, ascending; synthetic users use these.

    The cap is ``n_publishable``, or the result of ``shared_activity`` if that is smaller: the number of items of the
    most active user would identify that user.

    Args:
        counts: (n_train_users,) number of items of each training user.
        k_anonymity: number of training users who must reach the largest returned number.
        n_publishable: number of items that may be published.
    """
    most = min(shared_activity(counts, k_anonymity=k_anonymity), n_publishable)
    return np.minimum(np.sort(counts).astype(np.int64), most)
