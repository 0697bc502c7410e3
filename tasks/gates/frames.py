"""The tables that the gates check.

They are the log with a flag for repeated pairs, the facts of the matrix as one row, and one row per synthetic user.
"""

import gc
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.sparse import csr_matrix

from sdrm_core.data.columns import encode
from sdrm_core.data.matrix import cell_rows
from sdrm_core.data.stored_log import StoredLog
from sdrm_core.records import Counts
from tasks.gates.suites import IS_REPEATED, ITEM, USER, IdType

_MANY_ROWS = 1_000_000  # with fewer rows, collecting garbage takes longer than the gate and frees little


def raw_columns(log: pa.Table | StoredLog) -> Iterator[tuple[str, pd.Series]]:
    """Yield the name and values of each column of the log, then of ``is_repeated``.

    ``is_repeated`` is True if an earlier row has the same (user, item) pair.

    Args:
        log: the ingested log, with ``user_id``, ``item_id`` and possibly other columns.
    """
    for name in log.column_names:
        values = log[name].to_pandas()
        n_rows = len(values)
        yield name, values
        del values
        if n_rows > _MANY_ROWS:
            gc.collect()  # Great Expectations keeps the column in circular references
    yield IS_REPEATED, _repeated_pairs(log)


def id_type(log: pa.Table | StoredLog, column: str, *, wanted: IdType | Literal["auto"]) -> IdType:
    """Return the type that the ids of a column must have: the wanted one; if that is ``auto``, integer or text."""
    if wanted != "auto":
        return wanted
    return "integer" if pa.types.is_integer(log.schema.field(column).type) else "text"


def _repeated_pairs(log: pa.Table | StoredLog) -> pd.Series:
    """Return (n_rows,) bool: whether an earlier row has the same pair; all missing ids count as one id."""
    user, _ = encode(log[USER])
    item, items = encode(log[ITEM])
    pair = user * np.int64(len(items) + 1) + item  # code -1: a null
    del user, item
    return pd.Series(pair).duplicated()


def matrix_frame(user_items: csr_matrix) -> pd.DataFrame:
    """Return the facts of a binary matrix as a table with one row.

    Args:
        user_items: (n_users, n_items); every stored cell is a positive. ``repeated_cells`` counts cells stored twice.
    """
    n_users, n_items = user_items.shape
    counts = Counts.of(users=n_users, items=n_items, interactions=user_items.nnz)
    per_item = np.bincount(user_items.indices, minlength=n_items)
    facts = counts.model_dump() | {
        "fewest_user_positives": np.diff(user_items.indptr).min(initial=user_items.nnz),
        "fewest_item_positives": per_item.min(initial=user_items.nnz),
        "repeated_cells": _repeats_by_row(user_items).sum(),
    }
    return pd.DataFrame([facts])


def synthetic_frame(user_items: csr_matrix, *, first_user: int, publishable: np.ndarray) -> pd.DataFrame:
    """Return one row for each synthetic user: its number of items, and how many of them are not allowed.

    Args:
        user_items: (n_users, n_items), a shard of synthetic users; every stored cell is an item.
        first_user: number of the shard's first user, counted over all shards.
        publishable: (n_items,) bool: whether enough training users have the item.
    """
    items = user_items.indices
    is_foreign = (items < 0) | (items >= len(publishable))
    is_unpublishable = ~is_foreign
    is_unpublishable[is_unpublishable] = ~publishable[items[is_unpublishable]]
    n_users = user_items.shape[0]
    row = cell_rows(user_items)
    return pd.DataFrame(
        {
            "user": np.arange(first_user, first_user + n_users),
            "items": np.diff(user_items.indptr).astype(np.int64),
            "repeated_items": _repeats_by_row(user_items),
            "foreign_items": np.bincount(row[is_foreign], minlength=n_users),
            "unpublishable_items": np.bincount(row[is_unpublishable], minlength=n_users),
        }
    )


def _repeats_by_row(user_items: csr_matrix) -> np.ndarray:
    """Return, for each row, how many cells repeat another cell of the row."""
    ordered = user_items if user_items.has_sorted_indices else user_items.sorted_indices()
    row = cell_rows(ordered)
    is_repeat = (ordered.indices[1:] == ordered.indices[:-1]) & (row[1:] == row[:-1])
    return np.bincount(row[1:][is_repeat], minlength=user_items.shape[0])
