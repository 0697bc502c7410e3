"""The floor every generator has to beat: independent items by popularity, as many a user as real users have."""

import numpy as np
from scipy.sparse import csr_matrix, vstack

from sdrm_core.data.matrix import binary_matrix, item_popularity
from sdrm_core.errors import DataError, Problem
from sdrm_core.randomness import numpy_stream

_SHARD_USERS = 1 << 16  # the unit of randomness and of memory
_MAX_ROUNDS = 24
_BLOCK_CELLS = 1 << 22


def sample_by_popularity(train: csr_matrix, *, users: int, seed: int) -> csr_matrix:
    """Draw ``users`` like those of ``train`` (n_users, n_items), see ``sample_by_counts``."""
    return sample_by_counts(item_popularity(train), np.diff(train.indptr), users=users, seed=seed)


def sample_by_counts(popularity: np.ndarray, activity: np.ndarray, *, users: int, seed: int) -> csr_matrix:
    """Draw users whose number of items is a random training user's and whose items are independent.

    A user's items are drawn one after the other, in proportion to their popularity and without replacement:
    popularity and activity survive, who likes what together with what does not.

    Args:
        popularity: (n_items,) training users an item has, at least one in all.
        activity: (n_train,) items a training user has.
        users: synthetic users to draw, at least 1.
        seed: seed of the draw.

    Returns:
        (users, n_items) float32 ones, canonical.

    Raises:
        DataError: the training users hold no interaction.
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
    """Return sorted cell keys (row × n_items + item); most users are complete after a few rounds.

    Independent draws with repetitions dropped are draws without replacement. A round draws exactly what a user
    still lacks, so that nothing is ever drawn too much and no draw has to be undone.
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
    """Return what users of nearly every item still lack, by Gumbel-top-k over the items they do not have."""
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
