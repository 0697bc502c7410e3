"""Synthetic users unusually close to one real user, the measurements behind the gate ``near_copies``."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sdrm_core.privacy.copies import LONG_ITEMS, MIN_SET_ITEMS, Copies, p_one_person, share_of
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.similarity import nearest
from sdrm_core.privacy.statistics import Estimate, excess_p_value, struck_p_value

_NEAR_SHARE = 0.01  # "near": at most 1 % of real users of similar size have another real user as near
_TAIL_SHARES = (0.05, 0.02, _NEAR_SHARE, 0.005, 0.002)  # thresholds tried for "near"; the most significant one counts
_MAX_SIZE_CLASSES = 4  # of users by number of items: two short records look alike more easily than two long ones
_UNEXPECTED = 20  # a hit has at most 1/20 of the nearest other person's tail share: typical users are near by chance
_MIN_PEERS = 200  # real users per size class; with fewer, a share of 1 % cannot be estimated
_ALTERED = 0.1  # share of the items in which the near copies differ that the gate must be able to see
_PADDED = 1 / 1.2  # similarity of a record to one three times as long, with items as rare, that it must be able to see


def measure_near_copies(evidence: Evidence) -> Copies:
    """Measure synthetic users that are closer to a training user than almost all real users are to anyone.

    Crowds of people who are alike (a starter pack, a default basket) are left out, as are synthetic users next to them.
    Nobody in a crowd is recognised, but a few percent of such people would make it look normal to be near to somebody.
    If most people are in crowds, as in small or dense catalogues, too few are left to look at.
    """
    people, synthetic = evidence.people, evidence.synthetic
    published, to_people, in_crowd = people.published, people.published_to_published, people.in_crowd
    to_person = nearest(synthetic, published, device=people.device)
    closest_synthetic = nearest(published, synthetic, device=people.device).closest
    n_items = np.diff(published.indptr)
    peers = _Peers.of(n_items[~in_crowd], to_people.closest[~in_crowd])
    next_to_crowd = in_crowd[to_person.index[:, 0]]
    to_real = np.where(next_to_crowd, 1, peers.tail(to_person.closest, np.diff(synthetic.indptr)))
    among_people = np.where(in_crowd, 1, peers.tail(to_people.closest, n_items, is_peer=True))
    is_recognisable = n_items >= MIN_SET_ITEMS
    are_mostly_alike = 2 * int(in_crowd[is_recognisable].sum()) > int(is_recognisable.sum())
    n_altered = np.ceil(_ALTERED * peers.n_items)
    tails = _Tails(
        person=to_person.index[:, 0],
        to_real=to_real,
        of_person=to_real,
        real_person=to_people.index[:, 0],
        real_to_real=among_people,
        to_synthetic=np.where(in_crowd, 1, peers.tail(closest_synthetic, n_items)),
        among_people=among_people,
    )
    altered = (peers.n_items - n_altered) / np.maximum(peers.n_items + n_altered, 1)
    is_blind = are_mostly_alike or peers.hide(altered)
    return _copies(tails, n_items=n_items, is_train=people.is_train, is_blind=is_blind)


def measure_contained_records(evidence: Evidence) -> Copies:
    """Measure synthetic users within which a training user's record is, more than almost any is within a real user's.

    Padded with popular items to several times its length, a record is near to nobody, but still recognised by the rare
    items in it. Rare items weigh more here, and those that only the longer record has weigh little. Only people of
    eight items or more are looked for, and none who is in a crowd.
    """
    people, synthetic, findable = evidence.people, evidence.synthetic, evidence.people.findable
    weights, device = people.item_weights, people.device
    found = nearest(synthetic, findable, item_weights=weights, contained="reference", device=device)
    within = nearest(findable, synthetic, item_weights=weights, contained="queries", device=device)
    n_items, n_findable = np.diff(people.published.indptr), np.diff(findable.indptr)
    is_peer, is_findable, person = ~people.in_crowd, n_findable > 0, found.index[:, 0]
    containers = _Peers.of(n_items[is_peer], people.found_in_people.closest[is_peer])
    contained = _Peers.of(n_findable[is_findable], people.findable_within_people.closest[is_findable])
    tails = _Tails(
        person=person,
        to_real=containers.tail(found.closest, np.diff(synthetic.indptr)),
        of_person=contained.tail(found.closest, n_findable[person]),
        real_person=people.found_in_people.index[:, 0],
        real_to_real=containers.tail(people.found_in_people.closest, n_items, is_peer=is_peer),
        to_synthetic=contained.tail(within.closest, n_findable),
        among_people=contained.tail(people.findable_within_people.closest, n_findable, is_peer=True),
    )
    is_blind = contained.hide(np.full(len(contained.n_items), _PADDED))
    return _copies(tails, n_items=n_findable, is_train=people.is_train, is_blind=is_blind)


class _Tails(NamedTuple):
    """How unusual it is to be so close: tail shares (``_Peers.tail``), 1 for those who do not count.

    Two sides may differ in what is usual: synthetic users, and real users in their place; and people to whom these are
    close.

    Attributes:
        person: (n_synthetic,) the nearest real user of each synthetic user.
        to_real: (n_synthetic,) tail share of the closeness to that real user, among real users in the same place.
        of_person: (n_synthetic,) the same among people like that real user.
        real_person: (n_real,) the nearest other real user of each real user in the place of a synthetic user.
        real_to_real: (n_real,) tail share of that closeness: the baseline of ``to_real``.
        to_synthetic: (n_real,) tail share of the closeness of each real user to the nearest synthetic user.
        among_people: (n_real,) the same to the nearest other real user: the baseline of ``to_synthetic``.
    """

    person: np.ndarray
    to_real: np.ndarray
    of_person: np.ndarray
    real_person: np.ndarray
    real_to_real: np.ndarray
    to_synthetic: np.ndarray
    among_people: np.ndarray


def _copies(tails: _Tails, *, n_items: np.ndarray, is_train: np.ndarray, is_blind: bool) -> Copies:
    """Count the people to whom synthetic users are unusually close, and compare the roles.

    1. Five tail shares are tried as the threshold for "near". Chosen is the one where synthetic users are most
       significantly closer to real users than real users of similar size are to each other.
    2. A real user is struck if a synthetic user is within that threshold, and its tail share is at most a twentieth of
       that of the nearest other real user. Typical users are near to synthetic users by chance; this excludes them.
    3. The numbers of struck training and held-out users are compared.

    Steps 1 and 2 do not use the roles. Step 3 leaves out users with fewer than five publishable items: there are more
    of these among held-out users, because training users' own items help to make an item publishable.

    Args:
        tails: of ``n_synthetic`` synthetic and ``n_real`` real users.
        n_items: (n_real,) number of items by which each real user may be recognised.
        is_train: (n_real,) bool.
        is_blind: whether people are so alike that copies could not be seen.
    """
    n_synthetic = len(tails.to_real)
    closest, p_versus_real = _most_significant_tail(tails.to_real, tails.real_to_real)
    is_near = tails.to_real <= _NEAR_SHARE
    struck_by_synthetic = tails.person[is_near]
    is_telling = _UNEXPECTED * tails.of_person[is_near] <= tails.among_people[struck_by_synthetic]
    is_recognisable = n_items >= MIN_SET_ITEMS
    is_struck = (tails.to_synthetic <= closest) & (_UNEXPECTED * tails.to_synthetic <= tails.among_people)
    copies = Copies(
        share=share_of(int(is_near.sum()), n=n_synthetic),
        p_versus_holdout=struck_p_value(np.flatnonzero(is_struck[is_recognisable]), is_train[is_recognisable]),
        p_one_person=p_one_person(
            struck_by_synthetic[is_telling],
            tails.real_person[tails.real_to_real <= _NEAR_SHARE],
            is_long=n_items >= LONG_ITEMS,
            is_train=is_train,
            n_synthetic=n_synthetic,
        ),
        p_versus_real=p_versus_real,
        p_recurrence=1.0,
        real_rate=_NEAR_SHARE,
        n_synthetic=n_synthetic,
        is_blind=is_blind,
    )
    if not copies.confirmed:
        return copies
    each_once = np.flatnonzero(tails.to_synthetic <= _NEAR_SHARE)  # each real user once, however many copies there are
    found = [_beyond_chance(struck, is_train, n=n_synthetic) for struck in (each_once, struck_by_synthetic)]
    return replace(copies, share=max(found, key=lambda share: share.upper))


def _most_significant_tail(to_real: np.ndarray, among_people: np.ndarray) -> tuple[float, float]:
    """Return the tail share at which synthetic users are near to real users most significantly more often than people.

    Returns:
        The tail share, and its p-value after Bonferroni over all that are tried.
    """
    p_values = {
        share: excess_p_value(
            int((to_real <= share).sum()),
            n=len(to_real),
            control_hits=int((among_people <= share).sum()),  # by the same rule: short records are never near
            n_control=len(among_people),
        )
        for share in _TAIL_SHARES
    }
    closest = min(_TAIL_SHARES, key=p_values.__getitem__)
    return closest, min(p_values[closest] * len(_TAIL_SHARES), 1.0)


class _Peers(NamedTuple):
    """Real users outside crowds: how near people of a similar number of items are to one another.

    Attributes:
        n_items: (n_peers,) number of items of each.
        closest: (n_peers,) similarity of each to the nearest other real user.
        edges: smallest number of items of each size class but the first.
    """

    n_items: np.ndarray
    closest: np.ndarray
    edges: np.ndarray

    @classmethod
    def of(cls, n_items: np.ndarray, closest: np.ndarray) -> "_Peers":
        return cls(n_items, closest, _class_edges(n_items))

    def tail(self, similarity: np.ndarray, n_items: np.ndarray, *, is_peer: np.ndarray | bool = False) -> np.ndarray:
        """(n_users,) share of peers of similar size whose nearest other real user is at least as similar.

        1 where the similarity is 0 or there are no peers, and for users of fewer than five items: many users share so
        few items.

        Args:
            similarity: (n_users,) similarity of each user to the nearest person.
            n_items: (n_users,) number of items of each user.
            is_peer: (n_users,) True for users who are among the peers; each is then compared with the others only.
        """
        size_class = np.searchsorted(self.edges, n_items, side="right")
        class_of_peer = np.searchsorted(self.edges, self.n_items, side="right")
        is_recognisable = (similarity > 0) & (n_items >= MIN_SET_ITEMS)
        tail, is_peer = np.ones(len(similarity)), np.broadcast_to(is_peer, len(similarity))
        for number in range(len(self.edges) + 1):
            members = np.flatnonzero((size_class == number) & is_recognisable)
            peers = np.sort(self.closest[class_of_peer == number])
            if len(peers):
                at_least = len(peers) - np.searchsorted(peers, similarity[members], side="left")
                is_one = is_peer[members]
                tail[members] = (at_least - is_one + 0.5) / (len(peers) - is_one + 1)
        return tail

    def hide(self, similarity: np.ndarray) -> bool:
        """Whether more than half of the peers of ten items or more could be copied unnoticed.

        similarity: (n_peers,) of each peer to an altered copy.
        """
        is_long = self.n_items >= LONG_ITEMS
        look_normal = self.tail(similarity, self.n_items)[is_long] > _NEAR_SHARE
        return 2 * int(look_normal.sum()) > int(is_long.sum())


def _class_edges(sizes: np.ndarray) -> np.ndarray:
    """Return the smallest size of each size class but the first, ascending; each class has enough real users."""
    if not len(sizes):
        return np.empty(0)
    n_classes = min(max(len(sizes) // _MIN_PEERS, 1), _MAX_SIZE_CLASSES)
    edges: list[float] = []
    n_below, ordered = 0, np.sort(sizes)
    for edge in np.quantile(sizes, np.arange(1, n_classes) / n_classes):
        n_smaller = int(np.searchsorted(ordered, edge))  # if many users have equal sizes, a class may be almost empty
        if min(n_smaller - n_below, len(sizes) - n_smaller) >= _MIN_PEERS // 2:
            edges.append(float(edge))
            n_below = n_smaller
    return np.array(edges)


def _beyond_chance(struck: np.ndarray, is_train: np.ndarray, *, n: int) -> Estimate:
    """Struck training users minus those expected by chance, as a share of the ``n`` synthetic users.

    Expected by chance is the number of struck held-out users, scaled to the number of training users.

    struck: real users; a user may occur once for each synthetic user that strikes it.
    """
    if not len(struck):
        return share_of(0, n=n)
    scale = is_train.sum() / (~is_train).sum()
    hit_train, hit_holdout = is_train[struck].sum(), (~is_train[struck]).sum()
    spread = np.sqrt(hit_train + scale**2 * hit_holdout) / n
    return Estimate.normal(float(hit_train - scale * hit_holdout) / n, standard_error=float(spread))
