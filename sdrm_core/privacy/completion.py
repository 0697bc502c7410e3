"""The completion attack: can a recommender trained on the release predict the hidden items of training users?"""

from dataclasses import dataclass

import numpy as np

from sdrm_core.closed_form import ease_weights, item_gram
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.statistics import Estimate, adjusted_difference
from sdrm_core.threads import one_blas_thread

_RIDGE = 50.0  # penalty of EASE


@dataclass(frozen=True)
class Completion:
    """The attack's gain (mean recall@20 of training users minus that of held-out users) and the size of the attack."""

    gain: Estimate
    holdout_recall: float
    n_users: int
    n_items: int


def measure_completion(evidence: Evidence) -> Completion:
    """Let EASE trained on the synthetic users predict the hidden items of real users, and compare the two roles.

    How easily other real users complete a user is allowed for (``HiddenItems.control``).
    """
    people, hidden = evidence.people, evidence.people.hidden
    with one_blas_thread():  # the last bits of a weight can decide which item is the twentieth
        weights = ease_weights(item_gram(evidence.synthetic[:, hidden.items], dtype=np.float32), penalty=_RIDGE)
    recall = hidden.recall(weights)
    is_train = people.is_train[hidden.rows]
    gain = adjusted_difference(recall, is_train, np.column_stack([people.taste[hidden.rows], hidden.control]))
    return Completion(gain, float(recall[~is_train].mean()), n_users=len(hidden.rows), n_items=len(hidden.items))
