"""The interaction log as codes: one row per (user, item) pair, independent of the order of the input."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sdrm_core.config import SourceConfig
from sdrm_core.records import Counts


@dataclass(frozen=True, eq=False)
class IndexedLog:
    """Unique (user, item) pairs as positions in sorted lists of ids.

    Attributes:
        user: (n_pairs,) int32, position in ``users``; pairs are sorted by user, then item.
        item: (n_pairs,) int32, position in ``items``.
        positive: (n_pairs,) bool, whether the pair is a positive; False is a rating below the threshold.
        users: (n_users,) distinct user ids, int64 or string, ascending.
        items: (n_items,) distinct item ids, int64 or string, ascending.
    """

    user: np.ndarray
    item: np.ndarray
    positive: np.ndarray
    users: pa.Array
    items: pa.Array

    @property
    def n_users(self) -> int:
        """Return the number of distinct users."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Return the number of distinct items."""
        return len(self.items)

    @property
    def n_pairs(self) -> int:
        """Return the number of unique pairs, positive or not."""
        return len(self.user)

    @property
    def counts(self) -> Counts:
        """Return users, items, positives and their density."""
        n_positives = int(np.count_nonzero(self.positive))
        return Counts.of(users=self.n_users, items=self.n_items, interactions=n_positives)


def index_interactions(table: pa.Table, *, source: SourceConfig) -> IndexedLog:
    """Turn an interaction table into codes and merge repeated (user, item) pairs.

    Of the rows of one pair the latest counts; without time stamps, or among equal ones, the highest rating.
    Implicit events are positive however often they occur. The order of the rows never matters.

    Args:
        table: columns ``user_id`` and ``item_id``, ``rating`` for explicit feedback, ``timestamp`` if mapped;
            no nulls (what ``read_interactions`` returns).
        source: kind of feedback and the lowest positive rating.
    """
    user, users = _codes(table["user_id"])
    item, items = _codes(table["item_id"])
    pair = user * len(items) + item
    order = _merge_order(pair, _precedence(table, source))
    pair = pair[order]
    is_last = np.append(pair[1:] != pair[:-1], True)
    kept = pair[is_last]
    if source.feedback == "explicit":
        rating = table["rating"].to_numpy()
        positive = rating[order[is_last]] >= source.positive_rating
    else:
        positive = np.ones(len(kept), dtype=bool)
    return IndexedLog(
        user=(kept // len(items)).astype(np.int32),
        item=(kept % len(items)).astype(np.int32),
        positive=positive,
        users=users,
        items=items,
    )


def _codes(ids: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Return each row's position (int64) in the ascending distinct ids, and these ids."""
    encoded = ids.dictionary_encode().unify_dictionaries()
    distinct = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], ids.type)
    ascending = pc.sort_indices(distinct).to_numpy()
    rank = np.empty(len(distinct), dtype=np.int64)
    rank[ascending] = np.arange(len(distinct))
    found = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks] or [np.empty(0, np.int32)])
    return rank[found], distinct.take(pa.array(ascending))


def _precedence(table: pa.Table, source: SourceConfig) -> list[np.ndarray]:
    """Return what decides which row of a pair counts, the weakest first: the largest wins."""
    if source.feedback == "implicit":
        return []
    names = [name for name in ("rating", "timestamp") if name in table.column_names]
    return [table[name].to_numpy() for name in names]


def _merge_order(pair: np.ndarray, precedence: list[np.ndarray]) -> np.ndarray:
    """Return the rows sorted by pair, the row that counts last within its pair."""
    order = np.argsort(pair)
    in_order = pair[order]
    is_same = in_order[1:] == in_order[:-1]
    is_shared = np.append(is_same, False) | np.insert(is_same, 0, False)
    rows = order[is_shared]  # few: only they need the slow sort by several keys
    order[is_shared] = rows[np.lexsort([*(key[rows] for key in precedence), pair[rows]])]
    return order
