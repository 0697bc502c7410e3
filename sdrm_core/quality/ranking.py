"""Ranking metrics over the full catalogue, for the scores of any recommender."""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.matrix import cell_rows
from sdrm_core.errors import DataError, Problem

CUTOFFS = (1, 3, 5, 10, 20, 50)
METRICS = tuple(f"{kind}@{k}" for kind in ("recall", "ndcg") for k in CUTOFFS)

_DEPTH = max(CUTOFFS)
_BLOCK_CELLS = 1 << 23  # 32 MiB of float32 scores at a time
_BLOCK_USERS = 4096
_MAX_GROUPS = 256

# _DISCOUNTS[p] is the sum of 1 / log2(position + 1) over the first p positions.
_DISCOUNTS = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, _DEPTH + 2)))])


def rank_users(
    score: Callable[[csr_matrix], np.ndarray],
    *,
    inputs: csr_matrix,
    targets: csr_matrix,
    block_cells: int = _BLOCK_CELLS,
) -> np.ndarray:
    """Return recall@k and ndcg@k of every user, averaged over all ways to break ties.

    Items of equal score are treated as in random order, and the metrics are the exact expectation over that order: no
    item gains from its column number, and permuting items or users changes nothing.

        recall@k = |top_k ∩ target| / min(k, |target|)
        ndcg@k = Σ_{position ≤ k, item ∈ target} 1 / log2(position + 1), divided by its largest possible value

    Args:
        score: maps (n, n_items) input rows to a new (n, n_items) array of scores, higher is better.
        inputs: (n_users, n_items), the known items of each user; these are not ranked.
        targets: (n_users, n_items), the items to find; at least one per row, none of them an input.
        block_cells: number of scores in memory at once; never changes the result.

    Returns:
        (n_users, 12) float64 in [0, 1], columns as in ``METRICS``.

    Raises:
        DataError: a score is not a number, or a user has no target.
    """
    n_users, n_items = inputs.shape
    if n_users and np.diff(targets.indptr).min() == 0:
        raise DataError(Problem("ranking targets", "a user has no target item", "Rank only users with a target"))
    block_users = max(1, min(_BLOCK_USERS, block_cells // n_items))
    metrics = np.empty((n_users, len(METRICS)))
    for start in range(0, n_users, block_users):
        rows = slice(start, start + block_users)
        given = inputs[rows]
        scores = score(given)
        if np.isnan(scores).any():
            raise DataError(Problem("recommender scores", "a score is not a number", "Check the recommender's data"))
        scores[cell_rows(given), given.indices] = -np.inf
        metrics[rows] = _block_metrics(scores, targets[rows])
    return metrics


def _block_metrics(scores: np.ndarray, targets: csr_matrix) -> np.ndarray:
    target_counts = np.diff(targets.indptr)
    above, ties = _tie_groups(scores, targets)
    recall, ndcg = [], []
    for k in CUTOFFS:
        first, last = np.minimum(k, above), np.minimum(k, above + ties)
        found = np.add.reduceat((last - first) / ties, targets.indptr[:-1])
        gain = np.add.reduceat((_DISCOUNTS[last] - _DISCOUNTS[first]) / ties, targets.indptr[:-1])
        reachable = np.minimum(k, target_counts)
        recall.append(found / reachable)
        ndcg.append(gain / _DISCOUNTS[reachable])
    return np.column_stack([*recall, *ndcg])


def _tie_groups(scores: np.ndarray, targets: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each target, how many items score higher and how many score the same (itself included).

    For a target beyond the deepest cutoff the first number is only a lower bound that reaches the cutoff, which is
    enough.
    """
    n_users = scores.shape[0]
    rows = cell_rows(targets)
    wanted = scores[rows, targets.indices]
    floor = _floor(scores)
    # Only few items per user score above the floor, about as many as the deepest cutoff. Each gets an integer key,
    # ordered by user, then by score: a target's position in the sorted keys gives the number of items above it.
    high_rows, high_items = np.nonzero(scores > floor[:, None])
    levels, level = np.unique(scores[high_rows, high_items], return_inverse=True)
    keys = np.sort(high_rows * len(levels) + level)
    wanted_keys = rows * len(levels) + np.searchsorted(levels, wanted)
    after = np.searchsorted(keys, wanted_keys, side="right")
    above = np.searchsorted(keys, (rows + 1) * len(levels)) - after
    ties = after - np.searchsorted(keys, wanted_keys)
    # A target at the floor ties with all items at the floor; a target below it is beyond every cutoff.
    high_counts, floor_counts = np.bincount(high_rows, minlength=n_users), (scores == floor[:, None]).sum(axis=1)
    place = [wanted > floor[rows], wanted == floor[rows]]
    return np.select(place, [above, high_counts[rows]], _DEPTH), np.select(place, [ties, floor_counts[rows]], 1)


def _floor(scores: np.ndarray) -> np.ndarray:
    """Return a score for each user that at least 50 items (the deepest cutoff) reach; -inf for a small catalogue.

    It is the 50th highest of the maxima of groups of items. This takes one fast pass; a partial sort of the whole row
    is ten times slower if many items tie.
    """
    n_users, n_items = scores.shape
    groups = min(_MAX_GROUPS, n_items // 2)
    if groups < _DEPTH:
        return np.full(n_users, -np.inf, dtype=scores.dtype)
    width = n_items // groups
    maxima = scores[:, : groups * width].reshape(n_users, groups, width).max(axis=2)
    floor: np.ndarray = np.partition(maxima, groups - _DEPTH, axis=1)[:, groups - _DEPTH]
    return floor
