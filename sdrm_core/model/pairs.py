"""Pairs of items that more training users share than a low-rank model makes: small, sharp groups of items.

A few latent dimensions cannot hold many small groups. What stands out of them, held by enough people to be nobody's
secret, is kept pair by pair.
"""

from typing import NamedTuple, Self

import numpy as np
from scipy.sparse import csr_matrix, triu
from scipy.stats import false_discovery_control, poisson

from sdrm_core.model.draw import item_popularity
from sdrm_core.randomness import numpy_stream

_FALSE_DISCOVERIES = 0.01
_MAX_PRODUCTS = 4e8
"""Pairs of a user's items that are looked at, over all users: seconds, and some hundred MiB."""
_BLOCK_CELLS = 1 << 24
_HALF_A_USER = 0.5  # what was not drawn is not impossible


class Pairs(NamedTuple):
    """Pairs of items.

    Attributes:
        first: (n_pairs,) columns.
        second: (n_pairs,) columns, above ``first``.
        log_odds: (n_pairs,) that a training user who has the rarer item also has the other.
    """

    first: np.ndarray
    second: np.ndarray
    log_odds: np.ndarray

    @classmethod
    def none(cls) -> Self:
        """Return no pairs."""
        return cls(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0))

    def log_odds_in(self, user_items: csr_matrix) -> np.ndarray:
        """Return (n_pairs,) the log odds among these users; half a user on either side keeps them finite."""
        columns, popularity = user_items.tocsc(), item_popularity(user_items)
        both = np.asarray(columns[:, self.first].multiply(columns[:, self.second]).sum(axis=0)).ravel()
        one = np.minimum(popularity[self.first], popularity[self.second]) - both
        log_odds: np.ndarray = np.log((both + _HALF_A_USER) / (one + _HALF_A_USER))
        return log_odds

    def matrix(self, values: np.ndarray, *, n_items: int) -> csr_matrix:
        """Return the symmetric (n_items, n_items) matrix with ``values`` (n_pairs,) at the pairs, float32."""
        rows, columns = np.concatenate([self.first, self.second]), np.concatenate([self.second, self.first])
        return csr_matrix((np.tile(values.astype(np.float32), 2), (rows, columns)), shape=(n_items, n_items))


def outstanding_pairs(train: csr_matrix, drawn: csr_matrix, *, k_anonymity: int, seed: int) -> Pairs:
    """Return the pairs that training users have more often than drawn users, by more than chance explains.

    Of the pairs found, one in a hundred is expected to be there by chance (Benjamini and Hochberg 1995; a pair's users
    are taken as a Poisson number). Of very many training users a random part is looked at.

    Args:
        train: (n_train_users, n_items) binary.
        drawn: (n_users, n_items) binary, of the model without pairs.
        k_anonymity: users that have to have both items.
        seed: of the run; decides which users are looked at.
    """
    looked_at = _affordable(train, seed=seed)
    first, second, users, expected = _candidates(looked_at, drawn, at_least=k_anonymity)
    if not len(users):
        return Pairs.none()
    p_values = poisson.sf(users - 1, expected)
    found = false_discovery_control(p_values) < _FALSE_DISCOVERIES
    pairs = Pairs(first[found], second[found], np.zeros(found.sum()))
    return pairs._replace(log_odds=pairs.log_odds_in(looked_at))


def _candidates(train: csr_matrix, drawn: csr_matrix, *, at_least: int) -> tuple[np.ndarray, ...]:
    """Return first, second, users and expected users of all pairs that ``at_least`` training users have."""
    n_items = train.shape[1]
    by_item, drawn_by_item = train.T.tocsr(), drawn.T.tocsr()
    found = []
    for start in range(0, n_items, step := max(1, _BLOCK_CELLS // n_items)):
        block = slice(start, start + step)
        shared = triu(by_item[block] @ train, k=start + 1).tocoo()
        is_candidate = shared.data >= at_least
        rows, columns = shared.row[is_candidate], shared.col[is_candidate]
        if not len(rows):
            continue
        drawn_users = np.asarray((drawn_by_item[block] @ drawn)[rows, columns]).ravel()
        expected = (drawn_users + _HALF_A_USER) * (train.shape[0] / drawn.shape[0])
        found.append((rows + start, columns, shared.data[is_candidate], expected))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True)) or (np.zeros(0),) * 4


def _affordable(train: csr_matrix, *, seed: int) -> csr_matrix:
    order = numpy_stream(seed, "pairs").permutation(train.shape[0])
    products = np.cumsum(np.diff(train.indptr)[order].astype(np.float64) ** 2)
    return train[np.sort(order[: max(1, int(np.searchsorted(products, _MAX_PRODUCTS, side="right")))])]
