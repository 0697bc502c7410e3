"""EASE, a linear item-to-item recommender in closed form. A strict judge: it uses fine item-item structure."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from sdrm_core.closed_form import ease_weights, item_gram
from sdrm_core.errors import DataError, Problem

MAX_ITEMS = 20_000  # choosing a penalty takes up to 20 bytes per cell of items × items: 8 GB


@dataclass(frozen=True)
class EaseJudge:
    """Scores an item by a weighted sum over the user's other items.

    Attributes:
        item_weights: (n_items, n_items) float32, zero diagonal; column j predicts item j.
    """

    item_weights: np.ndarray

    def score(self, inputs: csr_matrix) -> np.ndarray:
        """Return x B."""
        scores: np.ndarray = inputs @ self.item_weights
        return scores


def fit_ease(gram: np.ndarray, *, penalty: float) -> EaseJudge:
    """Minimise ‖X − X B‖² + λ ‖B‖² over B with a zero diagonal, in double precision; see ``ease_weights``.

    Args:
        gram: XᵀX from ``learn_gram``; not changed, so it can be reused for other penalties.
        penalty: λ > 0; in units of users.
    """
    return EaseJudge(ease_weights(gram.astype(np.float64), penalty=penalty))


def learn_gram(user_items: csr_matrix, *, user_weights: np.ndarray | None = None) -> np.ndarray:
    """Return the (n_items, n_items) matrix XᵀX, all that EASE needs of the users.

    Args:
        user_items: X, (n_users, n_items) binary, canonical.
        user_weights: (n_users,) weight of each user's squared error; None: 1 each.

    Returns:
        Float64; without weights float32, which is exact for counts of users.

    Raises:
        DataError: the catalogue is too large for a dense items × items matrix.
    """
    require_few_items(user_items.shape[1])
    if user_weights is None:
        return item_gram(user_items, dtype=np.float32)
    return item_gram(csr_matrix(diags_array(np.sqrt(user_weights)) @ user_items), dtype=np.float64)


def require_few_items(n_items: int) -> None:
    """Raise an error if the catalogue is too large for EASE's memory.

    Raises:
        DataError: there are more than ``MAX_ITEMS`` items.
    """
    if n_items > MAX_ITEMS:
        what = f"EASE needs memory for items × items; there are {n_items} items, at most {MAX_ITEMS} are possible"
        raise DataError(Problem("the catalogue", what, "Leave 'ease' out of the judges"))
