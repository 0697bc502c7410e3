"""The sparse user-item matrix: float32 ones where there is a positive, in canonical form."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.interactions import IndexedLog


def to_user_items(log: IndexedLog) -> csr_matrix:
    """Return the (n_users, n_items) canonical matrix of the log's positives; ratings below the threshold are absent."""
    counts = np.bincount(log.user[log.positive], minlength=log.n_users)
    return binary_matrix(log.item[log.positive], counts, n_items=log.n_items)


def binary_matrix(columns: np.ndarray, counts: np.ndarray, *, n_items: int) -> csr_matrix:
    """Return the canonical (n_users, n_items) matrix of ``counts`` items a user, one user's after another's."""
    indptr = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(len(columns), dtype=np.float32)
    user_items = csr_matrix((ones, columns, indptr), shape=(len(counts), n_items))
    user_items.sort_indices()
    return user_items


def item_popularity(user_items: csr_matrix) -> np.ndarray:
    """Return (n_items,) numbers of users an item has."""
    popularity: np.ndarray = np.bincount(user_items.indices, minlength=user_items.shape[1])
    return popularity


def cell_rows(user_items: csr_matrix) -> np.ndarray:
    """Return (nnz,) the row of each stored cell."""
    return np.repeat(np.arange(user_items.shape[0]), np.diff(user_items.indptr))


def rank_within_users(user_items: csr_matrix, priority: np.ndarray) -> np.ndarray:
    """Return (nnz,) the place, from 0, of each stored cell among its user's by ``priority`` (nnz,), lowest first."""
    users = cell_rows(user_items)
    rank = np.empty(len(users), dtype=np.int64)
    rank[np.lexsort((priority, users))] = np.arange(len(users)) - user_items.indptr[users]
    return rank


class Fold(NamedTuple):
    """One division of each user's items; the two parts are disjoint and together are the user.

    Attributes:
        inputs: (n_users, n_items), what a model is shown.
        targets: (n_users, n_items), what it has to find; at least one item a user.
    """

    inputs: csr_matrix
    targets: csr_matrix


def split_items(user_items: csr_matrix, priority: np.ndarray, *, input_share: float) -> Fold:
    """Divide each user's items: those of the lowest ``priority`` (nnz,) are input, at least one goes to each side.

    Args:
        user_items: (n_users, n_items) binary, canonical, at least two items a row.
        priority: (nnz,) of each stored cell.
        input_share: share of a user's items that is input, rounded to whole items.
    """
    counts = np.diff(user_items.indptr)
    n_inputs = np.clip(np.floor(input_share * counts + 0.5), 1, counts - 1)
    is_input = rank_within_users(user_items, priority) < n_inputs[cell_rows(user_items)]
    return Fold(keep_cells(user_items, is_input), keep_cells(user_items, ~is_input))


def keep_cells(user_items: csr_matrix, is_kept: np.ndarray) -> csr_matrix:
    """Return the same users and items with the stored cells that are kept, (nnz,) bool."""
    indptr = np.concatenate([[0], np.cumsum(is_kept)])[user_items.indptr]
    return csr_matrix((user_items.data[is_kept], user_items.indices[is_kept], indptr), shape=user_items.shape)


def keep_items(user_items: csr_matrix, is_kept: np.ndarray) -> csr_matrix:
    """Return the same users and columns without the interactions with other items, (n_items,) bool."""
    return keep_cells(user_items, is_kept[user_items.indices])
