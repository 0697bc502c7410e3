"""Who can say what a model gives away: people it has not seen. Where they are few, a rehearsal makes more."""

import numpy as np
from scipy.sparse import csr_matrix, vstack

from sdrm_core.data.users import some_rows
from sdrm_core.randomness import numpy_stream

_ENOUGH = 2_500  # onlookers tell a small leak from chance
_ONE_OF = 5  # training users looks on at most: a model of fewer gives away more of each


def learners_and_onlookers(train: csr_matrix, validation: csr_matrix, *, seed: int) -> tuple[csr_matrix, csr_matrix]:
    """Return whom to train a model on that is only judged, and who judges it.

    Enough validation users judge the model of all training users itself. Where they are fewer, some training users
    judge beside them, and a model of the others is judged in its place.

    Args:
        train: (n_train_users, n_items).
        validation: (n_validation_users, n_items).
        seed: of the run; decides who looks on.

    Returns:
        (n_learners, n_items) training users in their order, ``train`` itself if nobody of them looks on;
        and (n_onlookers, n_items) users that are not among them.
    """
    n_train = train.shape[0]
    n_chosen = min(n_train // _ONE_OF, max(0, _ENOUGH - validation.shape[0]))
    if not n_chosen:
        return train, validation
    looks_on = np.zeros(n_train, dtype=bool)
    looks_on[some_rows(n_train, n_chosen, draw=numpy_stream(seed, "rehearsal"))] = True
    return train[~looks_on], vstack([train[looks_on], validation]).tocsr()
