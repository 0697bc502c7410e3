"""The k-core filter: remove users and items with too few positives, and repeat until every one has enough."""

import numpy as np
import pyarrow as pa

from sdrm_core.config import FilterConfig
from sdrm_core.data.interactions import IndexedLog
from sdrm_core.errors import DataError, Problem


def k_core(log: IndexedLog, limits: FilterConfig) -> IndexedLog:
    """Remove users and items with fewer positives than the limits, and repeat until all the others meet the limits.

    The result is the largest set of users and items that all meet the limits; it does not depend on the order of
    removal. A pair that is not positive stays in the log if its user and its item stay.

    Raises:
        DataError: nothing is left; the message says in which round, and how many users or items there were before.
    """
    user, item = log.user[log.positive], log.item[log.positive]
    if not len(user):
        raise DataError(_nothing_left(f"none of the {log.n_pairs:,} ratings is a positive"))
    n_rounds = 0
    while True:
        n_rounds += 1
        n_before = len(user)
        for kind in ("user", "item"):
            codes = user if kind == "user" else item
            limit = limits.min_user_positives if kind == "user" else limits.min_item_positives
            degree = np.bincount(codes)
            keep = degree[codes] >= limit
            if not keep.any():
                n_left, most = np.count_nonzero(degree), degree.max()
                raise DataError(
                    _nothing_left(
                        f"in round {n_rounds} all {n_left:,} {kind}s left had fewer than {limit} positives "
                        f"(the most was {most})"
                    )
                )
            user, item = user[keep], item[keep]
        if len(user) == n_before:
            return _subset(log, users=np.unique(user), items=np.unique(item))


def _subset(log: IndexedLog, *, users: np.ndarray, items: np.ndarray) -> IndexedLog:
    """Return the log of the given users and items only, with new codes; ``users`` and ``items`` are ascending."""
    new_user = _renumbering(users, size=log.n_users)
    new_item = _renumbering(items, size=log.n_items)
    keep = (new_user[log.user] >= 0) & (new_item[log.item] >= 0)
    return IndexedLog(
        user=new_user[log.user[keep]],
        item=new_item[log.item[keep]],
        positive=log.positive[keep],
        users=log.users.take(pa.array(users)),
        items=log.items.take(pa.array(items)),
    )


def _renumbering(kept: np.ndarray, *, size: int) -> np.ndarray:
    """Return (size,) the new code of each old code; -1 if it is not among ``kept``."""
    new = np.full(size, -1, dtype=np.int32)
    new[kept] = np.arange(len(kept), dtype=np.int32)
    return new


def _nothing_left(step: str) -> Problem:
    return Problem(
        where="k-core filter",
        what=f"nothing is left: {step}",
        remedy="Give more data, lower filter.min_user_positives or filter.min_item_positives, "
        "or check source.positive_rating against the scale of the ratings.",
    )
