"""Judges: recommenders trained on one data set only; their ranking quality for real users rates the data set."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import svds

from sdrm_core.randomness import numpy_stream

SVD_COMPONENTS = 20


class Judge(Protocol):
    """A fitted recommender."""

    def score(self, inputs: csr_matrix) -> np.ndarray:
        """Return new (n_users, n_items) scores, higher is better; of the users only ``inputs`` is known."""


@dataclass(frozen=True)
class PopularityJudge:
    """Recommends the most popular items to every user.

    Attributes:
        popularity: (n_items,) float32, weighted number of users.
    """

    popularity: np.ndarray

    def score(self, inputs: csr_matrix) -> np.ndarray:
        """Return the same scores for every user."""
        return np.tile(self.popularity, (inputs.shape[0], 1))


@dataclass(frozen=True)
class SvdJudge:
    """Projects a user on the leading right singular vectors of the data (PureSVD).

    Source: Cremonesi, Koren, Turrin, RecSys 2010, eq. 5.

    Attributes:
        item_factors: (n_items, ≤ 20) float32, orthonormal columns.
    """

    item_factors: np.ndarray

    def score(self, inputs: csr_matrix) -> np.ndarray:
        """Return x V Vᵀ."""
        user_factors: np.ndarray = inputs @ self.item_factors
        scores: np.ndarray = user_factors @ self.item_factors.T
        return scores


def fit_popularity(user_items: csr_matrix, *, user_weights: np.ndarray | None = None) -> PopularityJudge:
    """Count each item's users.

    Args:
        user_items: (n_users, n_items) binary, canonical.
        user_weights: (n_users,) weight of each user; None: 1 each.
    """
    weights = np.ones(user_items.shape[0]) if user_weights is None else user_weights
    return PopularityJudge((user_items.T @ weights).astype(np.float32))


def fit_svd(user_items: csr_matrix, *, seed: int, user_weights: np.ndarray | None = None) -> SvdJudge:
    """Compute the leading right singular vectors by Lanczos iteration to machine precision.

    Args:
        user_items: (n_users, n_items) binary, canonical.
        seed: seed of the initial vector. Up to rounding the result does not depend on it, unless the last singular
            value kept equals the first one dropped.
        user_weights: (n_users,) weight of each user's squared error; None: 1 each.
    """
    weighted = user_items.astype(np.float64)
    if user_weights is not None:
        weighted = diags_array(np.sqrt(user_weights)) @ weighted
    components = min(SVD_COMPONENTS, min(weighted.shape) - 1)
    if components < 1 or not weighted.nnz:
        return SvdJudge(np.ones((weighted.shape[1], 1), dtype=np.float32))
    start = numpy_stream(seed, "svd-start").standard_normal(min(weighted.shape))
    _, singular_values, item_factors = svds(weighted, k=components, v0=start)
    is_real = singular_values > 1e-7 * singular_values.max()  # singular vectors of value 0 are arbitrary
    return SvdJudge(item_factors[is_real].T.astype(np.float32))
