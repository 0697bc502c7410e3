"""Synthetic users unusually close to one real user, the measurement behind the gate ``near_copies``."""

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
_ALIKE = 1 / 2  # similarity to two other people that makes one of a crowd, also of those who have most of its items
_ALTERED = 0.1  # share of the items in which the near copies differ that the gate must be able to see


def measure_near_copies(evidence: Evidence) -> Copies:
    """Measure synthetic users that are closer to a training user than almost all real users are to anyone.

    Closeness is expressed as a tail share (``_Peers.tail``): the share of real users of similar size that have another
    real user at least as near.

    1. Five tail shares are tried as the threshold for "near". Chosen is the one where synthetic users are most
       significantly closer to real users than real users of similar size are to each other.
    2. A real user is struck if a synthetic user is within that threshold, and its tail share is at most a twentieth of
       that of the nearest other real user. Typical users are near to synthetic users by chance; this excludes them.
    3. The numbers of struck training and held-out users are compared.

    Steps 1 and 2 do not use the roles. Step 3 leaves out users with fewer than five publishable items: there are more
    of these among held-out users, because training users' own items help to make an item publishable.

    Crowds of people who are alike (a starter pack, a default basket) are left out, as are synthetic users next to them.
    Nobody in a crowd is recognised, but a few percent of such people would make it look normal to be near to somebody.
    If most people are in crowds, as in small or dense catalogues, too few are left to look at.
    """
    people, synthetic, published = evidence.people, evidence.synthetic, evidence.people.published
    to_person, to_people = nearest(synthetic, published, device=people.device), people.published_to_published
    n_items, in_crowd = np.diff(published.indptr), to_people.similarity[:, 1] >= _ALIKE
    next_to_crowd = in_crowd[to_person.index[:, 0]]
    peers = _Peers.of(n_items[~in_crowd], to_people.closest[~in_crowd])
    to_real = np.where(next_to_crowd, 1, peers.tail(to_person.closest, np.diff(synthetic.indptr)))
    closest_synthetic = nearest(published, synthetic, device=people.device).closest
    to_synthetic = np.where(in_crowd, 1, peers.tail(closest_synthetic, n_items))
    among_people = np.where(in_crowd, 1, peers.tail(to_people.closest, n_items, are_peers=True))
    n_synthetic = len(to_real)
    closest, p_versus_real = _most_significant_tail(to_real, among_people)
    is_near = to_real <= _NEAR_SHARE
    struck_by_synthetic = to_person.index[is_near, 0]
    is_telling = _UNEXPECTED * to_real[is_near] <= among_people[struck_by_synthetic]
    struck_by_people = to_people.index[among_people <= _NEAR_SHARE, 0]
    is_recognisable = n_items >= MIN_SET_ITEMS
    are_mostly_alike = 2 * int(in_crowd[is_recognisable].sum()) > int(is_recognisable.sum())
    is_struck = (to_synthetic <= closest) & (_UNEXPECTED * to_synthetic <= among_people)
    copies = Copies(
        share=share_of(int(is_near.sum()), n=n_synthetic),
        p_versus_holdout=struck_p_value(np.flatnonzero(is_struck[is_recognisable]), people.is_train[is_recognisable]),
        p_one_person=p_one_person(
            struck_by_synthetic[is_telling],
            struck_by_people,
            is_long=n_items >= LONG_ITEMS,
            is_train=people.is_train,
            n_synthetic=n_synthetic,
        ),
        p_versus_real=p_versus_real,
        p_recurrence=1.0,
        real_rate=_NEAR_SHARE,
        n_synthetic=n_synthetic,
        is_blind=are_mostly_alike or peers.hide_near_copies,
    )
    if not copies.confirmed:
        return copies
    each_once = np.flatnonzero(to_synthetic <= _NEAR_SHARE)  # each real user once, however many copies there are
    found = [_beyond_chance(struck, people.is_train, n=n_synthetic) for struck in (each_once, struck_by_synthetic)]
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

    def tail(self, similarity: np.ndarray, n_items: np.ndarray, *, are_peers: bool = False) -> np.ndarray:
        """(n_users,) share of peers of similar size whose nearest other real user is at least as similar.

        1 where the similarity is 0 or there are no peers, and for users of fewer than five items: many users share so
        few items.

        Args:
            similarity: (n_users,) similarity of each user to the nearest person.
            n_items: (n_users,) number of items of each user.
            are_peers: True if the users are real users themselves; each is then compared with the others only.
        """
        size_class = np.searchsorted(self.edges, n_items, side="right")
        class_of_peer = np.searchsorted(self.edges, self.n_items, side="right")
        is_recognisable = (similarity > 0) & (n_items >= MIN_SET_ITEMS)
        tail = np.ones(len(similarity))
        for number in range(len(self.edges) + 1):
            members = np.flatnonzero((size_class == number) & is_recognisable)
            peers = np.sort(self.closest[class_of_peer == number])
            if len(peers):
                at_least = len(peers) - np.searchsorted(peers, similarity[members], side="left")
                tail[members] = (at_least - are_peers + 0.5) / (len(peers) - are_peers + 1)
        return tail

    @property
    def hide_near_copies(self) -> bool:
        """Whether more than half of the peers could be copied with a tenth of their items changed and look normal."""
        n_items = self.n_items[self.n_items >= LONG_ITEMS]
        n_altered = np.ceil(_ALTERED * n_items)
        look_normal = self.tail((n_items - n_altered) / (n_items + n_altered), n_items) > _NEAR_SHARE
        return 2 * int(look_normal.sum()) > len(n_items)


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
