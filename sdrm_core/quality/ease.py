"""EASE, a linear item-to-item recommender in closed form: a strict judge, it sees fine item-item structure."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from sdrm_core.closed_form import ease_weights, item_gram
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
    """Minimise ‖X − X B‖² + λ ‖B‖² over B with a zero diagonal, in double precision; see ``ease_weights``.

    Args:
        user_items: (n_users, n_items) binary, canonical.
        penalty: λ > 0; in units of users.
        user_weights: (n_users,) weight of each user's squared error; None: 1 each.

    Raises:
        DataError: the catalogue is too large for a dense matrix of items by items.
    """
    require_few_items(user_items.shape[1])
    if user_weights is not None:
        user_items = csr_matrix(diags_array(np.sqrt(user_weights)) @ user_items)
    return EaseJudge(ease_weights(item_gram(user_items, dtype=np.float64), penalty=penalty))


def require_few_items(n_items: int) -> None:
    """Refuse a catalogue that EASE has no memory for.

    Raises:
        DataError: there are more than ``MAX_ITEMS``.
    """
    if n_items > MAX_ITEMS:
        what = f"EASE needs memory for items × items; there are {n_items} items, at most {MAX_ITEMS} are possible"
        raise DataError(Problem("the catalogue", what, "Leave 'ease' out of the judges"))
