"""The baseline for all generators: independent items by popularity, as many per user as real users have."""

import numpy as np
from scipy.sparse import csr_matrix, vstack

from sdrm_core.data.matrix import binary_matrix, item_popularity
from sdrm_core.errors import DataError, Problem
from sdrm_core.randomness import numpy_stream

_SHARD_USERS = 1 << 16  # users per random stream; also limits memory
_MAX_ROUNDS = 24
_BLOCK_CELLS = 1 << 22


def sample_by_popularity(train: csr_matrix, *, users: int, seed: int) -> csr_matrix:
    """Draw ``users`` synthetic users with the popularity and activity of ``train`` (n_users, n_items)."""
    return sample_by_counts(item_popularity(train), np.diff(train.indptr), users=users, seed=seed)


def sample_by_counts(popularity: np.ndarray, activity: np.ndarray, *, users: int, seed: int) -> csr_matrix:
    """Draw users who have as many items as a random training user, with independent items.

    A user's items are drawn one after the other, in proportion to their popularity and without replacement. So
    popularity and activity are preserved, but co-occurrence is not.

    Args:
        popularity: (n_items,) number of training users that have an item; at least one in total.
        activity: (n_train,) number of items of a training user.
        users: number of synthetic users, at least 1.
        seed: seed of the draw.

    Returns:
        (users, n_items) float32 ones, canonical.

    Raises:
        DataError: the training users have no interaction.
    """
    if not popularity.any():
        raise DataError(Problem("train users", "they hold no interaction at all", "Check the filter and the roles"))
    shards = []
    for number, start in enumerate(range(0, users, _SHARD_USERS)):
        generator = numpy_stream(seed, "popularity-sampler", number)
        counts = generator.choice(activity, size=min(_SHARD_USERS, users - start))
        keys = _draw_by_rejection(popularity, counts, generator)
        keys = np.concatenate([keys, *_draw_the_rest(popularity, counts, keys, generator)])
        shards.append(binary_matrix(np.sort(keys) % len(popularity), counts, n_items=len(popularity)))
    return csr_matrix(vstack(shards, format="csr")) if len(shards) > 1 else shards[0]


def _draw_by_rejection(popularity: np.ndarray, counts: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return sorted cell keys (row × n_items + item); after these rounds most users are complete.

    Independent draws with repetitions dropped equal draws without replacement. Each round draws only as many items as a
    user still lacks, so there are never too many.
    """
    n_items = len(popularity)
    cumulative = np.cumsum(popularity)
    keys = np.empty(0, dtype=np.int64)
    for _ in range(_MAX_ROUNDS):
        rows = np.repeat(np.arange(len(counts)), counts - _row_counts(keys, len(counts), n_items))
        if not len(rows):
            break
        items = np.searchsorted(cumulative, generator.integers(cumulative[-1], size=len(rows)), side="right")
        keys = np.sort(np.concatenate([keys, np.sort(rows * n_items + items)]), kind="stable")  # merges two runs
        keys = keys[np.diff(keys, prepend=-1) > 0]
    return keys


def _draw_the_rest(
    popularity: np.ndarray, counts: np.ndarray, keys: np.ndarray, generator: np.random.Generator
) -> list[np.ndarray]:
    """Complete users who have nearly every item: Gumbel-top-k over the items they do not have.

    Return the new cell keys.
    """
    n_items = len(popularity)
    lacking = counts - _row_counts(keys, len(counts), n_items)
    incomplete = np.flatnonzero(lacking)
    block_users = max(1, _BLOCK_CELLS // n_items)
    drawn = []
    with np.errstate(divide="ignore"):
        log_popularity = np.log(popularity)
    for start in range(0, len(incomplete), block_users):
        rows = incomplete[start : start + block_users]
        priority = log_popularity + generator.gumbel(size=(len(rows), n_items))
        held = keys[np.isin(keys // n_items, rows)]
        priority[np.searchsorted(rows, held // n_items), held % n_items] = -np.inf
        order = np.argsort(-priority, axis=1, kind="stable")
        taken, place = np.nonzero(np.arange(n_items) < lacking[rows][:, None])
        drawn.append(rows[taken] * n_items + order[taken, place])
    return drawn


def _row_counts(keys: np.ndarray, n_rows: int, n_items: int) -> np.ndarray:
    return np.bincount(keys // n_items, minlength=n_rows)
