"""The sparse user-item matrix: a float32 one for each positive pair. Canonical: the columns of each row are sorted."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.interactions import IndexedLog


def to_user_items(log: IndexedLog) -> csr_matrix:
    """Return the canonical (n_users, n_items) matrix of the positive pairs, without ratings below the threshold."""
    counts = np.bincount(log.user[log.positive], minlength=log.n_users)
    return binary_matrix(log.item[log.positive], counts, n_items=log.n_items)


def binary_matrix(columns: np.ndarray, counts: np.ndarray, *, n_items: int) -> csr_matrix:
    """Return the canonical (n_users, n_items) matrix.

    columns: the items of the first user, then those of the second user, and so on.
    counts: (n_users,) number of items of each user.
    """
    indptr = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(len(columns), dtype=np.float32)
    user_items = csr_matrix((ones, columns, indptr), shape=(len(counts), n_items))
    user_items.sort_indices()
    return user_items


def item_popularity(user_items: csr_matrix) -> np.ndarray:
    """Return (n_items,) the number of users who have each item."""
    popularity: np.ndarray = np.bincount(user_items.indices, minlength=user_items.shape[1])
    return popularity


def cell_rows(user_items: csr_matrix) -> np.ndarray:
    """Return (nnz,) the row of each stored cell."""
    return np.repeat(np.arange(user_items.shape[0]), np.diff(user_items.indptr))


def rank_within_users(user_items: csr_matrix, priority: np.ndarray) -> np.ndarray:
    """Return (nnz,) the rank, from 0, of each stored cell among its user's cells, by ascending ``priority`` (nnz,)."""
    users = cell_rows(user_items)
    rank = np.empty(len(users), dtype=np.int64)
    rank[np.lexsort((priority, users))] = np.arange(len(users)) - user_items.indptr[users]
    return rank


class Fold(NamedTuple):
    """The items of each user, divided into two disjoint parts.

    Attributes:
        inputs: (n_users, n_items) items that a model sees.
        targets: (n_users, n_items) items that the model has to predict; at least one per user.
    """

    inputs: csr_matrix
    targets: csr_matrix


def split_items(user_items: csr_matrix, priority: np.ndarray, *, input_share: float) -> Fold:
    """Divide each user's items into inputs and targets, with at least one item in each part.

    Args:
        user_items: (n_users, n_items) binary, canonical, at least two items per row.
        priority: (nnz,) priority of each stored cell; the lowest of each user become inputs.
        input_share: share of a user's items that become inputs, rounded to whole items.
    """
    counts = np.diff(user_items.indptr)
    n_inputs = np.clip(np.floor(input_share * counts + 0.5), 1, counts - 1)
    is_input = rank_within_users(user_items, priority) < n_inputs[cell_rows(user_items)]
    return Fold(keep_cells(user_items, is_input), keep_cells(user_items, ~is_input))


def keep_cells(user_items: csr_matrix, is_kept: np.ndarray) -> csr_matrix:
    """Return a matrix of the same shape with only the stored cells for which ``is_kept`` (nnz,) is True."""
    indptr = np.concatenate([[0], np.cumsum(is_kept)])[user_items.indptr]
    return csr_matrix((user_items.data[is_kept], user_items.indices[is_kept], indptr), shape=user_items.shape)


def keep_items(user_items: csr_matrix, is_kept: np.ndarray) -> csr_matrix:
    """Return a matrix of the same shape with only the items for which ``is_kept`` (n_items,) is True."""
    return keep_cells(user_items, is_kept[user_items.indices])
