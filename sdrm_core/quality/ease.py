"""EASE, a linear item-to-item recommender in closed form: a strict judge, it sees fine item-item structure."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import inv
from scipy.sparse import csr_matrix, diags_array

from sdrm_core.errors import DataError, Problem

MAX_ITEMS = 20_000  # a dense float64 matrix of items × items: 3.2 GB


@dataclass(frozen=True)
class EaseJudge:
    """Scores an item by a weighted sum of the user's other items.

    Attributes:
        item_weights: (n_items, n_items) float32, zero diagonal; column j predicts item j.
    """

    item_weights: np.ndarray

    def score(self, inputs: csr_matrix) -> np.ndarray:
        """Return x B."""
        scores: np.ndarray = inputs @ self.item_weights
        return scores


def fit_ease(user_items: csr_matrix, *, penalty: float, user_weights: np.ndarray | None = None) -> EaseJudge:
    """Minimise ‖X − X B‖² + λ ‖B‖² over B with a zero diagonal: B = I − P / diag(P), P = (XᵀX + λ I)⁻¹.

    Args:
        user_items: (n_users, n_items) binary, canonical.
        penalty: λ > 0; in units of users.
        user_weights: (n_users,) weight of each user's squared error; None: 1 each.

    Raises:
        DataError: the catalogue is too large for a dense matrix of items by items.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, eqs. 6 and 8.
    """
    require_few_items(user_items.shape[1])
    gram = _regularised_gram(user_items, penalty, user_weights)
    item_weights = inv(gram, overwrite_a=True, check_finite=False, assume_a="pos")
    item_weights /= -item_weights.diagonal().copy()  # column by column
    np.fill_diagonal(item_weights, 0)
    return EaseJudge(item_weights.astype(np.float32, order="C"))  # SciPy copies any other at each product


def require_few_items(n_items: int) -> None:
    """Refuse a catalogue that EASE has no memory for.

    Raises:
        DataError: there are more than ``MAX_ITEMS``.
    """
    if n_items > MAX_ITEMS:
        what = f"EASE needs memory for items × items; there are {n_items} items, at most {MAX_ITEMS} are possible"
        raise DataError(Problem("the catalogue", what, "Leave 'ease' out of the judges"))


def _regularised_gram(user_items: csr_matrix, penalty: float, user_weights: np.ndarray | None) -> np.ndarray:
    weighted = user_items.astype(np.float64)
    if user_weights is not None:
        weighted = csr_matrix(diags_array(np.sqrt(user_weights)) @ weighted)
    gram: np.ndarray = (weighted.T @ weighted).toarray(order="F")
    gram[np.diag_indices_from(gram)] += penalty
    return gram
