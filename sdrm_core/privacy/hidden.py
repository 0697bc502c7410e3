"""Real users whose items are hidden in parts: the questions of the completion attack, without the synthetic users."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.matrix import item_popularity, rank_within_users
from sdrm_core.loops import in_blocks
from sdrm_core.privacy.kernels import N_FOLDS, complete

MAX_ITEMS = 4_000  # the most popular ones
MAX_USERS = 10_000  # per role: more users cost time and add hardly any precision
TOP = 20  # length of the recommendation list
_DIVISIONS = 5  # on MovieLens-1M one release has gains of .008 to .016 by one division, .012 to .015 by five
_TRAIN_PER_HOLDOUT = 10  # more training users cost time and add hardly any precision
_BLOCK_ROWS = 256


@dataclass(frozen=True, eq=False)
class HiddenItems:
    """Attacked users, and which of their items are hidden: each item once in each of five divisions into three folds.

    Attributes:
        items: (n_items,) the attacked items, as columns of the real users' matrix: at most the 4,000 most popular.
        rows: (n_users,) the attacked users, as rows of that matrix: at most 10,000 per role.
        users: (n_users, n_items) the items of these users.
        folds: (n_divisions, nnz) the fold of each stored item.
        control: (n_users,) recall@20 of an item-item recommender that knows all real users except the attacked one: a
            user who is easy to complete is easy for any recommender.
    """

    items: np.ndarray
    rows: np.ndarray
    users: csr_matrix
    folds: np.ndarray
    control: np.ndarray

    @classmethod
    def of(
        cls, real: csr_matrix, complete: csr_matrix, *, is_train: np.ndarray, draw: np.random.Generator
    ) -> "HiddenItems":
        """Choose users and items at random, and hide the items.

        Args:
            real: (n_real, n_items), the items that are hidden or given.
            complete: (n_real, n_items), the items that the control knows.
            is_train: (n_real,) True for training users, False for held-out users.
            draw: chooses users and folds.
        """
        holders = item_popularity(complete)
        items = np.sort(np.argsort(-holders, kind="stable")[:MAX_ITEMS])
        known, users = complete[:, items].tocsr(), real[:, items].tocsr()
        rows = _attacked(users, is_train, draw)
        users = users[rows]
        folds = np.stack([_folds(users, draw) for _ in range(_DIVISIONS)])
        own_pair = (1 / np.sqrt(np.maximum(holders[items], 1))).astype(np.float32)
        control = _recall(users, folds, _cosine_weights(known, own_pair), own_pair=own_pair)
        return cls(items=items, rows=rows, users=users, folds=folds, control=control)

    def recall(self, weights: np.ndarray) -> np.ndarray:
        """Return each attacked user's recall@20, (n_users,), by an item-item recommender that knows none of them.

        weights: (n_items, n_items) float32; row i is added to the scores of a user who was given item i.
        """
        return _recall(self.users, self.folds, weights, own_pair=np.zeros(len(self.items), np.float32))


def _cosine_weights(user_items: csr_matrix, scale: np.ndarray) -> np.ndarray:
    """Return the (n_items, n_items) cosine similarity of the item columns; ``scale`` is one divided by their norms."""
    weights: np.ndarray = (user_items.T @ user_items).toarray(order="C").astype(np.float32, copy=False)
    weights *= scale[:, None] * scale[None, :]
    np.fill_diagonal(weights, 0)
    return weights


def _attacked(users: csr_matrix, is_train: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return the rows of the attacked users: users with two or more items, or a random part of them.

    At most ``MAX_USERS`` per role, and at most ten training users for each held-out user.
    """
    has_two = np.diff(users.indptr) >= 2
    train, holdout = (np.flatnonzero(has_two & (is_train == role)) for role in (True, False))
    train = draw.permutation(train)[: min(_TRAIN_PER_HOLDOUT * len(holdout), MAX_USERS)]
    if len(holdout) > MAX_USERS:
        holdout = draw.permutation(holdout)[:MAX_USERS]
    return np.sort(np.concatenate([train, holdout]))


def _folds(users: csr_matrix, draw: np.random.Generator) -> np.ndarray:
    """(nnz,) the fold in which each stored item is hidden; each user's items are spread evenly over the folds."""
    return (rank_within_users(users, draw.random(users.nnz)) % N_FOLDS).astype(np.uint8)


def _recall(users: csr_matrix, folds: np.ndarray, weights: np.ndarray, *, own_pair: np.ndarray) -> np.ndarray:
    """(n_users,) recall@20 over all folds of all divisions; it does not depend on the blocks or the cores.

    folds: (n_divisions, nnz).
    own_pair: (n_items,) the user itself contributes own_pair[i] * own_pair[j] to ``weights[i, j]``; this is subtracted.
    """
    recall = np.zeros(users.shape[0])
    in_blocks(
        complete,
        users.shape[0],
        (users.indptr, users.indices),
        folds,
        weights,
        own_pair,
        TOP,
        recall,
        block_rows=_BLOCK_ROWS,
    )
    return recall
