"""Membership inference attacks: given a user's items and the release, was this user in the training set?"""

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
from scipy.special import ndtr

from sdrm_core.privacy import statistics
from sdrm_core.privacy.evidence import Evidence, RealUsers
from sdrm_core.privacy.statistics import Estimate

FALSE_POSITIVE_RATE = 0.01
_TENTH = 0.1  # size of the subgroups with the rarest items and with the most items
_GROUPS = 20  # by number of items, within which ``among_like`` ranks users
_LEAST_ALIKE = 20  # users per group at least: a rank among fewer says too little
_MIN_DIVISIONS = 3
_MAX_DIVISIONS = 25
_MAX_ATTACKS = 500_000  # users times divisions: with many users the result hardly depends on the division
_TINY = 1e-12


def membership_scores(evidence: Evidence) -> dict[str, np.ndarray]:
    """Return each attack's (n_real,) scores; higher means more likely a training user.

    - nearest: similarity to the nearest synthetic user.
    - nearest less reference: the same, minus the similarity to the nearest other real user (what the attacker expects).
    - density ratio: log kernel density of the synthetic users at the user, minus that of the other real users.
    - rare items: similarity to the nearest synthetic user where rare items weigh more.
    """
    found, normal = evidence.real_to_synthetic, evidence.people.complete_to_complete
    return {
        "nearest": found.closest,
        "nearest less reference": found.closest - normal.closest,
        "density ratio": np.log(found.density + _TINY) - np.log(normal.density + _TINY),
        "rare items": evidence.rare_to_synthetic,
    }


def measure_membership(evidence: Evidence, draw: np.random.Generator) -> dict[str, Estimate]:
    """Estimate how well an attacker who knows the roles of half of the users infers the roles of the others.

    The attacker chooses the attack that works best on the known half. The chosen attack is measured on the other half,
    so the choice does not bias the figures. Both directions are averaged, so every user counts. The result depends on
    how the users are divided into halves, so several random divisions are made and combined (``statistics.agreed``).

    Returns:
        Estimates by name. For the attack that is best on the known half:

        - "auc": over all users.
        - "tpr": true positive rate at a false positive rate of 1 %.
        - "rare taste auc": over the tenth of users whose items are the rarest.

        For the attack that is worst on the known half:

        - "auc turned round": over all users, if a low score is taken for a training user: removing synthetic users that
          are like training users leaves such a gap.

        With each score replaced by its rank among users with about as many items (``among_like``):

        - "most active auc": for the attack that is then best, over the tenth of users with the most items.
        - "auc of all at once": for a weighted sum of all attacks, with weights fitted on the known half.
    """
    people, activity = evidence.people, np.diff(evidence.people.complete.indptr)
    rare, most_active = _highest_tenth(people.rarity), _highest_tenth(activity)
    attacks = np.stack(list(membership_scores(evidence).values()))
    among = _each_among_like(attacks, activity)
    summands = _summands(among, activity)

    def figures(known: np.ndarray) -> dict[str, Estimate]:
        unknown, found = ~known, _aucs(people, attacks, known)
        best, worst = attacks[np.argmax(found)], attacks[np.argmin(found)]
        best_among = among[np.argmax(_aucs(people, among, known))]
        return {
            "auc": _auc(people, best, unknown),
            "tpr": statistics.true_positive_rate(
                best[unknown], people.is_train[unknown], false_positive_rate=FALSE_POSITIVE_RATE
            ),
            "rare taste auc": _auc(people, best, unknown & rare),
            "auc turned round": _auc(people, -worst, unknown),
            "most active auc": _auc(people, best_among, unknown & most_active),
            "auc of all at once": _auc(people, _together(people, summands, known), unknown),
        }

    both_ways = [(figures(half), figures(~half)) for half in _halves(people.is_train, draw)]

    def agreed(name: str) -> Estimate:
        mean_of = statistics.averaged_rate if name == "tpr" else partial(statistics.averaged, null=0.5)
        return statistics.agreed([mean_of(one[name], other[name]) for one, other in both_ways])

    return {name: agreed(name) for name in both_ways[0][0]}


