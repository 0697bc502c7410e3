"""Choose some of the users at random, and divide all users into random batches."""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_matrix


def some_rows(n_rows: int, n_chosen: int, *, draw: np.random.Generator) -> np.ndarray:
    """Return ``n_chosen`` random row numbers below ``n_rows``, ascending; all of them if there are no more.

    In the latter case ``draw`` is not used.
    """
    if n_rows <= n_chosen:
        return np.arange(n_rows)
    return np.sort(draw.choice(n_rows, n_chosen, replace=False))


def some_users(user_items: csr_matrix, n_users: int, *, draw: np.random.Generator) -> csr_matrix:
    """Return ``n_users`` random rows of the matrix, in their order; all rows, without using ``draw``, if no more."""
    if user_items.shape[0] <= n_users:
        return user_items
    return user_items[some_rows(user_items.shape[0], n_users, draw=draw)]


def batches(n_users: int, *, batch_users: int, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the rows of ``batch_users`` users, without end. Each pass over all users has a new random order.

    The last batch of a pass may be smaller.
    """
    while True:
        order = draw.permutation(n_users)
        for start in range(0, n_users, batch_users):
            yield order[start : start + batch_users]
