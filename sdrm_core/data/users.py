"""Some users of many: a random part of them, and batches of all in random order."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix


def some_rows(n_rows: int, n_chosen: int, *, draw: np.random.Generator) -> np.ndarray:
    """Return ``n_chosen`` random ones of ``n_rows`` rows, ascending; all, and nothing is drawn, if no more."""
    if n_rows <= n_chosen:
        return np.arange(n_rows)
    return np.sort(draw.choice(n_rows, n_chosen, replace=False))


def some_users(user_items: csr_matrix, n_users: int, *, draw: np.random.Generator) -> csr_matrix:
    """Return ``n_users`` random users in the given order; all of them, and nothing is drawn, if there are no more."""
    if user_items.shape[0] <= n_users:
        return user_items
    return user_items[some_rows(user_items.shape[0], n_users, draw=draw)]


def batches(n_users: int, *, batch_users: int, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield rows of ``batch_users`` users, in a pass's last batch fewer; pass after pass, each in a new order."""
    while True:
        order = draw.permutation(n_users)
        for start in range(0, n_users, batch_users):
            yield order[start : start + batch_users]
