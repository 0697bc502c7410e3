"""Popularity and activity as short curves for plots, real and synthetic."""

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.anonymity import shared_activity
from sdrm_core.data.matrix import item_popularity
from sdrm_core.records import Record

_POINTS = 60


class Curves(Record):
    """Curves of at most 60 points each; shares are shares of users.

    Attributes:
        popularity_rank: mean rank of each bin of publishable items, ascending; bins are even on a logarithmic axis.
        popularity_real: share of training users that have an item of that rank.
        popularity_synthetic: the same for synthetic users, items ranked by their synthetic popularity.
        popularity_synthetic_by_real_rank: the same for synthetic users, items ranked by their real popularity.
        activity: numbers of items, ascending, up to a number that at least ``k_anonymity`` training users reach.
        activity_real: share of training users with at least that many items.
        activity_synthetic: share of synthetic users with at least that many items.
    """

    popularity_rank: tuple[float, ...]
    popularity_real: tuple[float, ...]
    popularity_synthetic: tuple[float, ...]
    popularity_synthetic_by_real_rank: tuple[float, ...]
    activity: tuple[int, ...]
    activity_real: tuple[float, ...]
    activity_synthetic: tuple[float, ...]


def fidelity_curves(synthetic: csr_matrix, train: csr_matrix, *, publishable: np.ndarray, k_anonymity: int) -> Curves:
    """Return the curves of synthetic (n_synthetic, n_items) and training (n_train, n_items) users.

    The curves are published, so each point of a real curve is about at least ``k_anonymity`` users, and only the
    ``publishable`` items, (n_items,) bool, are used.
    """
    n_items = int(publishable.sum())
    real = item_popularity(train)[publishable] / train.shape[0]
    drawn = item_popularity(synthetic)[publishable] / synthetic.shape[0]
    edges = _log_spaced(n_items + 1)[:-1] - 1
    by_real_rank = np.argsort(-real, kind="stable")
    activity = np.sort(np.diff(train.indptr))
    at_least = _log_spaced(max(1, shared_activity(activity, k_anonymity=k_anonymity)))
    return Curves(
        popularity_rank=_bin_means(np.arange(1, n_items + 1), edges),
        popularity_real=_bin_means(real[by_real_rank], edges),
        popularity_synthetic=_bin_means(-np.sort(-drawn), edges),
        popularity_synthetic_by_real_rank=_bin_means(drawn[by_real_rank], edges),
        activity=tuple(at_least.tolist()),
        activity_real=_share_at_least(activity, at_least),
        activity_synthetic=_share_at_least(np.sort(np.diff(synthetic.indptr)), at_least),
    )


def _log_spaced(last: int) -> np.ndarray:
    return np.unique(np.geomspace(1, last, _POINTS).round().astype(np.int64))


def _bin_means(values: np.ndarray, edges: np.ndarray) -> tuple[float, ...]:
    """Return the mean of each bin; bin b starts at ``edges[b]`` and ends where the next bin starts."""
    widths = np.diff(edges, append=len(values))
    return tuple((np.add.reduceat(values, edges) / widths).tolist())


def _share_at_least(sorted_counts: np.ndarray, thresholds: np.ndarray) -> tuple[float, ...]:
    return tuple((1 - np.searchsorted(sorted_counts, thresholds) / len(sorted_counts)).tolist())
