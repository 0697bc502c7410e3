"""Exposure of rare combinations: pairs of items that hardly anybody has together betray who has them."""

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.cooccurrence import count_pairs, users_within
from sdrm_core.data.matrix import item_popularity
from sdrm_core.privacy import kernels
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.statistics import Estimate, adjusted_difference

_NOTHING_TO_EXPOSE = Estimate(1.0, 1.0, 1.0, 1.0)
_MOST = 10.0  # odds beyond that, or below one over it, are not told apart
_NOTHING_KNOWN = Estimate(1.0, 1 / _MOST, _MOST, 1.0)
_MAX_PAIRS = 1e8  # user-item-item triples: a random subset of users beyond that


def measure_rare_pairs(evidence: Evidence, *, k_anonymity: int, draw: np.random.Generator) -> tuple[Estimate, int]:
    """Estimate the odds that a training user's rarest pairs are exposed, over those of a held-out user.

    A user's rarest pairs are those that the fewest real users have together, if fewer than ``k_anonymity``; exposed
    means that a synthetic user has both items. Each user counts once, with the share of these pairs that is exposed,
    less what the popularity of the single items in the release explains: it is the combination that betrays.
    Odds, not a plain ratio: where half the pairs are exposed by chance, a ratio could not grow.

    Returns:
        The odds ratio, and the number of users that have such pairs: 1 for sure if no training user has any, anything
        if no held-out user has.
    """
    rows = users_within(evidence.complete, max_products=_MAX_PAIRS, draw=draw)
    users, is_train = evidence.real[rows], evidence.is_train[rows]
    n_pairs, n_exposed, n_chance = _rarest_pairs(
        users, evidence.complete[rows], evidence.synthetic, k_anonymity=k_anonymity
    )
    has_any = n_pairs > 0
    if not is_train[has_any].any():
        return _NOTHING_TO_EXPOSE, int(has_any.sum())
    if is_train[has_any].all():
        return _NOTHING_KNOWN, int(has_any.sum())
    share, by_chance = n_exposed[has_any] / n_pairs[has_any], n_chance[has_any] / n_pairs[has_any]
    covariates = np.column_stack([by_chance, 1 / n_pairs[has_any], 1 / np.sqrt(n_pairs[has_any])])
    gap = adjusted_difference(share, is_train[has_any], covariates)
    return _odds_ratio(gap, mean=share.mean(), share_train=is_train[has_any].mean()), int(has_any.sum())


def _rarest_pairs(users: csr_matrix, complete: csr_matrix, synthetic: csr_matrix, *, k_anonymity: int) -> np.ndarray:
    """(3, n_users): number of a user's rarest pairs, how many are exposed, and how many would be by chance."""
    pairs = count_pairs(complete, synthetic, below=k_anonymity)
    starts = np.searchsorted(pairs.first, np.arange(users.shape[1] + 1))
    sums = np.zeros((3, users.shape[0]))
    kernels.rarest_pairs(
        users.indptr,
        users.indices,
        starts,
        pairs.second,
        pairs.users,
        pairs.others > 0,
        item_popularity(synthetic),
        synthetic.shape[0],
        sums,
    )
    return sums


def _odds_ratio(gap: Estimate, *, mean: float, share_train: float) -> Estimate:
    """Turn the difference of two shares around a ``mean`` into a ratio of odds, its interval by the delta method."""
    train, holdout, pooled = np.clip(mean + np.array([1 - share_train, -share_train, 0]) * gap.effect, 1e-6, 1 - 1e-6)
    log_ratio = float(np.log(train / (1 - train)) - np.log(holdout / (1 - holdout)))
    on_log = Estimate.normal(log_ratio, standard_error=gap.standard_error / (pooled * (1 - pooled)))
    odds = np.array([on_log.effect, on_log.lower, on_log.upper])
    effect, lower, upper = np.exp(np.clip(odds, -np.log(_MOST), np.log(_MOST))).tolist()
    return Estimate(effect, lower, upper, gap.p_value)
