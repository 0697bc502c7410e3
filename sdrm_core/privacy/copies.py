"""Copies of single people: synthetic users that equal, or nearly equal, one training user.

A synthetic user *hits*, or strikes, a real user if it equals the real user's record (``unique_copies``) or is unusually
close to it (``near_copies``); the real user is then *struck*. Each p-value below answers one question; the null
hypothesis is always "no". The gate is ``gates._judge_copies``.

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

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import hypergeom, poisson

from sdrm_core.data.matrix import keep_items
from sdrm_core.privacy.evidence import Evidence, RealUsers
from sdrm_core.privacy.similarity import nearest
from sdrm_core.privacy.statistics import (
    Estimate,
    binomial_lower,
    binomial_upper,
    excess_p_value,
    struck_p_value,
)

MIN_SET_ITEMS = 5  # shorter records are ignored: many users share so few items, so these identify nobody
_LONG_ITEMS = 10  # a record of ten or more items hardly recurs by chance, even if synthetic users are very typical
NEAR_SHARE = 0.01  # "near": at most 1 % of real users of similar size have another real user as near
_TAIL_SHARES = (0.05, 0.02, NEAR_SHARE, 0.005, 0.002)  # thresholds tried for "near"; the most significant one counts
_MAX_SIZE_CLASSES = 4  # of users by number of items: two short records look alike more easily than two long ones
_UNEXPECTED = 20  # a hit has at most 1/20 of the nearest other person's tail share: typical users are near by chance
_SUSPECT = 0.15  # a p_versus_holdout above this shows no leak, so the rate of chance hits (twins) is subtracted
_MIN_PEERS = 200  # real users per size class; with fewer, a share of 1 % cannot be estimated


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
    """

    share: Estimate
    p_versus_holdout: float
    p_one_person: float
    p_versus_real: float
    p_recurrence: float
    real_rate: float
    n_synthetic: int

    @property
    def confirmed(self) -> bool:
        """Whether synthetic users hit real users more often than real users do; then the gate needs weaker proof."""
        return self.p_versus_real < 0.01

    @property
    def is_suspicious(self) -> bool:
        """Whether the gate must not pass: ``confirmed``, and ``p_versus_holdout`` is below 1 (odds ratio ≥ 1.5)."""
        return self.confirmed and self.p_versus_holdout < 1


