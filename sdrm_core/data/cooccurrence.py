"""Count the users of each pair of items, one block of items at a time: all pairs at once could fill the memory."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.loops import compiled, in_blocks

_BLOCK_CELLS = 1 << 22
_ROWS_A_CALL = 4  # items of a block per call; few, because popular items take far longer than others


class PairCounts(NamedTuple):
    """Pairs of items, and how many users have both items.

    Attributes:
        first: (n_pairs,) column of the first item, ascending.
        second: (n_pairs,) column of the second item, always greater than ``first``.
        users: (n_pairs,) number of users who have both.
        others: (n_pairs,) number of users of the other group who have both.
    """

    first: np.ndarray
    second: np.ndarray
    users: np.ndarray
    others: np.ndarray


def pairs_of_users(user_items: csr_matrix) -> np.ndarray:
    """Return (n_users,) the squared number of items of each user: the work of counting the user's pairs."""
    pairs: np.ndarray = np.diff(user_items.indptr).astype(np.float64) ** 2
    return pairs


def users_within(user_items: csr_matrix, *, max_products: float, draw: np.random.Generator) -> np.ndarray:
    """Return random rows, as many as fit into a total of ``max_products`` pairs (``pairs_of_users``).

    A user who alone has more pairs than that is left out.
    """
    products = pairs_of_users(user_items)
    order = draw.permutation(user_items.shape[0])
    order = order[products[order] <= max_products]
    return order[: int(np.searchsorted(np.cumsum(products[order]), max_products, side="right"))]


def count_pairs(user_items: csr_matrix, others: csr_matrix, *, at_least: int = 1) -> PairCounts:
    """Return the pairs of items that at least ``at_least`` users have, and how many of the ``others`` have them.

    Args:
        user_items: (n_users, n_items) binary.
        others: (n_others, n_items) binary.
        at_least: number of users who must have both items, 1 or more.
    """
    blocks = [PairCounts(*np.zeros((2, 0), dtype=np.int32), *np.zeros((2, 0), dtype=np.float32))]
    for (first, together), (_, of_others) in zip(count_blocks(user_items), count_blocks(others), strict=True):
        found = np.flatnonzero(together.ravel() >= at_least)  # several times as fast as a search by row and column
        rows, columns = np.divmod(found, together.shape[1])
        counts = (counted[rows, columns].astype(np.float32) for counted in (together, of_others))
        blocks.append(PairCounts((rows + first).astype(np.int32), columns.astype(np.int32), *counts))
    return PairCounts(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


def count_blocks(user_items: csr_matrix) -> Iterator[tuple[int, np.ndarray]]:
    """Yield, for each block of items, its first item and (n_block_items, n_items) int32 numbers of users of each pair.

    Blocks come in ascending order. A pair is counted once, in the row of its lower item; all other cells are 0. The
    memory of a block is used again for the next one.

    Args:
        user_items: (n_users, n_items) binary.
    """
    postings = user_items.tocsc()
    users = postings.tocsr()  # converting back to rows sorts each user's items
    lists = (postings.indptr, postings.indices, users.indptr, users.indices)
    n_items = users.shape[1]
    block = np.zeros((min(n_items, max(1, _BLOCK_CELLS // n_items)), n_items), dtype=np.int32)
    for first in range(0, n_items, len(block)):
        together = block[: n_items - first]
        in_blocks(_count_rows, len(together), first, lists, together, block_rows=_ROWS_A_CALL)
        yield first, together
        in_blocks(_clear_rows, len(together), first, lists, together, block_rows=_ROWS_A_CALL)


@compiled
def _count_rows(start: int, stop: int, first: int, lists: tuple[np.ndarray, ...], together: np.ndarray) -> None:
    """Fill the rows [start, stop) of ``together``; row i counts the pairs of item ``first + i``.

    lists: the matrix by column (column starts, users) and by row (row starts, items in ascending order).
    """
    for row in range(start, stop):
        _add_pairs(first + row, lists, together, row, 1)


@compiled
def _clear_rows(start: int, stop: int, first: int, lists: tuple[np.ndarray, ...], together: np.ndarray) -> None:
    """Undo ``_count_rows``: for a rare item by the same walk, which visits few of the row's cells."""
    item_starts, _, row_starts, items = lists
    for row in range(start, stop):
        n_holders = item_starts[first + row + 1] - item_starts[first + row]
        if n_holders * len(items) > together.shape[1] * len(row_starts):  # about as many steps as cells
            together[row] = 0
        else:
            _add_pairs(first + row, lists, together, row, -1)


@compiled
def _add_pairs(item: int, lists: tuple[np.ndarray, ...], together: np.ndarray, row: int, number: int) -> None:
    """Add ``number`` in a row of ``together`` for each pair of the item with a later one that a user has."""
    item_starts, users, row_starts, items = lists
    for user in users[item_starts[item] : item_starts[item + 1]]:
        place = row_starts[user + 1] - 1
        while items[place] > item:  # stops at the item itself, which the user has
            together[row, items[place]] += number
            place -= 1
