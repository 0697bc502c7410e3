"""Copies of single people: synthetic users that equal, or nearly equal, one training user.

A synthetic user *hits*, or strikes, a real user if it equals the real user's record (``unique_copies``), is unusually
close to it, or contains unusually much of it (both ``near_copies``); the real user is then *struck*. Each p-value below
answers one question; the null hypothesis is always "no". The gate is ``gates._judge_copies``; the measurements are in
``unique_copies`` and ``near_copies``.

====================  =================================================  ==========================================
p-value               question                                           what the gate does
====================  =================================================  ==========================================
``p_versus_holdout``  Are training users struck more often than          FAIL below .01, or below the weaker level
                      held-out users?                                    that the last two rows may set
``p_one_person``      Is one training user struck by more synthetic      FAIL below .01
                      users than chance explains?
``share.p_value``     none                                               replaced by one of the two above
``p_versus_real``     Do synthetic users hit real users more often than  below .01: the level is .15 (unique copies) or
                      real users hit each other?                         .10 (near copies); no PASS if
                                                                         ``p_versus_holdout`` is below 1
``p_recurrence``      Do long records of different people recur more     below .001: FAIL if ``p_versus_holdout`` is
                      often than among real users?                       below 1
====================  =================================================  ==========================================
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import hypergeom, poisson

from sdrm_core.privacy.statistics import Estimate, binomial_lower, binomial_upper

MIN_SET_ITEMS = 5  # shorter records are ignored: many users share so few items, so these identify nobody
LONG_ITEMS = 10  # a record of ten or more items hardly recurs by chance, even if synthetic users are very typical


@dataclass(frozen=True)
class Copies:
    """How often synthetic users hit real users, and the tests of whether this is a leak.

    Attributes:
        share: copies of training users as a share of the synthetic users, with chance hits subtracted where possible.
        p_versus_holdout: of "training users are struck no more often than held-out users" (exact for every generator);
            1 if the odds ratio is below 1.5, because with very many users even such a small ratio is significant.
        p_one_person: of "no training user is struck by more synthetic users than real users strike that person".
        p_versus_real: of "synthetic users hit real users no more often than real users hit each other".
        p_recurrence: of "the long complete records of different people recur no more often than among real users";
            1 for near copies, because a generator that is less diverse than people makes them without a leak.
        real_rate: share of real users that hit another real user: the baseline.
        n_synthetic: number of synthetic users examined.
        is_blind: whether people are so alike that copies could not be seen.
    """

    share: Estimate
    p_versus_holdout: float
    p_one_person: float
    p_versus_real: float
    p_recurrence: float
    real_rate: float
    n_synthetic: int
    is_blind: bool = False

    @property
    def confirmed(self) -> bool:
        """Whether synthetic users hit real users more often than real users do; then the gate needs weaker proof."""
        return self.p_versus_real < 0.01

    @property
    def is_suspicious(self) -> bool:
        """Whether the gate must not pass: ``is_blind``, or ``confirmed`` and a ``p_versus_holdout`` below 1."""
        return self.is_blind or (self.confirmed and self.p_versus_holdout < 1)


def p_one_person(
    by_synthetic: np.ndarray, by_people: np.ndarray, *, is_long: np.ndarray, is_train: np.ndarray, n_synthetic: int
) -> float:
    """P-value, after Bonferroni over the training users, that one of them is struck too often by synthetic users.

    The control is how often real users strike the same person. A long record hardly recurs by chance, so for long
    records that number plus one, scaled to the number of synthetic users, is the rate of a Poisson test. A short record
    may be a set that people often buy together and that only one real user happened to have, so for short records the
    two counts are compared by an exact test.

    Args:
        by_synthetic: (n_hits,) the real user struck, one entry for each synthetic user that strikes.
        by_people: (n_hits_among_people,) the real user struck, one entry for each real user that strikes.
        is_long: (n_real,) bool, whether a record is so long that it hardly recurs by chance.
        is_train: (n_real,) bool.
        n_synthetic: number of synthetic users.
    """
    n_real = len(is_train)
    hits, normal = (np.bincount(struck, minlength=n_real)[is_train] for struck in (by_synthetic, by_people))
    by_rate = poisson.sf(hits - 1, (normal + 1) * n_synthetic / n_real)
    by_counts = hypergeom.sf(hits - 1, n_synthetic + n_real, hits + normal + 1, n_synthetic)
    p_values = np.where(is_long[is_train], by_rate, by_counts)
    return min(float(p_values.min(initial=1.0)) * len(hits), 1.0)


def share_of(hits: int, *, n: int) -> Estimate:
    """The share of synthetic users that hit a training user; an upper bound of the copies: it includes chance hits."""
    return Estimate(hits / n, binomial_lower(hits, n=n), binomial_upper(hits, n=n), p_value=1.0)
