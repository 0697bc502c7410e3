"""Rehearsals: models trained without some training users, to measure the leak when validation users are few.

The leak of a model can only be measured with users it was not trained on. Such users are called *onlookers*. If there
are too few validation users, a rehearsal model leaves out some training users, who are then onlookers too.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, vstack

from sdrm_core.randomness import numpy_stream

_ENOUGH = 2_500  # onlookers are enough to distinguish a small leak from chance
_ONE_OF = 5  # at most one training user in 5 is an onlooker: a model of fewer learners leaks more about each
_MOST = 2  # rehearsals at most: each one trains a model


class Rehearsal(NamedTuple):
    """The two groups of users of a model that is trained only to measure its leak.

    Attributes:
        learners: (n_learners, n_items) training users the model is trained on, in their original order.
        onlookers: (n_onlookers, n_items) users the model is not trained on.
    """

    learners: csr_matrix
    onlookers: csr_matrix


def rehearsals(train: csr_matrix, validation: csr_matrix, *, seed: int) -> list[Rehearsal]:
    """Return the rehearsals needed to measure how much a model of all training users leaks.

    If there are enough validation users, they are onlookers of the model itself and no rehearsal is needed. Otherwise
    each rehearsal makes other training users onlookers, in addition to the validation users, and trains on the rest.

    Args:
        train: (n_train_users, n_items).
        validation: (n_validation_users, n_items).
        seed: of the run; decides which training users become onlookers.
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
