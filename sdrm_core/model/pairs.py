"""Item pairs that more training users share than a low-rank model generates: small groups of co-occurring items.

A few latent dimensions cannot represent many small groups. The significant pairs, if enough training users have them
to reveal no single user, are corrected one by one.
"""

from typing import NamedTuple, Self

import numpy as np
from scipy.sparse import csr_matrix
from scipy.stats import binom, false_discovery_control

from sdrm_core.data.cooccurrence import count_pairs, users_within
from sdrm_core.data.matrix import item_popularity
from sdrm_core.loops import compiled, in_blocks
from sdrm_core.randomness import numpy_stream

_FALSE_DISCOVERIES = 0.01
_MAX_PRODUCTS = 4e8
"""Pairs of a user's items, summed over users, that are counted at most: some seconds and some hundred MiB."""
_PAIRS_A_CALL = 256
_HALF_A_USER = 0.5  # added to counts: a pair that was not drawn is not impossible


class Pairs(NamedTuple):
    """Pairs of items.

    Attributes:
        first: (n_pairs,) columns.
        second: (n_pairs,) columns, greater than ``first``.
        users: (n_pairs,) number of training users that have both items.
        log_odds: (n_pairs,) log odds that a training user who has the rarer item also has the other.
    """

    first: np.ndarray
    second: np.ndarray
    users: np.ndarray
    log_odds: np.ndarray

    @classmethod
    def none(cls) -> Self:
        """Return an empty set of pairs."""
        none = np.zeros(0, dtype=np.int32)
        return cls(none, none, users=none, log_odds=np.zeros(0))

    def log_odds_in(self, user_items: csr_matrix) -> np.ndarray:
        """Return (n_pairs,) the log odds among these users; half a user is added to each count to keep them finite."""
        users_of, popularity = user_items.tocsc(), item_popularity(user_items)  # each item's users in ascending order
        both = np.empty(len(self.first), dtype=np.float32)
        lists, pairs = (users_of.indptr, users_of.indices), (self.first, self.second)
        in_blocks(_count_shared, len(both), lists, pairs, both, block_rows=_PAIRS_A_CALL)
        one = np.minimum(popularity[self.first], popularity[self.second]) - both
        log_odds: np.ndarray = np.log((both + _HALF_A_USER) / (one + _HALF_A_USER))
        return log_odds

    def matrix(self, values: np.ndarray, *, n_items: int) -> csr_matrix:
        """Return the symmetric (n_items, n_items) matrix with ``values`` (n_pairs,) at the pairs, float32."""
        rows, columns = np.concatenate([self.first, self.second]), np.concatenate([self.second, self.first])
        matrix = csr_matrix((np.tile(values.astype(np.float32), 2), (rows, columns)), shape=(n_items, n_items))
        matrix.eliminate_zeros()
        return matrix


def outstanding_pairs(train: csr_matrix, drawn: csr_matrix, *, k_anonymity: int, seed: int) -> Pairs:
    """Return the pairs that training users have significantly more often than drawn users.

    The test is binomial: of all users who have a pair, how many are training users? Pairs that at least ``k_anonymity``
    training users have are tested, at a false discovery rate of 1 % (Benjamini and Hochberg 1995). The pairs were
    selected by the same counts, so the true rate is higher: 7 % beside 600 true pairs in a trial. Testing rarer pairs
    too would lose those that exactly ``k_anonymity`` users have, which are most of the pairs in sparse data. For very
    large data a random subset of the users is counted.

    Args:
        train: (n_train_users, n_items) binary.
        drawn: (n_users, n_items) binary, drawn from the model without pair offsets. More users reveal rarer pairs.
        k_anonymity: number of users that must have both items.
        seed: of the run; decides which users are counted.
    """
    train, drawn = _affordable(train, seed=seed), _affordable(drawn, seed=seed)
    counted = count_pairs(train, drawn, at_least=k_anonymity)
    if not len(counted.first):
        return Pairs.none()
    share = train.shape[0] / (train.shape[0] + drawn.shape[0])
    p_values = binom.sf(counted.users - 1, counted.users + counted.others, share)
    found = false_discovery_control(p_values) < _FALSE_DISCOVERIES
    pairs = Pairs(counted.first[found], counted.second[found], counted.users[found], np.zeros(found.sum()))
    return pairs._replace(log_odds=pairs.log_odds_in(train))


def _affordable(user_items: csr_matrix, *, seed: int) -> csr_matrix:
    rows = users_within(user_items, max_products=_MAX_PRODUCTS, draw=numpy_stream(seed, "pairs"))
    return user_items[np.sort(rows)]


@compiled
def _count_shared(
    start: int, stop: int, lists: tuple[np.ndarray, ...], pairs: tuple[np.ndarray, ...], shared: np.ndarray
) -> None:
    """Count in [start, stop) of ``shared`` the users who have both items of a pair, by merging their ascending lists.

    lists: the matrix by column (column starts, users).
    pairs: first and second item of each pair.
    """
    (item_starts, users), (first, second) = lists, pairs
    for pair in range(start, stop):
        place, end = item_starts[first[pair]], item_starts[first[pair] + 1]
        other, other_end = item_starts[second[pair]], item_starts[second[pair] + 1]
        n_shared = 0
        while place < end and other < other_end:
            n_shared += users[place] == users[other]
            is_behind = users[place] <= users[other]
            other += users[other] <= users[place]
            place += is_behind
        shared[pair] = n_shared
