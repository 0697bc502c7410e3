"""The closed-form solution of EASE, a linear recommender.

The utility judge and the completion attack both use it, each with its own floating-point precision.
"""

import numpy as np
from scipy.linalg import inv
from scipy.sparse import csr_matrix

_BLOCK_CELLS = 1 << 20  # per block: a sparse product takes up to 12 more bytes per cell of the Gram matrix


def item_gram(user_items: csr_matrix, *, dtype: type[np.floating]) -> np.ndarray:
    """Return the dense (n_items, n_items) XᵀX in Fortran order, computed one block of items at a time.

    Args:
        user_items: X, (n_users, n_items).
        dtype: type of the sums and of the result; float32 counts exactly up to 2²⁴ binary users.
    """
    user_items = user_items.astype(dtype, copy=False)
    columns, n_items = user_items.tocsc(), user_items.shape[1]
    gram = np.empty((n_items, n_items), dtype=dtype, order="F")
    step = max(1, _BLOCK_CELLS // max(1, n_items))
    for first in range(0, n_items, step):
        block = slice(first, first + step)
        (user_items.T @ columns[:, block]).toarray(out=gram[:, block])
    return gram


def ease_weights(gram: np.ndarray, *, penalty: float) -> np.ndarray:
    """Minimise ‖X − X B‖² + λ ‖B‖² over B with a zero diagonal: B = I − P / diag(P), P = (XᵀX + λ I)⁻¹.

    Args:
        gram: XᵀX, (n_items, n_items), Fortran order; it is overwritten. Its dtype is that of the computation.
        penalty: λ > 0, in units of users.

    Returns:
        B, (n_items, n_items) float32; column j predicts item j.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, eqs. 6 and 8.
    """
    gram[np.diag_indices_from(gram)] += penalty
    weights = inv(gram, overwrite_a=True, check_finite=False, assume_a="pos")
    weights /= -weights.diagonal().copy()  # column by column
    np.fill_diagonal(weights, 0)
    return np.ascontiguousarray(weights, dtype=np.float32)  # SciPy copies any other order at each product