def unique_copies(evidence: Evidence) -> Copies:
    """Measure synthetic users that equal a set of five or more items that exactly one real user has.

    Sets that several real users have identify nobody and are left out. All real and all synthetic users are examined,
    also those outside the compared subset. In a small catalogue, real users also have twins (equal records) by chance:
    if training and held-out users are struck about equally often, the rate of twins is subtracted from the share.
    """
    people = evidence.people
    everyone = keep_items(people.everyone, people.is_publishable)
    holders = Counter(items for items in _item_sets(everyone) if items)
    owner = {items: user for user, items in enumerate(_item_sets(everyone)) if holders[items] == 1}
    hits = np.array([owner.get(items, -1) for items in _item_sets(evidence.released)])
    n_synthetic, n_real, is_train = len(hits), everyone.shape[0], people.is_train_of_everyone
    hits = hits[hits >= 0]
    struck, n_items, owners = np.unique(hits), np.diff(everyone.indptr), np.fromiter(owner.values(), np.int64)
    twins = np.repeat([_n_items(items) for items, count in holders.items() if count == 2], 2)

    def p_beside_people(users: np.ndarray, least: int) -> float:
        n_hits, n_twins = int((n_items[users] >= least).sum()), int((twins >= least).sum())
        return excess_p_value(n_hits, n=n_synthetic, control_hits=n_twins, n_control=n_real)

    any_length = min(p_beside_people(hits, least) for least in (MIN_SET_ITEMS, _LONG_ITEMS))
    share = _share(int(is_train[hits].sum()), n=n_synthetic)
    p_versus_holdout = struck_p_value(np.searchsorted(owners, struck), is_train[owners])  # only owners can be struck
    if len(twins) and p_versus_holdout > _SUSPECT:
        share = _beyond_twins(share, n_pairs=len(twins) // 2, is_train=is_train)
    return Copies(
        share=share,
        p_versus_holdout=p_versus_holdout,
        p_one_person=_one_person(
            hits, np.zeros(0, np.int64), n_items=n_items, is_train=is_train, n_synthetic=n_synthetic
        ),
        p_versus_real=min(2 * any_length, 1.0),  # Bonferroni: two tests, as short records have twins by chance
        p_recurrence=p_beside_people(struck, _LONG_ITEMS),
        real_rate=len(twins) / n_real,
        n_synthetic=n_synthetic,
    )


def near_copies(evidence: Evidence) -> Copies:
    """Measure synthetic users that are closer to a training user than almost all real users are to anyone.

    Closeness is expressed as a tail share (``_tail``): the share of real users of similar size that have another real
    user at least as near.

    1. Five tail shares are tried as the threshold for "near". Chosen is the one where synthetic users are most
       significantly closer to real users than real users of similar size are to each other.
    2. A real user is struck if a synthetic user is within that threshold, and its tail share is at most a twentieth of
       that of the nearest other real user. Typical users are near to synthetic users by chance; this excludes them.
    3. The numbers of struck training and held-out users are compared.

    Steps 1 and 2 do not use the roles. Step 3 leaves out users with fewer than five publishable items: there are more
    of these among held-out users, because training users' own items help to make an item publishable.
    """
    people, synthetic, published = evidence.people, evidence.synthetic, evidence.people.published
    to_person, to_people = nearest(synthetic, published, device=people.device), people.published_to_published
    to_real = _tail(to_person.closest, synthetic, people)
    to_synthetic = _tail(nearest(published, synthetic, device=people.device).closest, published, people)
    among_people = _tail(to_people.closest, published, people, are_peers=True)
    n_items = np.diff(published.indptr)
    n_synthetic, n_real = len(to_real), len(to_synthetic)
    versus_real = {  # the same rule on both sides: a record of fewer than five items is never near
        share: excess_p_value(
            int((to_real <= share).sum()),
            n=n_synthetic,
            control_hits=int((among_people <= share).sum()),
            n_control=n_real,
        )
        for share in _TAIL_SHARES
    }
    closest = min(_TAIL_SHARES, key=versus_real.__getitem__)
    is_near = to_real <= NEAR_SHARE
    struck_by_synthetic = to_person.index[is_near, 0]
    is_telling = _UNEXPECTED * to_real[is_near] <= among_people[struck_by_synthetic]
    struck_by_people = to_people.index[among_people <= NEAR_SHARE, 0]
    is_recognisable = n_items >= MIN_SET_ITEMS
    is_struck = (to_synthetic <= closest) & (_UNEXPECTED * to_synthetic <= among_people)
    copies = Copies(
        share=_share(int((to_real <= NEAR_SHARE).sum()), n=n_synthetic),
        p_versus_holdout=struck_p_value(np.flatnonzero(is_struck[is_recognisable]), people.is_train[is_recognisable]),
        p_one_person=_one_person(
            struck_by_synthetic[is_telling],
            struck_by_people,
            n_items=n_items,
            is_train=people.is_train,
            n_synthetic=n_synthetic,
        ),
        p_versus_real=min(versus_real[closest] * len(_TAIL_SHARES), 1.0),
        p_recurrence=1.0,
        real_rate=NEAR_SHARE,
        n_synthetic=n_synthetic,
    )
    if not copies.confirmed:
        return copies
    each_once = np.flatnonzero(to_synthetic <= NEAR_SHARE)  # each real user once, however many copies there are
    found = [_beyond_chance(struck, people.is_train, n=n_synthetic) for struck in (each_once, struck_by_synthetic)]
    return replace(copies, share=max(found, key=lambda share: share.upper))


def _tail(similarity: np.ndarray, users: csr_matrix, people: RealUsers, *, are_peers: bool = False) -> np.ndarray:
    """(n_users,) share of real users of similar size whose nearest other real user is at least as similar.

    1 where the similarity is 0, and for users of fewer than five items: many users share so few items.

    Args:
        similarity: (n_users,) similarity of each user to the nearest person.
        users: (n_users, n_items).
        people: the real users.
        are_peers: True if ``users`` are the real users themselves; each is then compared with the others only.
    """
    normal, sizes = people.published_to_published.closest, np.diff(people.published.indptr)
    edges, n_items = _class_edges(sizes), np.diff(users.indptr)
    size_class = np.searchsorted(edges, n_items, side="right")
    is_recognisable = (similarity > 0) & (n_items >= MIN_SET_ITEMS)
    tail = np.ones(len(similarity))
    for number in range(len(edges) + 1):
        members = np.flatnonzero((size_class == number) & is_recognisable)
        peers = np.sort(normal[np.searchsorted(edges, sizes, side="right") == number])
        at_least = len(peers) - np.searchsorted(peers, similarity[members], side="left")
        tail[members] = (at_least - are_peers + 0.5) / (len(peers) - are_peers + 1)
    return tail


def _class_edges(sizes: np.ndarray) -> np.ndarray:
    """Return the smallest size of each size class but the first, ascending; each class has enough real users."""
    n_classes = min(max(len(sizes) // _MIN_PEERS, 1), _MAX_SIZE_CLASSES)
    edges: list[float] = []
    n_below, ordered = 0, np.sort(sizes)
    for edge in np.quantile(sizes, np.arange(1, n_classes) / n_classes):
        n_smaller = int(np.searchsorted(ordered, edge))  # if many users have equal sizes, a class may be almost empty
        if min(n_smaller - n_below, len(sizes) - n_smaller) >= _MIN_PEERS // 2:
            edges.append(float(edge))
            n_below = n_smaller
    return np.array(edges)


def _one_person(
    by_synthetic: np.ndarray, by_people: np.ndarray, *, n_items: np.ndarray, is_train: np.ndarray, n_synthetic: int
) -> float:
    """P-value, after Bonferroni over the training users, that one of them is struck too often by synthetic users.

    The control is how often real users strike the same person. A long record hardly recurs by chance, so for long
    records that number plus one, scaled to the number of synthetic users, is the rate of a Poisson test. A short record
    may be a set that people often buy together and that only one real user happened to have, so for short records the
    two counts are compared by an exact test.

    Args:
        by_synthetic: (n_hits,) the real user struck, one entry for each synthetic user that strikes.
        by_people: (n_hits_among_people,) the real user struck, one entry for each real user that strikes.
        n_items: (n_real,) number of items of each real user.
        is_train: (n_real,) bool.
        n_synthetic: number of synthetic users.
    """
    n_real = len(is_train)
    hits, normal = (np.bincount(struck, minlength=n_real)[is_train] for struck in (by_synthetic, by_people))
    by_rate = poisson.sf(hits - 1, (normal + 1) * n_synthetic / n_real)
    by_counts = hypergeom.sf(hits - 1, n_synthetic + n_real, hits + normal + 1, n_synthetic)
    p_values = np.where(n_items[is_train] >= _LONG_ITEMS, by_rate, by_counts)
    return min(float(p_values.min(initial=1.0)) * len(hits), 1.0)


def _share(hits: int, *, n: int) -> Estimate:
    """The share of synthetic users that hit a training user; an upper bound of the copies: it includes chance hits."""
    return Estimate(hits / n, binomial_lower(hits, n=n), binomial_upper(hits, n=n), p_value=1.0)


def _beyond_twins(share: Estimate, *, n_pairs: int, is_train: np.ndarray) -> Estimate:
    """Subtract from a share of synthetic users the share of real users whose twin is a training user.

    Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17, method 10, with exact intervals of both.
    """
    n_real, halves = len(is_train), 2 * is_train.mean()  # a pair makes two people with a twin; the twin may be held out
    twins, fewest, most = (
        halves * rate
        for rate in (n_pairs / n_real, binomial_lower(n_pairs, n=n_real), binomial_upper(n_pairs, n=n_real))
    )
    effect = share.effect - twins
    below, above = np.hypot([share.effect - share.lower, share.upper - share.effect], [most - twins, twins - fewest])
    return replace(share, effect=effect, lower=effect - float(below), upper=effect + float(above))


def _beyond_chance(struck: np.ndarray, is_train: np.ndarray, *, n: int) -> Estimate:
    """Struck training users minus those expected by chance, as a share of the ``n`` synthetic users.

    Expected by chance is the number of struck held-out users, scaled to the number of training users.

    struck: real users; a user may occur once for each synthetic user that strikes it.
    """
    if not len(struck):
        return _share(0, n=n)
    scale = is_train.sum() / (~is_train).sum()
    hit_train, hit_holdout = is_train[struck].sum(), (~is_train[struck]).sum()
    spread = np.sqrt(hit_train + scale**2 * hit_holdout) / n
    return Estimate.normal(float(hit_train - scale * hit_holdout) / n, standard_error=float(spread))


def _n_items(items: bytes) -> int:
    return len(items) // np.dtype(np.int32).itemsize


def _item_sets(user_items: csr_matrix) -> Iterator[bytes]:
    """Yield each user's items as bytes (a tenth of the memory of a tuple); empty for users of fewer than five items."""
    items = user_items.indices.astype(np.int32, copy=False)
    for start, stop in pairwise(user_items.indptr.tolist()):
        yield items[start:stop].tobytes() if stop - start >= MIN_SET_ITEMS else b""
