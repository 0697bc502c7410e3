"""Copies of persons: synthetic users that equal, or nearly equal, one training user."""

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

MIN_SET_ITEMS = 5
_LONG_ITEMS = 10  # a record of so many items hardly recurs by chance, however typical synthetic users are
NEAR_SHARE = 0.01
_TAIL_SHARES = (0.05, 0.02, NEAR_SHARE, 0.005, 0.002)  # how close is close: the share of real people that are closer
_MAX_SIZE_CLASSES = 4  # of few items it takes less to look alike
_UNEXPECTED = 20  # times as rare as the closeness of the nearest person: closeness to a synthetic user that tells
_SUSPECT = 0.15  # p-value of "held-out people are struck as often" from which on there is no sign of a leak
_MIN_PEERS = 200  # among fewer a share of a hundredth is not to be seen


@dataclass(frozen=True)
class Copies:
    """How often synthetic users hit real ones, and the two tests of whether that is a leak.

    Attributes:
        share: copies of training users beyond chance, as a share of the synthetic users.
        p_versus_holdout: training users are hit no more often than held-out users (exact, whatever the generator); 1
            where the odds are below 1.5, which very many users would prove.
        p_one_person: no training user is hit by more synthetic users than people hit that person.
        p_versus_real: synthetic users hit real ones no more often than real people hit one another.
        p_recurrence: long complete records of so many different people recur no more often than among people; 1 where
            altered records were looked for, which a generator less diverse than people makes without leaking.
        real_rate: share of real people that hit another one: the baseline.
        n_synthetic: synthetic users looked at.
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
        """Whether the synthetic users hit real ones more often than people do, so that weaker proof is enough."""
        return self.p_versus_real < 0.01

    @property
    def is_suspicious(self) -> bool:
        """Whether, besides, it is training users who are hit: too few to prove it, too many to pass."""
        return self.confirmed and self.p_versus_holdout < 1


def unique_copies(evidence: Evidence) -> Copies:
    """Measure synthetic users equal to a set of five items or more that exactly one real user holds.

    Popular sets, which many hold, betray nobody and are left out. All people and all synthetic users are looked at,
    those not compared too. In a small catalogue people have a twin by chance, too: hits that strike training and
    held-out users alike count as far as they are more than these.
    """
    people = evidence.people
    everyone = keep_items(people.everyone, people.is_publishable)
    holders = Counter(items for items in _item_sets(everyone) if items)
    owner = {items: user for user, items in enumerate(_item_sets(everyone)) if holders[items] == 1}
    hits = np.array([owner.get(items, -1) for items in _item_sets(evidence.released)])
    n_synthetic, n_real, is_train = len(hits), everyone.shape[0], np.arange(everyone.shape[0]) < people.n_train
    hits = hits[hits >= 0]
    struck, n_items, owners = np.unique(hits), np.diff(everyone.indptr), np.fromiter(owner.values(), np.int64)
    twins = np.repeat([_n_items(items) for items, count in holders.items() if count == 2], 2)

    def p_beside_people(users: np.ndarray, least: int) -> float:
        n_hits, n_twins = int((n_items[users] >= least).sum()), int((twins >= least).sum())
        return excess_p_value(n_hits, n=n_synthetic, control_hits=n_twins, n_control=n_real)

    any_length = min(p_beside_people(hits, least) for least in (MIN_SET_ITEMS, _LONG_ITEMS))
    share = _share(int(is_train[hits].sum()), n=n_synthetic)
    p_versus_holdout = struck_p_value(np.searchsorted(owners, struck), is_train[owners])  # who can be struck
    if len(twins) and p_versus_holdout > _SUSPECT:
        share = _beyond_twins(share, n_pairs=len(twins) // 2, is_train=is_train)
    return Copies(
        share=share,
        p_versus_holdout=p_versus_holdout,
        p_one_person=_one_person(
            hits, np.zeros(0, np.int64), n_items=n_items, is_train=is_train, n_synthetic=n_synthetic
        ),
        p_versus_real=min(2 * any_length, 1.0),  # two looks: short records have twins among people too
        p_recurrence=p_beside_people(struck, _LONG_ITEMS),
        real_rate=len(twins) / n_real,
        n_synthetic=n_synthetic,
    )


def near_copies(evidence: Evidence) -> Copies:
    """Measure synthetic users closer to a training user than all but few real people are to anyone.

    How close a pair of users is, is told by a tail share: of the people of like size, how many have another person at
    least as near (``_tail``).

    1. The tail share that counts as close is chosen among five: the one at which synthetic users are most significantly
       closer to people than people of as many items are to one another.
    2. A person is struck if a synthetic user is that close, and its tail share is a twentieth of that of the nearest
       other person or less: who is like many others is close to synthetic users by chance.
    3. Training users are compared with held-out users by how many of them are struck.

    The first two steps do not look at roles. The third leaves out people of fewer than five publishable items: among
    held-out users there are more of these, because training users' own items help to make an item publishable.
    """
    people, synthetic, published = evidence.people, evidence.synthetic, evidence.people.published
    to_person, to_people = nearest(synthetic, published, device=people.device), people.published_to_published
    to_real = _tail(to_person.closest, synthetic, people)
    to_synthetic = _tail(nearest(published, synthetic, device=people.device).closest, published, people)
    among_people = _tail(to_people.closest, published, people, are_peers=True)
    n_items = np.diff(published.indptr)
    n_synthetic, n_real = len(to_real), len(to_synthetic)
    versus_real = {  # counted alike on both sides: of people, too, only those that can be recognised are that close
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
    each_once = np.flatnonzero(to_synthetic <= NEAR_SHARE)  # however many copies there are of a person
    found = [_beyond_chance(struck, people.is_train, n=n_synthetic) for struck in (each_once, struck_by_synthetic)]
    return replace(copies, share=max(found, key=lambda share: share.upper))


def _tail(similarity: np.ndarray, users: csr_matrix, people: RealUsers, *, are_peers: bool = False) -> np.ndarray:
    """(n_users,) share of real people of like size whose nearest other person is at least as similar; 1 at 0.

    1 also for users of fewer than five items: what they share with somebody, they share with many.

    Args:
        similarity: (n_users,) to the nearest person.
        users: (n_users, n_items).
        people: whom they are near to.
        are_peers: whether the users are these people themselves, each of whom is then compared with the others.
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
    """Return the sizes from which on a user belongs to the next class, ascending; each class has peers enough."""
    n_classes = min(max(len(sizes) // _MIN_PEERS, 1), _MAX_SIZE_CLASSES)
    edges: list[float] = []
    n_below, ordered = 0, np.sort(sizes)
    for edge in np.quantile(sizes, np.arange(1, n_classes) / n_classes):
        n_smaller = int(np.searchsorted(ordered, edge))  # where many are of one size, an edge may part off hardly any
        if min(n_smaller - n_below, len(sizes) - n_smaller) >= _MIN_PEERS // 2:
            edges.append(float(edge))
            n_below = n_smaller
    return np.array(edges)


def _one_person(
    by_synthetic: np.ndarray, by_people: np.ndarray, *, n_items: np.ndarray, is_train: np.ndarray, n_synthetic: int
) -> float:
    """P-value, after Bonferroni, of the training user struck most, beside how often people strike that user.

    A long record hardly recurs: how often people strike it, once more at least, is taken for what chance does. A short
    one may be what people buy as a set, of whom one was there by chance: there both counts are compared.

    Args:
        by_synthetic: (n_hits,) the real user whom each synthetic user strikes.
        by_people: (n_hits_among_people,) the real user whom each real user strikes.
        n_items: (n_real,) items per real user.
        is_train: (n_real,) bool.
        n_synthetic: synthetic users.
    """
    n_real = len(is_train)
    hits, normal = (np.bincount(struck, minlength=n_real)[is_train] for struck in (by_synthetic, by_people))
    by_rate = poisson.sf(hits - 1, (normal + 1) * n_synthetic / n_real)
    by_counts = hypergeom.sf(hits - 1, n_synthetic + n_real, hits + normal + 1, n_synthetic)
    p_values = np.where(n_items[is_train] >= _LONG_ITEMS, by_rate, by_counts)
    return min(float(p_values.min(initial=1.0)) * len(hits), 1.0)


def _share(hits: int, *, n: int) -> Estimate:
    """The share of synthetic users that hit a training user: an upper bound of the copies, chance hits included."""
    return Estimate(hits / n, binomial_lower(hits, n=n), binomial_upper(hits, n=n), p_value=1.0)


def _beyond_twins(share: Estimate, *, n_pairs: int, is_train: np.ndarray) -> Estimate:
    """What a share of synthetic users has beyond that of people whose twin is a training user.

    Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17, method 10, with exact intervals of both.
    """
    n_real, halves = len(is_train), 2 * is_train.mean()  # each pair is two people, whose twin may be held out
    twins, fewest, most = (
        halves * rate
        for rate in (n_pairs / n_real, binomial_lower(n_pairs, n=n_real), binomial_upper(n_pairs, n=n_real))
    )
    effect = share.effect - twins
    below, above = np.hypot([share.effect - share.lower, share.upper - share.effect], [most - twins, twins - fewest])
    return replace(share, effect=effect, lower=effect - float(below), upper=effect + float(above))


def _beyond_chance(struck: np.ndarray, is_train: np.ndarray, *, n: int) -> Estimate:
    """Training users struck beyond what held-out users, scaled to their number, say is chance; per synthetic user.

    struck: real users; one may be there as often as it is struck.
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
    """Yield each user's items as bytes, a tenth of a tuple's size; nothing for fewer than five."""
    items = user_items.indices.astype(np.int32, copy=False)
    for start, stop in pairwise(user_items.indptr.tolist()):
        yield items[start:stop].tobytes() if stop - start >= MIN_SET_ITEMS else b""