def chance_of_activity_trend(evidence: Evidence) -> float:
    """Return the one-sided p-value of "the best attack does not work better on users with more items".

    A score test of a trend: does the rank advantage of training over held-out users with about as many items grow with
    the number of items? The average size of the advantage makes no difference.
    """
    people, activity = evidence.people, np.diff(evidence.people.complete.indptr)
    attacks = _each_among_like(membership_scores(evidence).values(), activity)
    best = attacks[np.argmax(_aucs(people, attacks, np.ones(len(activity), bool)))]
    trend = (statistics.ranks(activity) - 0.5) * (people.is_train - people.is_train.mean())
    return float(ndtr(-trend @ (best - 0.5) / (best.std() * np.linalg.norm(trend) + _TINY)))


def among_like(scores: np.ndarray, activity: np.ndarray) -> np.ndarray:
    """Return each user's rank, from 0 to 1, among users with about as many items (at most 20 groups of equal size).

    Similarity and density depend first of all on the number of items. In a ranking of all users that dependence would
    hide the small effect of membership.

    Args:
        scores: (n,) scores of an attack.
        activity: (n,) number of items of each user.
    """
    n_groups = int(np.clip(len(scores) // _LEAST_ALIKE, 1, _GROUPS))
    among: np.ndarray = np.empty(len(scores))
    for alike in np.array_split(np.argsort(activity, kind="stable"), n_groups):
        among[alike] = statistics.ranks(scores[alike])
    return among


def _each_among_like(attacks: Iterable[np.ndarray], activity: np.ndarray) -> np.ndarray:
    """Return (n_attacks, n) the result of ``among_like`` for each attack's scores."""
    return np.stack([among_like(scores, activity) for scores in attacks])


def _halves(is_train: np.ndarray, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield several random masks (n,), each True for half of the training users and half of the held-out users."""
    for _ in range(int(np.clip(_MAX_ATTACKS // max(len(is_train), 1), _MIN_DIVISIONS, _MAX_DIVISIONS))):
        half = np.zeros(len(is_train), bool)
        for role in (True, False):
            members = np.flatnonzero(is_train == role)
            half[draw.permutation(members)[: len(members) // 2]] = True
        yield half


def _aucs(people: RealUsers, attacks: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the (n_attacks,) AUC of each attack (n_attacks, n) on the users ``known`` (n,)."""
    return statistics.aucs(attacks[:, known], people.is_train[known], people.taste[known])


def _summands(attacks: np.ndarray, activity: np.ndarray) -> np.ndarray:
    """Return (n, n_summands) the terms of the weighted sum of all attacks (n_attacks, n).

    The best weight of an attack depends on the user's number of items, so each attack has two terms: its centred rank,
    and that multiplied by the centred rank of the number of items.
    """
    centred = attacks.T - 0.5
    return np.column_stack([np.ones(len(centred)), centred, centred * (statistics.ranks(activity)[:, None] - 0.5)])


def _together(people: RealUsers, summands: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return (n,) scores: the linear combination of ``summands`` (n, n_summands) that best predicts the known roles.

    known: (n,) True for the users whose roles are used to fit the weights.

    Source: Fisher 1936, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7.
    """
    weights = np.linalg.lstsq(summands[known], people.is_train[known].astype(float), rcond=None)[0]
    scores: np.ndarray = summands @ weights
    return scores


def _highest_tenth(values: np.ndarray) -> np.ndarray:
    """Return (n,) True for the tenth of users with the highest values."""
    highest: np.ndarray = values >= np.quantile(values, 1 - _TENTH)
    return highest


def _auc(people: RealUsers, scores: np.ndarray, chosen: np.ndarray) -> Estimate:
    return statistics.auc(scores[chosen], people.is_train[chosen], people.taste[chosen])
