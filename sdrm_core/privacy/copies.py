"""Copies of persons: synthetic users that equal, or nearly equal, one training user."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.statistics import Estimate, binomial_lower, binomial_upper, excess_p_value

MIN_SET_ITEMS = 5
NEAR_QUANTILE = 0.99
_ENOUGH_HOLDOUT_HITS = 5  # below that the contrast with held-out users has no usable variance


@dataclass(frozen=True)
class Copies:
    """How often synthetic users hit real ones, and the two tests of whether that is a leak.

    Attributes:
        share: copies of training users beyond chance, as a share of the synthetic users.
        p_versus_holdout: training users are hit no more often than held-out users (exact, whatever the generator).
        p_versus_real: synthetic users hit real ones no more often than real people hit one another.
        real_rate: share of real people that hit another one: the baseline.
        threshold: similarity from which a synthetic user counts as a hit.
    """

    share: Estimate
    p_versus_holdout: float
    p_versus_real: float
    real_rate: float
    threshold: float

    @property
    def confirmed(self) -> bool:
        """Whether the synthetic users hit real ones more often than people do, so that weaker proof is enough."""
        return self.p_versus_real < 0.01


def unique_copies(evidence: Evidence) -> Copies:
    """Measure synthetic users equal to a set of five items or more that exactly one real user holds.

    Popular sets, which many hold, betray nobody and are left out.
    """
    real_sets = [row if len(row) >= MIN_SET_ITEMS else () for row in _item_sets(evidence.published)]
    holders = Counter(real_sets)
    owner = {items: user for user, items in enumerate(real_sets) if items and holders[items] == 1}
    hits = np.array([owner.get(items, -1) for items in _item_sets(evidence.synthetic)])
    n_synthetic, n_real = len(hits), len(real_sets)
    n_twins = sum(2 for items, count in holders.items() if items and count == 2)
    struck = np.unique(hits[hits >= 0])
    hit_train = int(evidence.is_train[hits[hits >= 0]].sum())
    return Copies(
        share=_share(hit_train, n=n_synthetic),
        p_versus_holdout=_versus_holdout(struck, evidence.is_train),
        p_versus_real=excess_p_value(int((hits >= 0).sum()), n=n_synthetic, control_hits=n_twins, n_control=n_real),
        real_rate=n_twins / n_real,
        threshold=1.0,
    )


def near_copies(evidence: Evidence) -> Copies:
    """Measure synthetic users closer to a training user than all but 1 % of real people are to anyone.

    The threshold is the 99th percentile of the similarity between each real user and the nearest other one: it knows
    neither the synthetic users nor the roles.
    """
    threshold = float(np.quantile(evidence.real_to_real.closest, NEAR_QUANTILE))
    threshold = max(threshold, np.finfo(float).tiny)  # where most people share nothing, sharing nothing is no hit
    among, is_train = evidence.synthetic_to_real, evidence.is_train
    hit = among.similarity >= threshold
    hit_train, hit_holdout = (
        (hit & (is_train[among.index] == role) & (among.index >= 0)).any(axis=1) for role in (True, False)
    )
    struck = np.flatnonzero(evidence.real_to_synthetic.closest >= threshold)
    twins = evidence.real_to_real.closest >= threshold
    n_synthetic = len(hit)
    n_hits = int(hit[:, 0].sum())
    hits_per_user = np.bincount(among.index[hit], minlength=len(is_train))
    contrast = _contrast(int(hit_train.sum()), int(hit_holdout.sum()), hits_per_user, is_train, n=n_synthetic)
    plain = _share(int(hit_train.sum()), n=n_synthetic)
    return Copies(
        share=min(plain, contrast, key=lambda estimate: estimate.upper),
        p_versus_holdout=_versus_holdout(struck, is_train),
        p_versus_real=excess_p_value(n_hits, n=n_synthetic, control_hits=int(twins.sum()), n_control=len(twins)),
        real_rate=float(twins.mean()),
        threshold=threshold,
    )


def _versus_holdout(struck: np.ndarray, is_train: np.ndarray) -> float:
    """Fisher's exact test on the real users struck by at least one synthetic user: each person counts once."""
    n_train, n_holdout = int(is_train.sum()), int((~is_train).sum())
    hit_train = int(is_train[struck].sum())
    return excess_p_value(hit_train, n=n_train, control_hits=len(struck) - hit_train, n_control=n_holdout)


def _share(hits: int, *, n: int) -> Estimate:
    """The share of synthetic users that hit a training user: an upper bound of the copies, chance hits included."""
    return Estimate(hits / n, binomial_lower(hits, n=n), binomial_upper(hits, n=n), p_value=1.0)


def _contrast(hit_train: int, hit_holdout: int, hits_per_user: np.ndarray, is_train: np.ndarray, *, n: int) -> Estimate:
    """The same less what the held-out users, scaled to the number of training users, say is chance.

    Hits of one person come in clusters: the variance adds up the squares of the hits of each.
    """
    scale = is_train.sum() / (~is_train).sum()
    squares = hits_per_user.astype(float) ** 2
    variance = squares[is_train].sum() + scale**2 * squares[~is_train].sum()
    effect = (hit_train - scale * hit_holdout) / n
    if hit_holdout < _ENOUGH_HOLDOUT_HITS:
        return Estimate(effect, -1.0, 1.0, p_value=1.0)
    return Estimate.normal(effect, standard_error=float(np.sqrt(variance)) / n)


def _item_sets(user_items: csr_matrix) -> Iterator[tuple[int, ...]]:
    starts, items = user_items.indptr.tolist(), user_items.indices.tolist()
    return (tuple(items[start:stop]) for start, stop in pairwise(starts))
