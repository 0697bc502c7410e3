"""Some users of many: a random part of them, and batches of all in random order."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix


def some_users(user_items: csr_matrix, n_users: int, *, draw: np.random.Generator) -> csr_matrix:
    """Return ``n_users`` random users in the given order; all of them, and nothing is drawn, if there are no more."""
    if user_items.shape[0] <= n_users:
        return user_items
    return user_items[np.sort(draw.choice(user_items.shape[0], n_users, replace=False))]


def batches(n_users: int, *, batch_users: int, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield rows of ``batch_users`` users, in a pass's last batch fewer; pass after pass, each in a new order."""
    while True:
        order = draw.permutation(n_users)
        for start in range(0, n_users, batch_users):
            yield order[start : start + batch_users]
