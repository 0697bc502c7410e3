"""Membership attacks: given a user's items and the release, was this user in the training set?"""

import numpy as np

from sdrm_core.privacy import statistics
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.statistics import Estimate

FALSE_POSITIVE_RATE = 0.01
RARE_SHARE = 0.1
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
    scores, n_users = membership_scores(evidence), len(evidence.is_train)
    rare = evidence.rarity >= np.quantile(evidence.rarity, 1 - RARE_SHARE)
    n_divisions = int(np.clip(_MAX_ATTACKS // max(n_users, 1), _MIN_DIVISIONS, _MAX_DIVISIONS))
    divisions = [
        _of_best_attacks(evidence, scores, half=_half(evidence.is_train, draw), rare=rare) for _ in range(n_divisions)
    ]
    return {name: statistics.agreed([figures[name] for figures in divisions]) for name in divisions[0]}


def _of_best_attacks(
    evidence: Evidence, scores: dict[str, np.ndarray], *, half: np.ndarray, rare: np.ndarray
) -> dict[str, Estimate]:
    """Return the figures of the attack that is best on ``half`` measured on the others, and the other way round."""
    measured = []
    for chosen_on in (half, ~half):
        best = max(scores, key=lambda name: _auc(evidence, scores[name], chosen_on).effect)
        score, other = scores[best], ~chosen_on
        measured.append(
            {
                "auc": _auc(evidence, score, other),
                "tpr": statistics.true_positive_rate(
                    score[other], evidence.is_train[other], false_positive_rate=FALSE_POSITIVE_RATE
                ),
                "rare taste auc": _auc(evidence, score, other & rare),
            }
        )
    first, second = measured
    return {
        "auc": statistics.averaged(first["auc"], second["auc"], null=0.5),
        "tpr": statistics.averaged_rate(first["tpr"], second["tpr"]),
        "rare taste auc": statistics.averaged(first["rare taste auc"], second["rare taste auc"], null=0.5),
    }


def _auc(evidence: Evidence, scores: np.ndarray, chosen: np.ndarray) -> Estimate:
    return statistics.auc(scores[chosen], evidence.is_train[chosen], evidence.taste[chosen])


def _half(is_train: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Return (n,) True for a random half of the training and a random half of the held-out users."""
    chosen = np.zeros(len(is_train), bool)
    for role in (True, False):
        members = np.flatnonzero(is_train == role)
        chosen[draw.permutation(members)[: len(members) // 2]] = True
    return chosen
