"""Are synthetic users closer to the people trained on than to people never seen?"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.kernels import share_closer
from sdrm_core.privacy.similarity import Neighbours
from sdrm_core.privacy.statistics import CONFIDENCE, Estimate

PERMUTATIONS = 499


def measure_closeness(evidence: Evidence, draw: np.random.Generator) -> tuple[Estimate, float]:
    """Estimate P(nearest of T' is nearer than nearest of H) + ½ P(equally near) over the synthetic users.

    T' is a random training subset of H's size; the average over all such subsets is taken exactly. Null distribution:
    the labels of T and H permuted, neighbours kept. The same share over the real users themselves tells how central
    the held-out users happen to be; what it explains of the null is subtracted (a control variate), which keeps the
    test exact and halves its noise.

    Returns:
        The estimate, and the share among real users: the baseline.
    """
    is_holdout = ~evidence.is_train
    miss = _miss_chances(int(evidence.is_train.sum()), int(is_holdout.sum()), evidence.synthetic_to_real.index.shape[1])

    def shares(labels: np.ndarray) -> tuple[float, float]:
        return _share(evidence.synthetic_to_real, labels, miss), _share(evidence.real_to_real, labels, miss)

    with ThreadPoolExecutor() as pool:
        null = np.array(list(pool.map(shares, (draw.permutation(is_holdout) for _ in range(PERMUTATIONS)))))
    synthetic, real = shares(is_holdout)
    covariance = np.cov(null.T)
    slope = covariance[0, 1] / covariance[1, 1] if covariance[1, 1] > 0 else 0.0
    excess = synthetic - slope * real
    spread = null[:, 0] - slope * null[:, 1]
    effect = 0.5 + excess - float(spread.mean())
    p_value = (1 + int((spread >= excess).sum())) / (1 + PERMUTATIONS)
    low, high = np.quantile(spread - spread.mean(), [1 - CONFIDENCE, CONFIDENCE])
    return Estimate(effect, effect - float(high), effect - float(low), p_value), real


def _share(neighbours: Neighbours, is_holdout: np.ndarray, miss: np.ndarray) -> float:
    return float(share_closer(neighbours.index, neighbours.similarity, is_holdout, miss))


def _miss_chances(n_train: int, n_holdout: int, k: int) -> np.ndarray:
    """(k + 1,) chance that a random ``n_holdout`` of ``n_train`` users holds none of the first 0, 1, … k."""
    left = n_train - np.arange(k)
    factors = np.clip((left - n_holdout) / np.maximum(left, 1), 0, 1)
    return np.concatenate([[1.0], np.cumprod(factors)])
