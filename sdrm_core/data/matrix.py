"""The sparse user-item matrix: float32 ones where there is a positive, in canonical form."""

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix

from sdrm_core.data.interactions import IndexedLog
from sdrm_core.errors import DataError, Problem


def to_user_items(log: IndexedLog) -> csr_matrix:
    """Return the (n_users, n_items) canonical matrix of the log's positives; ratings below the threshold are absent."""
    user, item = log.user[log.positive], log.item[log.positive]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=log.n_users))])
    ones = np.ones(len(item), dtype=np.float32)
    return _flagged(csr_matrix((ones, item, indptr), shape=(log.n_users, log.n_items)))


def canonical(matrix: csr_matrix | csc_matrix | coo_matrix) -> csr_matrix:
    """Return a binary copy in canonical form: float32 ones, sorted columns, no duplicates, no stored zeros.

    Args:
        matrix: (n_users, n_items); a cell is a positive if a value above zero is stored for it, once or often.

    Raises:
        DataError: a value is NaN, infinite or negative: no reading of it as a positive is safe.
    """
    cells: coo_matrix = matrix.tocoo()
    is_bad = ~np.isfinite(cells.data) | (cells.data < 0)
    if is_bad.any():
        first = int(np.argmax(is_bad))
        raise DataError(
            Problem(
                where="user-item matrix",
                what=f"a value that is NaN, infinite or negative in {int(is_bad.sum()):,} cells",
                example=f"row {cells.row[first]}, column {cells.col[first]}: {cells.data[first]}",
                remedy="A cell is a positive (above 0) or absent; drop all others before.",
            )
        )
    keep = cells.data > 0
    ones = np.ones(int(keep.sum()), dtype=np.float32)
    rows: csr_matrix = coo_matrix((ones, (cells.row[keep], cells.col[keep])), shape=cells.shape).tocsr()
    rows.data[:] = 1  # duplicates were added up
    return _flagged(rows)


def _flagged(rows: csr_matrix) -> csr_matrix:
    """Say what is known of the columns, so that SciPy need not look again."""
    rows.has_sorted_indices = True
    rows.has_canonical_format = True
    return rows


def item_popularity(user_items: csr_matrix) -> np.ndarray:
    """Return (n_items,) numbers of users an item has."""
    popularity: np.ndarray = np.bincount(user_items.indices, minlength=user_items.shape[1])
    return popularity


def rank_within_users(user_items: csr_matrix, priority: np.ndarray) -> np.ndarray:
    """Return (nnz,) the place, from 0, of each stored cell among its user's by ``priority`` (nnz,), lowest first."""
    users = np.repeat(np.arange(user_items.shape[0]), np.diff(user_items.indptr))
    rank = np.empty(len(users), dtype=np.int64)
    rank[np.lexsort((priority, users))] = np.arange(len(users)) - user_items.indptr[users]
    return rank


def keep_cells(user_items: csr_matrix, is_kept: np.ndarray) -> csr_matrix:
    """Return the same users and items with the stored cells that are kept, (nnz,) bool."""
    indptr = np.concatenate([[0], np.cumsum(is_kept)])[user_items.indptr]
    return csr_matrix((user_items.data[is_kept], user_items.indices[is_kept], indptr), shape=user_items.shape)
