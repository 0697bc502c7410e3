"""The interaction log as codes: one row per (user, item) pair, independent of the order of the input."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sdrm_core.config import SourceConfig
from sdrm_core.data.columns import encode
from sdrm_core.data.stored_log import StoredLog
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


def index_interactions(table: pa.Table | StoredLog, *, source: SourceConfig) -> IndexedLog:
    """Turn an interaction table into codes and merge repeated (user, item) pairs.

    Of the rows of one pair the latest counts; without time stamps, or among equal ones, the highest rating.
    Implicit events are positive however often they occur. The order of the rows never matters.

    Args:
        table: columns ``user_id`` and ``item_id``, ``rating`` for explicit feedback, ``timestamp`` if mapped;
            no nulls (what ``read_interactions`` returns, or its file, of which no column is kept).
        source: kind of feedback and the lowest positive rating.
    """
    user, users = _codes(table["user_id"])
    item, items = _codes(table["item_id"])
    pair = user * np.int64(len(items)) + item
    del user, item
    rows = np.argsort(pair)
    pair = pair[rows]
    is_last = _put_last(pair, rows, table, _precedence(table, source))
    pair, rows = pair[is_last], rows[is_last]
    if source.feedback == "explicit":
        positive = table["rating"].to_numpy()[rows] >= source.positive_rating
    else:
        positive = np.ones(len(pair), dtype=bool)
    return IndexedLog(
        user=(pair // len(items)).astype(np.int32),
        item=(pair % len(items)).astype(np.int32),
        positive=positive,
        users=users,
        items=items,
    )


def _codes(ids: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Return each row's position (int32) in the ascending distinct ids, and these ids."""
    codes, distinct = encode(ids)
    ascending = pc.sort_indices(distinct).to_numpy()
    rank = np.empty(len(distinct), dtype=np.int32)
    rank[ascending] = np.arange(len(distinct))
    return rank[codes], distinct.take(pa.array(ascending))


def _put_last(pair: np.ndarray, rows: np.ndarray, table: pa.Table | StoredLog, precedence: Sequence[str]) -> np.ndarray:
    """Reorder, within each pair, ``rows`` (n_rows,) so that the one that counts is last; return (n_rows,) is it last.

    ``pair`` (n_rows,), ascending, are the pairs of these rows.
    """
    is_same = pair[1:] == pair[:-1]
    is_shared = np.append(is_same, False) | np.insert(is_same, 0, False)
    shared = rows[is_shared]  # few: only they need the slow sort by several keys
    keys = [table[name].to_numpy()[shared] for name in precedence]
    rows[is_shared] = shared[np.lexsort([*keys, pair[is_shared]])]
    return np.append(~is_same, True)


def _precedence(table: pa.Table | StoredLog, source: SourceConfig) -> list[str]:
    """Return the columns that decide which row of a pair counts, the weakest first: the largest value wins."""
    if source.feedback == "implicit":
        return []
    return [name for name in ("rating", "timestamp") if name in table.column_names]
