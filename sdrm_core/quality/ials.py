"""iALS, matrix factorisation of implicit feedback with confidence weights: the other strict judge."""

from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from sdrm_core.randomness import numpy_stream, stream_seed
from sdrm_core.threads import one_blas_thread

FACTORS = 64
_ITERATIONS = 15


@dataclass(frozen=True)
class IalsJudge:
    """Solves for a user's factors given its items, and scores by their products with the items' factors.

    Attributes:
        model: the fitted factorisation.
        confidence: weight of an interaction beyond that of its absence.
    """

    model: AlternatingLeastSquares
    confidence: float

    def score(self, inputs: csr_matrix) -> np.ndarray:
        """Return x yᵀ with x solved for each row of ``inputs``."""
        confidences = inputs * np.float32(1 + self.confidence)
        with one_blas_thread():  # the solver brings its own threads
            user_factors = self.model.recalculate_user(np.arange(inputs.shape[0]), confidences)
        scores: np.ndarray = user_factors @ self.model.item_factors.T
        return scores


def fit_ials(
    user_items: csr_matrix, *, confidence: float, penalty: float, seed: int, user_weights: np.ndarray | None = None
) -> IalsJudge:
    """Alternate least squares between users and items: an interaction counts 1 + ``confidence``, its absence 1.

    Args:
        user_items: (n_users, n_items) binary, canonical.
        confidence: α > 0, the weight of an interaction beyond that of its absence.
        penalty: λ ≥ 0 on the squared factors.
        seed: seed of the starting factors.
        user_weights: (n_users,) how many times each user is there, in the mean: the library weighs interactions, not
            users, so each is there as often as a random rounding of its weight says; None: 1 each.

    Source: Hu, Koren, Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008.
    """
    if user_weights is not None:
        times = np.floor(user_weights + numpy_stream(seed, "ials-users").random(len(user_weights)))
        user_items = user_items[np.repeat(np.arange(len(times)), times.astype(np.int64))]
    confidences = user_items * np.float32(1 + confidence)
    with one_blas_thread():
        model = AlternatingLeastSquares(
            factors=FACTORS,
            regularization=penalty,
            iterations=_ITERATIONS,
            random_state=stream_seed(seed, "ials-start") % (1 << 32),
        )
        model.fit(confidences, show_progress=False)
    return IalsJudge(model, confidence=confidence)
