"""The completion attack: can a recommender trained on the release predict the hidden items of training users?"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.closed_form import ease_weights, item_gram
from sdrm_core.data.matrix import item_popularity, rank_within_users
from sdrm_core.loops import in_blocks
from sdrm_core.privacy.evidence import Evidence, RealUsers
from sdrm_core.privacy.kernels import N_FOLDS, complete
from sdrm_core.privacy.statistics import Estimate, adjusted_difference
from sdrm_core.threads import one_blas_thread

MAX_ITEMS = 4_000  # the most popular ones
MAX_USERS = 10_000  # per role: more users cost time and add hardly any precision
_TOP = 20  # length of the recommendation list
_DIVISIONS = 5  # on MovieLens-1M one release has gains of .008 to .016 by one division, .012 to .015 by five
_RIDGE = 50.0  # penalty of EASE
_TRAIN_PER_HOLDOUT = 10  # more training users cost time and add hardly any precision
_BLOCK_ROWS = 256


@dataclass(frozen=True)
class Completion:
    """The attack's gain (mean recall@20 of training users minus that of held-out users) and the size of the attack."""

    gain: Estimate
    holdout_recall: float
    n_users: int
    n_items: int


def measure_completion(evidence: Evidence, draw: np.random.Generator) -> Completion:
    """Hide each item of a user once, in three folds, and let EASE trained on the synthetic users predict it.

    Five divisions into folds are averaged, because the result of one depends on how the items were divided.

    The control covariate is the recall of an item-item recommender trained on all real users except the attacked one:
    a user who is easy to complete is easy for both. At most the 4,000 most popular items and 10,000 users per role are
    attacked.
    """
    people = evidence.people
    holders = item_popularity(people.complete)
    items = np.sort(np.argsort(-holders, kind="stable")[:MAX_ITEMS])
    rows = _attacked(people, items, draw)
    users, complete, synthetic = (
        matrix[:, items].tocsr() for matrix in (people.real[rows], people.complete, evidence.synthetic)
    )
    folds = np.stack([_folds(users, draw) for _ in range(_DIVISIONS)])
    nothing = np.zeros(len(items), np.float32)
    with one_blas_thread():  # the last bits of a weight can decide which item is the twentieth
        weights = ease_weights(item_gram(synthetic, dtype=np.float32), penalty=_RIDGE)
    recall = _recall(users, folds, weights, own_pair=nothing)
    own_pair = (1 / np.sqrt(np.maximum(holders[items], 1))).astype(np.float32)
    control = _recall(users, folds, _cosine_weights(complete, own_pair), own_pair=own_pair)
    is_train = people.is_train[rows]
    gain = adjusted_difference(recall, is_train, np.column_stack([people.taste[rows], control]))
    return Completion(gain, float(recall[~is_train].mean()), n_users=len(rows), n_items=len(items))


def _cosine_weights(user_items: csr_matrix, scale: np.ndarray) -> np.ndarray:
    """Return the (n_items, n_items) cosine similarity of the item columns; ``scale`` is one divided by their norms."""
    weights: np.ndarray = (user_items.T @ user_items).toarray(order="C").astype(np.float32, copy=False)
    weights *= scale[:, None] * scale[None, :]
    np.fill_diagonal(weights, 0)
    return weights


def _attacked(people: RealUsers, items: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return the rows of the attacked users: users with two or more of ``items``, or a random part of them.

    At most ``MAX_USERS`` per role, and at most ten training users for each held-out user.
    """
    has_two = np.diff(people.real[:, items].tocsr().indptr) >= 2
    train, holdout = (np.flatnonzero(has_two & (people.is_train == role)) for role in (True, False))
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
        _TOP,
        recall,
        block_rows=_BLOCK_ROWS,
    )
    return recall
