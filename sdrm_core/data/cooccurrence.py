"""Which items users have together, counted a block of items at a time: all pairs at once could fill the memory."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.loops import compiled, in_blocks

_BLOCK_CELLS = 1 << 22
_ROWS_A_CALL = 4  # of a block: few, since popular items take far longer than others


class PairCounts(NamedTuple):
    """Pairs of items that users have together.

    Attributes:
        first: (n_pairs,) columns, ascending.
        second: (n_pairs,) columns, above ``first``.
        users: (n_pairs,) that have both.
        others: (n_pairs,) of the other users that have both.
    """

    first: np.ndarray
    second: np.ndarray
    users: np.ndarray
    others: np.ndarray


def pairs_of_users(user_items: csr_matrix) -> np.ndarray:
    """Return (n_users,) the pairs of each user's items, both orders and each item with itself: what counting costs."""
    pairs: np.ndarray = np.diff(user_items.indptr).astype(np.float64) ** 2
    return pairs


def users_within(user_items: csr_matrix, *, max_products: float, draw: np.random.Generator) -> np.ndarray:
    """Return rows in random order, as many as have at most ``max_products`` pairs of a user's items in all.

    Users who have more than that alone are left out.
    """
    products = pairs_of_users(user_items)
    order = draw.permutation(user_items.shape[0])
    order = order[products[order] <= max_products]
    return order[: int(np.searchsorted(np.cumsum(products[order]), max_products, side="right"))]


def count_pairs(user_items: csr_matrix, others: csr_matrix, *, at_least: int = 1) -> PairCounts:
    """Return the pairs that ``at_least`` users have, and how many others have them.

    Args:
        user_items: (n_users, n_items) binary.
        others: (n_others, n_items) binary.
        at_least: users that must have both items, 1 or more.
    """
    blocks = [PairCounts(*np.zeros((2, 0), dtype=np.int32), *np.zeros((2, 0), dtype=np.float32))]
    for (first, together), (_, of_others) in zip(count_blocks(user_items), count_blocks(others), strict=True):
        found = np.flatnonzero(together.ravel() >= at_least)  # several times as fast as to ask for rows and columns
        rows, columns = np.divmod(found, together.shape[1])
        counts = (counted[rows, columns].astype(np.float32) for counted in (together, of_others))
        blocks.append(PairCounts((rows + first).astype(np.int32), columns.astype(np.int32), *counts))
    return PairCounts(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def count_blocks(user_items: csr_matrix) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first item of each block, ascending, and (n_block_items, n_items) int32: users that have both items.

    Each pair is counted once, in the row of its lower item; all other cells are 0.

    Args:
        user_items: (n_users, n_items) binary.
    """
    postings = user_items.tocsc()
    users = postings.tocsr()  # the way back sorts each user's items
    lists = (postings.indptr, postings.indices, users.indptr, users.indices)
    n_items = users.shape[1]
    for first in range(0, n_items, step := max(1, _BLOCK_CELLS // n_items)):
        together = np.zeros((min(step, n_items - first), n_items), dtype=np.int32)
        in_blocks(_count_rows, len(together), first, lists, together, block_rows=_ROWS_A_CALL)
        yield first, together


@compiled
def _count_rows(start: int, stop: int, first: int, lists: tuple[np.ndarray, ...], together: np.ndarray) -> None:
    """Fill the rows [start, stop) of ``together``, of the items from ``first`` on.

    lists: (item starts, users) and (row starts, items, ascending).
    """
    item_starts, users, row_starts, items = lists
    for row in range(start, stop):
        for user in users[item_starts[first + row] : item_starts[first + row + 1]]:
            place = row_starts[user + 1] - 1
            while items[place] > first + row:  # ends at the item itself, which the user has
                together[row, items[place]] += 1
                place -= 1
