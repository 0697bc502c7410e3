"""Who can say what a model gives away: people it has not seen. Where they are few, rehearsals make more."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, vstack

from sdrm_core.randomness import numpy_stream

_ENOUGH = 2_500  # onlookers tell a small leak from chance
_ONE_OF = 5  # training users looks on at most: a model of fewer gives away more of each
_MOST = 2  # rehearsals: each costs a training


class Rehearsal(NamedTuple):
    """A model that is only judged: by whom, and whom it is trained on.

    Attributes:
        learners: (n_learners, n_items) training users, in their order.
        onlookers: (n_onlookers, n_items) users that are not among them.
    """

    learners: csr_matrix
    onlookers: csr_matrix


def rehearsals(train: csr_matrix, validation: csr_matrix, *, seed: int) -> list[Rehearsal]:
    """Return what has to be rehearsed to know how much a model of all training users gives away.

    Enough validation users judge the model itself: then there is none. Where they are fewer, some training users judge
    beside them, in each rehearsal others, and a model of all others is judged in its place.

    Args:
        train: (n_train_users, n_items).
        validation: (n_validation_users, n_items).
        seed: of the run; decides who looks on.
    """
    n_train, n_missing = train.shape[0], max(0, _ENOUGH - validation.shape[0])
    most = n_train // _ONE_OF
    if not min(most, n_missing):
        return []
    n_rehearsals = min(-(-n_missing // most), _MOST)
    n_looking_on = min(-(-n_missing // n_rehearsals), most)
    order = numpy_stream(seed, "rehearsal").permutation(n_train)
    return [
        _rehearsal(train, validation, order[first : first + n_looking_on])
        for first in range(0, n_rehearsals * n_looking_on, n_looking_on)
    ]


def _rehearsal(train: csr_matrix, validation: csr_matrix, looking_on: np.ndarray) -> Rehearsal:
    looks_on = np.zeros(train.shape[0], dtype=bool)
    looks_on[looking_on] = True
    return Rehearsal(train[~looks_on], vstack([train[looks_on], validation]).tocsr())
