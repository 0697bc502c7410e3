"""The sparse user-item matrix: float32 ones where there is a positive, in canonical form."""

import numpy as np
from scipy.sparse import csr_matrix, spmatrix

from sdrm_core.data.interactions import IndexedLog
from sdrm_core.errors import DataError, Problem


def to_user_items(log: IndexedLog) -> csr_matrix:
    """Return the (n_users, n_items) canonical matrix of the log's positives; ratings below the threshold are absent."""
    user, item = log.user[log.positive], log.item[log.positive]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=log.n_users))])
    ones = np.ones(len(item), dtype=np.float32)
    return _flagged(csr_matrix((ones, item, indptr), shape=(log.n_users, log.n_items)))


def canonical(matrix: spmatrix) -> csr_matrix:
    """Return a binary copy in canonical form: float32 ones, sorted columns, no duplicates, no stored zeros.

    Args:
        matrix: (n_users, n_items), any sparse format; duplicates add up, and what is above zero is a positive.

    Raises:
        DataError: a value is NaN, infinite or negative: no reading of it as a positive is safe.
    """
    rows = csr_matrix(matrix, copy=True)
    bad = ~np.isfinite(rows.data) | (rows.data < 0)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        user = int(np.searchsorted(rows.indptr, first, side="right")) - 1
        raise DataError(
            Problem(
                where="user-item matrix",
                what=f"{int(bad.sum()):,} values are NaN, infinite or negative",
                example=f"row {user}, column {rows.indices[first]}: {rows.data[first]}",
                remedy="A cell is a positive (above 0) or absent; drop the others before.",
            )
        )
    rows.sum_duplicates()
    rows.eliminate_zeros()
    ones = np.ones(rows.nnz, dtype=np.float32)
    return _flagged(csr_matrix((ones, rows.indices, rows.indptr), shape=rows.shape))


def _flagged(rows: csr_matrix) -> csr_matrix:
    """Say what is known of the columns, so that SciPy need not look again."""
    rows.has_sorted_indices = True
    rows.has_canonical_format = True
    return rows
