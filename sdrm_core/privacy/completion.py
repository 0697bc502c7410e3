"""The completion attack: can a recommender trained on the release predict the hidden items of training users?"""

from dataclasses import dataclass
from math import nan

import numpy as np

from sdrm_core.closed_form import ease_weights, item_gram
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.hidden import TOP
from sdrm_core.privacy.statistics import UNKNOWN, Estimate, adjusted_difference
from sdrm_core.threads import one_blas_thread

_RIDGE = 50.0  # penalty of EASE


@dataclass(frozen=True)
class Completion:
    """The attack's gain (mean recall@20 of training users minus that of held-out users) and the size of the attack.

    Attributes:
        gain: unknown (0, with bounds -1 and 1) if there was nothing to attack.
        holdout_recall: mean recall@20 of held-out users; NaN if there was nothing to attack.
        n_users: attacked users.
        n_items: attacked items.
        why_unknown: empty, or the reason why there was nothing to attack.
    """

    gain: Estimate
    holdout_recall: float
    n_users: int
    n_items: int
    why_unknown: str = ""


def measure_completion(evidence: Evidence) -> Completion:
    """Let EASE trained on the synthetic users predict the hidden items of real users, and compare the two roles.

    How easily other real users complete a user is allowed for (``HiddenItems.control``).
    """
    people, hidden = evidence.people, evidence.people.hidden
    is_train, n_users, n_items = people.is_train[hidden.rows], len(hidden.rows), len(hidden.items)
    why_unknown = ""
    if n_items <= TOP:
        why_unknown = f"There are only {n_items} items: a list of {TOP} guesses holds all of them."
    elif is_train.all() or not is_train.any():
        why_unknown = "Hardly anybody has two items, one to know and one to guess."
    if why_unknown:
        return Completion(UNKNOWN, nan, n_users=n_users, n_items=n_items, why_unknown=why_unknown)
    with one_blas_thread():  # the last bits of a weight can decide which item is the twentieth
        weights = ease_weights(item_gram(evidence.synthetic[:, hidden.items], dtype=np.float32), penalty=_RIDGE)
    recall = hidden.recall(weights)
    gain = adjusted_difference(recall, is_train, np.column_stack([people.taste[hidden.rows], hidden.control]))
    return Completion(gain, float(recall[~is_train].mean()), n_users=n_users, n_items=n_items)
