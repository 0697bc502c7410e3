"""iALS, matrix factorisation of implicit feedback with confidence weights: a second strict judge."""

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
    """Solves for a user's factors given the user's items; the score of an item is the product with its factors.

    Attributes:
        model: the fitted factorisation.
        confidence: weight of an interaction, in addition to the weight 1 of its absence.
    """

    model: AlternatingLeastSquares
    confidence: float

    def score(self, inputs: csr_matrix) -> np.ndarray:
        """Return x yᵀ, with the user factors x solved for each row of ``inputs``."""
        confidences = inputs * np.float32(1 + self.confidence)
        with one_blas_thread():  # the solver has its own threads
            user_factors = self.model.recalculate_user(np.arange(inputs.shape[0]), confidences)
        scores: np.ndarray = user_factors @ self.model.item_factors.T
        return scores


def fit_ials(
    user_items: csr_matrix, *, confidence: float, penalty: float, seed: int, user_weights: np.ndarray | None = None
) -> IalsJudge:
    """Fit by alternating least squares; an interaction has weight 1 + ``confidence``, its absence weight 1.

    Args:
        user_items: (n_users, n_items) binary, canonical.
        confidence: α > 0, the weight of an interaction, in addition to that of its absence.
        penalty: λ ≥ 0 on the squared factors.
        seed: seed of the initial factors.
        user_weights: (n_users,) how often each user is repeated, on average. The library cannot weight users, so each
            weight is randomly rounded to a number of repetitions. None: 1 each.

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
