"""Which items users have together, counted a block of items at a time: all pairs at once could fill the memory."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, triu

_BLOCK_CELLS = 1 << 24


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


def count_pairs(user_items: csr_matrix, others: csr_matrix, *, at_least: int = 1, below: float = np.inf) -> PairCounts:
    """Return the pairs that ``at_least`` users have, but not ``below`` or more, and how many others have them.

    Args:
        user_items: (n_users, n_items) binary.
        others: (n_others, n_items) binary.
        at_least: users that must have both items.
        below: users that must not have both.
    """
    n_items = user_items.shape[1]
    by_item, others_by_item = user_items.T.tocsr(), others.T.tocsr()
    blocks = [PairCounts(*np.zeros((2, 0), dtype=np.int32), *np.zeros((2, 0), dtype=np.float32))]
    for start in range(0, n_items, step := max(1, _BLOCK_CELLS // n_items)):
        block = slice(start, start + step)
        shared = triu(by_item[block] @ user_items, k=start + 1, format="csr").tocoo()
        kept = (shared.data >= at_least) & (shared.data < below)
        if kept.any():
            rows, columns = shared.row[kept], shared.col[kept]
            # Dense for the look-up: in a sparse matrix that takes far longer than the product.
            of_others = (others_by_item[block] @ others).toarray()[rows, columns]
            blocks.append(PairCounts(rows + start, columns, shared.data[kept], of_others))
    return PairCounts(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))
