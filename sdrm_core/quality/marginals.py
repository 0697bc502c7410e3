"""Figures of the two marginal distributions, item popularity and user activity, compared with the training users."""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import ks_2samp, rankdata

from sdrm_core.data.matrix import item_popularity

_TAIL_SHARE = 0.8


def popularity_figures(
    candidate: csr_matrix, reference: csr_matrix, *, publishable: np.ndarray
) -> dict[str, float | None]:
    """Compare item popularity; only items that at least one reference user has are used.

    Args:
        candidate: (n_candidate, n_items), the users to measure.
        reference: (n_reference, n_items), the training users.
        publishable: (n_items,) bool, items a release may contain.
    """
    known = item_popularity(reference)
    counts = item_popularity(candidate)
    in_catalogue = known > 0
    known, counts, publishable = known[in_catalogue], counts[in_catalogue], publishable[in_catalogue]
    shares = counts / max(1, counts.sum())
    return {
        "popularity_total_variation": float(np.abs(shares - known / known.sum()).sum() / 2),
        "popularity_spearman": correlation(rankdata(counts), rankdata(known)),
        "popularity_gini": _gini(counts),
        "publishable_gini": _gini(counts[publishable]) if publishable.any() else None,
        "tail_share": float(_tail_membership(known) @ shares),
        "catalogue_coverage": float((counts[publishable] > 0).mean()) if publishable.any() else None,
    }


def activity_figures(counts: np.ndarray, known: np.ndarray) -> dict[str, float | None]:
    """Compare the number of items per user.

    Args:
        counts: (n_candidate,) items per user to measure; at least one user.
        known: (n_reference,) items per training user.
    """
    return {
        "activity_ks": float(ks_2samp(counts, known, method="asymp").statistic),
        "activity_mean": float(counts.mean()),
        "activity_sd": float(counts.std()),
        "activity_max": float(counts.max()),
        "empty_user_share": float((counts == 0).mean()),
        "density_ratio": float(counts.mean() / known.mean()) if known.any() else None,
    }


def correlation(left: np.ndarray, right: np.ndarray) -> float | None:
    """Return Pearson's correlation; None where it is undefined (fewer than two values, or all equal)."""
    if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(np.corrcoef(left, right)[0, 1])


def _gini(counts: np.ndarray) -> float:
    """Return the Gini coefficient: 0 for equal counts, near 1 if few items have all interactions."""
    n_items = len(counts)
    ranks = np.arange(1, n_items + 1)
    return float((2 * ranks - n_items - 1) @ np.sort(counts) / (n_items * max(1, counts.sum())))


def _tail_membership(popularity: np.ndarray) -> np.ndarray:
    """Return the fraction of each item that belongs to the 80 % least popular; ties at the border share equally."""
    below = rankdata(popularity, method="min") - 1
    ties = rankdata(popularity, method="max") - below
    membership: np.ndarray = np.clip((_TAIL_SHARE * len(popularity) - below) / ties, 0, 1)
    return membership
