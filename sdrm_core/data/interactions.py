"""The interaction log as integer codes: one row per (user, item) pair, whatever the order of the input rows."""

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
    """The unique (user, item) pairs, as positions in sorted lists of ids.

    Attributes:
        user: (n_pairs,) int32, position in ``users``; pairs are sorted by user, then by item.
        item: (n_pairs,) int32, position in ``items``.
        positive: (n_pairs,) bool, whether the pair is positive; False means a rating below the threshold.
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
        """Return the numbers of users, items and positive pairs, and the density of the positive pairs."""
        n_positives = int(np.count_nonzero(self.positive))
        return Counts.of(users=self.n_users, items=self.n_items, interactions=n_positives)


def index_interactions(table: pa.Table | StoredLog, *, source: SourceConfig) -> IndexedLog:
    """Turn an interaction table into codes, with one row for each (user, item) pair.

    If a pair has several rows, the latest counts; without time stamps, or if they are equal, the highest rating counts.
    With implicit feedback every pair is positive. The order of the rows does not matter.

    Args:
        table: columns ``user_id`` and ``item_id``; for explicit feedback ``rating``, and ``timestamp`` if configured;
            no nulls. Either the table of ``read_interactions`` or the file it was written to, read column by column.
        source: kind of feedback, and the lowest positive rating.
    """
    user, users = _codes(table["user_id"])
    item, items = _codes(table["item_id"])
    pair = user * np.int64(len(items)) + item
    del user, item
    rows = np.argsort(pair)
    pair = pair[rows]
    is_last = _put_last(pair, rows, table)
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
    """Return the (n_rows,) int32 position of each row's id among the distinct ids in ascending order, and these ids."""
    codes, distinct = encode(ids)
    ascending = pc.sort_indices(distinct).to_numpy()
    rank = np.empty(len(distinct), dtype=np.int32)
    rank[ascending] = np.arange(len(distinct))
    return rank[codes], distinct.take(pa.array(ascending))


def _put_last(pair: np.ndarray, rows: np.ndarray, table: pa.Table | StoredLog) -> np.ndarray:
    """Reorder ``rows`` (n_rows,) in place: the row that counts (latest, then highest) becomes the last of its pair.

    pair: (n_rows,) the pair of each row, ascending.

    Returns (n_rows,) bool: whether the row is the last of its pair.
    """
    is_same = pair[1:] == pair[:-1]
    is_shared = np.append(is_same, False) | np.insert(is_same, 0, False)
    shared = rows[is_shared]  # few rows: only these need the slow sort by several keys
    columns = [name for name in ("rating", "timestamp") if name in table.column_names]  # the least important first
    keys = [table[name].to_numpy()[shared] for name in columns]
    rows[is_shared] = shared[np.lexsort([*keys, pair[is_shared]])]
    return np.append(~is_same, True)
