"""Exposure of rare combinations: pairs of items that hardly anybody has together betray who has them."""

import numpy as np
from scipy.sparse import csr_matrix, triu

from sdrm_core.privacy import kernels
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.statistics import Estimate, adjusted, difference

_MAX_PAIRS = 3e8  # user-item-item triples: a random subset of users beyond that


def measure_rare_pairs(evidence: Evidence, *, k_anonymity: int, draw: np.random.Generator) -> tuple[Estimate, int]:
    """Estimate the odds that a training user's rarest pairs are exposed, over those of a held-out user.

    A user's rarest pairs are those that the fewest real users have together, if fewer than ``k_anonymity``; exposed
    means that a synthetic user has both items. Each user counts once, with the share of these pairs that is exposed,
    less what the popularity of the single items in the release explains: it is the combination that betrays.
    Odds, not a plain ratio: where half the pairs are exposed by chance, a ratio could not grow.

    Returns:
        The odds ratio, and the number of users that have such pairs.
    """
    rows = _within_budget(evidence.complete, draw)
    users, is_train = evidence.real[rows], evidence.is_train[rows]
    complete = evidence.complete[rows]
    together = triu(complete.T @ complete, k=1).tocsr()
    together.data[together.data >= k_anonymity] = 0
    together.eliminate_zeros()
    exposed, chance = _exposure(together, evidence.synthetic)
    n_pairs, n_exposed, n_chance = _rarest_tier(users, together, exposed, chance)
    has_any = n_pairs > 0
    share, by_chance = n_exposed[has_any] / n_pairs[has_any], n_chance[has_any] / n_pairs[has_any]
    covariates = np.column_stack([by_chance, 1 / n_pairs[has_any], 1 / np.sqrt(n_pairs[has_any])])
    return _odds_ratio(adjusted(share, covariates), is_train[has_any]), int(has_any.sum())


def _within_budget(users: csr_matrix, draw: np.random.Generator) -> np.ndarray:
    cost = np.cumsum(np.diff(users.indptr).astype(float)[order := draw.permutation(users.shape[0])] ** 2)
    return order[: int(np.searchsorted(cost, _MAX_PAIRS, side="right"))]


def _exposure(together: csr_matrix, synthetic: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """For each stored pair: 1 if a synthetic user has it, and the chance of that were its two items independent."""
    first = np.repeat(np.arange(together.shape[0]), np.diff(together.indptr))
    synthetic_together = (synthetic.T @ synthetic).tocsr()
    exposed = (np.asarray(synthetic_together[first, together.indices]).ravel() > 0).astype(np.float64)
    holders = np.bincount(synthetic.indices, minlength=synthetic.shape[1])
    return exposed, -np.expm1(-holders[first] * holders[together.indices] / synthetic.shape[0])


def _rarest_tier(users: csr_matrix, together: csr_matrix, exposed: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """(3, n_users): number of the user's rarest pairs, how many are exposed, and how many would be by chance."""
    holders = np.rint(together.data).astype(np.int64)
    counts = np.unique(holders)
    per_count = [(holders == count) * values for count in counts for values in (1.0, exposed, chance)]
    weights = np.column_stack(per_count) if per_count else np.zeros((0, 3))
    sums = np.zeros((users.shape[0], weights.shape[1]))
    kernels.pair_sums(users.indptr, users.indices, together.indptr, together.indices, weights, sums)
    tiers = sums.reshape(users.shape[0], -1, 3)
    rarest = np.argmax(tiers[:, :, 0] > 0, axis=1)
    tier: np.ndarray = tiers[np.arange(users.shape[0]), rarest].T
    return tier


def _odds_ratio(shares: np.ndarray, is_train: np.ndarray) -> Estimate:
    """Turn the difference of two mean shares into a ratio of odds, its interval by the delta method on the log."""
    gap = difference(shares, is_train)
    train, holdout = (np.clip(shares[role].mean(), 1e-6, 1 - 1e-6) for role in (is_train, ~is_train))
    pooled = np.clip(shares.mean(), 1e-6, 1 - 1e-6)
    log_ratio = float(np.log(train / (1 - train)) - np.log(holdout / (1 - holdout)))
    on_log = Estimate.normal(log_ratio, standard_error=gap.standard_error / (pooled * (1 - pooled)))
    effect, lower, upper = np.exp([on_log.effect, on_log.lower, on_log.upper]).tolist()
    return Estimate(effect, lower, upper, gap.p_value)
