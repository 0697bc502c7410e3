"""Recommenders that judge a data set by how well they rank for real users after learning from it alone."""

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
        """Return fresh (n_users, n_items) scores, higher is better, for users known by ``inputs`` alone."""


@dataclass(frozen=True)
class PopularityJudge:
    """Recommends what most users have, to everyone.

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
        user_weights: (n_users,) how much each user counts; None: 1 each.
    """
    weights = np.ones(user_items.shape[0]) if user_weights is None else user_weights
    return PopularityJudge((user_items.T @ weights).astype(np.float32))


def fit_svd(user_items: csr_matrix, *, seed: int, user_weights: np.ndarray | None = None) -> SvdJudge:
    """Find the leading right singular vectors by Lanczos iteration to machine precision.

    Args:
        user_items: (n_users, n_items) binary, canonical.
        seed: seed of the starting vector; the result does not depend on it beyond rounding, unless the last
            singular value kept equals the first one left out.
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
    is_real = singular_values > 1e-7 * singular_values.max()  # a null space has no preferred directions
    return SvdJudge(item_factors[is_real].T.astype(np.float32))
