"""Membership attacks: given a user's items and the release, was this user in the training set?"""

from collections.abc import Iterator

import numpy as np

from sdrm_core.privacy import statistics
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.statistics import Estimate

FALSE_POSITIVE_RATE = 0.01
_TENTH = 0.1
_MIN_DIVISIONS = 3
_MAX_DIVISIONS = 25
_MAX_ATTACKS = 500_000  # users times divisions: the attacks on many users rank alike however they are divided
_TINY = 1e-12


def membership_scores(evidence: Evidence) -> dict[str, np.ndarray]:
    """Return each attack's (n_real,) scores; higher means more likely a training user.

    - nearest: similarity to the nearest synthetic user.
    - nearest less reference: that, less the similarity to the nearest other real user (what the attacker expects).
    - density ratio: log kernel density of the synthetic users at the user, less that of the other real users.
    - rare items: similarity to the nearest synthetic user where rare items weigh more.
    """
    found, normal = evidence.real_to_synthetic, evidence.complete_to_complete
    return {
        "nearest": found.closest,
        "nearest less reference": found.closest - normal.closest,
        "density ratio": np.log(found.density + _TINY) - np.log(normal.density + _TINY),
        "rare items": evidence.rare_to_synthetic,
    }


def measure_membership(evidence: Evidence, draw: np.random.Generator) -> dict[str, Estimate]:
    """Return the figures of the best attack, each chosen on one half of the users and measured on the other.

    Both directions are averaged: every user is used, and the choice does not bias the figures. So are several divisions
    into halves: the figures of one would hang on who fell into which.

    Returns:
        "auc" of all users, "tpr" at a false positive rate of 1 %, "rare taste auc": that of the tenth of users whose
        items are the rarest.
    """
    scores, rare = membership_scores(evidence), _highest_tenth(evidence.rarity)

    def of_best(chosen_on: np.ndarray) -> tuple[Estimate, Estimate, Estimate]:
        score, other = _best(evidence, scores, chosen_on), ~chosen_on
        rate = statistics.true_positive_rate(
            score[other], evidence.is_train[other], false_positive_rate=FALSE_POSITIVE_RATE
        )
        return _auc(evidence, score, other), rate, _auc(evidence, score, other & rare)

    both_ways = [zip(of_best(half), of_best(~half), strict=True) for half in _halves(evidence.is_train, draw)]
    auc, tpr, rare_taste_auc = zip(*both_ways, strict=True)
    return {
        "auc": statistics.agreed([statistics.averaged(*both, null=0.5) for both in auc]),
        "tpr": statistics.agreed([statistics.averaged_rate(*both) for both in tpr]),
        "rare taste auc": statistics.agreed([statistics.averaged(*both, null=0.5) for both in rare_taste_auc]),
    }


def measure_most_active(evidence: Evidence, draw: np.random.Generator) -> Estimate:
    """Return the AUC of the best attack on the tenth of users with the most items, chosen and measured likewise.

    There is more to recognise them by than others: each item is a trace of its own.
    """
    scores, most = membership_scores(evidence), _highest_tenth(np.diff(evidence.complete.indptr))

    def of_best(chosen_on: np.ndarray) -> Estimate:
        return _auc(evidence, _best(evidence, scores, chosen_on & most), ~chosen_on & most)

    both_ways = [(of_best(half), of_best(~half)) for half in _halves(evidence.is_train, draw)]
    return statistics.agreed([statistics.averaged(*both, null=0.5) for both in both_ways])


def _halves(is_train: np.ndarray, draw: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield (n,) True for a random half of the training and a random half of the held-out users, several times."""
    for _ in range(int(np.clip(_MAX_ATTACKS // max(len(is_train), 1), _MIN_DIVISIONS, _MAX_DIVISIONS))):
        half = np.zeros(len(is_train), bool)
        for role in (True, False):
            members = np.flatnonzero(is_train == role)
            half[draw.permutation(members)[: len(members) // 2]] = True
        yield half


def _best(evidence: Evidence, scores: dict[str, np.ndarray], chosen_on: np.ndarray) -> np.ndarray:
    """Return the (n,) scores of the attack that tells the roles of ``chosen_on`` (n,) best."""
    return max(scores.values(), key=lambda score: _auc(evidence, score, chosen_on).effect)


def _highest_tenth(values: np.ndarray) -> np.ndarray:
    """Return (n,) True for the tenth of users with the highest values."""
    highest: np.ndarray = values >= np.quantile(values, 1 - _TENTH)
    return highest


def _auc(evidence: Evidence, scores: np.ndarray, chosen: np.ndarray) -> Estimate:
    return statistics.auc(scores[chosen], evidence.is_train[chosen], evidence.taste[chosen])
