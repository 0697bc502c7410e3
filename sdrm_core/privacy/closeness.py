"""Test whether synthetic users are closer to training users than to held-out users."""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice

import numpy as np

from sdrm_core.loops import usable_cores
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.kernels import share_closer
from sdrm_core.privacy.similarity import Neighbours
from sdrm_core.privacy.statistics import CONFIDENCE, Estimate, adjusted

PERMUTATIONS = 499
_ROUNDING = 1e-12  # error of the least squares: a permutation that ties with the true labels counts as extreme
_AT_ONCE = 50  # permutations held in memory; all 500 for a million users would take half a gigabyte


def measure_closeness(evidence: Evidence, draw: np.random.Generator) -> tuple[Estimate, float]:
    """Estimate P(nearest of T' is nearer than nearest of H) + ½ P(equally near) over the synthetic users.

    T are the training users, H the held-out users, T' a random subset of T of H's size; the average over all such
    subsets is computed exactly. The null distribution permutes the labels of T and H and keeps the neighbours. Two
    control variates measure how central the held-out users happen to be: the same share over the real users themselves,
    and the held-out users' mean covariates (``taste``). What they explain is subtracted. The test stays exact, and its
    noise is halved.

    Returns:
        The estimate, and the share among real users (the baseline).
    """
    people, is_holdout = evidence.people, ~evidence.people.is_train
    miss = _miss_chances(int(people.is_train.sum()), people.n_holdout, evidence.synthetic_to_real.index.shape[1])

    def shares_and_taste(labels: np.ndarray) -> np.ndarray:
        shares = (_share(found, labels, miss) for found in (evidence.synthetic_to_real, people.complete_to_complete))
        return np.array([*shares, *people.taste[labels].mean(axis=0)])

    labelings = chain([is_holdout], (draw.permutation(is_holdout) for _ in range(PERMUTATIONS)))
    rows: list[np.ndarray] = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        while some := list(islice(labelings, _AT_ONCE)):
            rows.extend(pool.map(shares_and_taste, some))
    found = np.array(rows)
    # The fit includes the true labels: they must be treated exactly like each permutation.
    excess = adjusted(found[:, 0], found[:, 1:]) - found[:, 0].mean()
    effect, spread = 0.5 + float(excess[0]), excess[1:]
    low, high = np.quantile(spread - spread.mean(), [1 - CONFIDENCE, CONFIDENCE])
    p_value = float(np.mean(excess >= excess[0] - _ROUNDING))
    return Estimate(effect, effect - float(high), effect - float(low), p_value), float(found[0, 1])


def _share(neighbours: Neighbours, is_holdout: np.ndarray, miss: np.ndarray) -> float:
    return float(share_closer(neighbours.index, neighbours.similarity, is_holdout, miss))


def _miss_chances(n_train: int, n_holdout: int, k: int) -> np.ndarray:
    """(k + 1,) chance that a random ``n_holdout`` of ``n_train`` users contain none of the first 0, 1, … k."""
    left = n_train - np.arange(k)
    factors = np.clip((left - n_holdout) / np.maximum(left, 1), 0, 1)
    return np.concatenate([[1.0], np.cumprod(factors)])
