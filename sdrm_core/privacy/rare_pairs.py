"""Exposure of rare combinations: a pair of items that hardly anybody has together can identify its holder.

A pair is *exposed* if a synthetic user has both items. A real user is *struck* if one of the user's pairs is exposed.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.cooccurrence import count_blocks, pairs_of_users
from sdrm_core.data.matrix import item_popularity, keep_items
from sdrm_core.loops import in_blocks
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.kernels import rarest_pairs
from sdrm_core.privacy.statistics import Estimate, adjusted_difference, struck_p_value

_NOTHING_TO_EXPOSE = Estimate(1.0, 1.0, 1.0, 1.0)
MOST_ODDS = 10.0  # odds ratios are clipped to [1/10, 10]
_NOTHING_KNOWN = Estimate(1.0, 1 / MOST_ODDS, MOST_ODDS, 1.0)
_MAX_PRODUCTS = 5e9  # pairs of a user's items, summed over users: 0.5 to 2.5 minutes on one core
_BLOCK_ROWS = 2048
_HALF = 0.5  # added to each count, so that the odds stay finite (Haldane 1956)


@dataclass(frozen=True)
class RarePairs:
    """The odds that rare pairs of training users are exposed, divided by those of held-out users.

    Attributes:
        odds: of ``measure_rare_pairs``: exactly 1 if no training user has such a pair; unknown (1, bounds 1/10 and 10)
            if no held-out user has one, if too few users have one to compare them, or if no training user has one but
            only a part of the items was examined.
        n_users: number of users with such pairs.
        n_items: number of items whose pairs were examined.
    """

    odds: Estimate
    n_users: int
    n_items: int

    @property
    def are_unknown(self) -> bool:
        """Whether nothing is known about the odds."""
        return self.odds == _NOTHING_KNOWN


def measure_rare_pairs(evidence: Evidence, *, k_anonymity: int, draw: np.random.Generator) -> RarePairs:
    """Estimate the odds that a training user's rarest pairs are exposed, divided by those of a held-out user.

    A user's rarest pairs are those that the fewest real users have together, if these are fewer than ``k_anonymity``
    (or only this user). Each user counts once, with the share of these pairs that is exposed, minus what the popularity
    of the single items in the release explains: the combination identifies a user, not the items. An odds ratio is used
    because a ratio of shares could not grow beyond two where half of the pairs are exposed by chance.

    For very large data a random part of the items is examined. A part of the users would not do: common pairs look rare
    among few users.
    """
    people = evidence.people
    items = _affordable_items(people.everyone, draw)
    users, everyone, synthetic = (matrix[:, items] for matrix in (people.real, people.everyone, evidence.synthetic))
    n_pairs, n_exposed, n_chance = _rarest_pairs(users, everyone, synthetic, rare_below=max(k_anonymity, 2))
    has_any, is_train = n_pairs > 0, people.is_train
    n_users, n_items = int(has_any.sum()), len(items)
    if not is_train[has_any].any():
        saw_all = n_items == people.everyone.shape[1]
        return RarePairs(_NOTHING_TO_EXPOSE if saw_all else _NOTHING_KNOWN, n_users, n_items)
    if is_train[has_any].all():
        return RarePairs(_NOTHING_KNOWN, n_users, n_items)
    share, by_chance = n_exposed[has_any] / n_pairs[has_any], n_chance[has_any] / n_pairs[has_any]
    covariates = np.column_stack([by_chance, 1 / n_pairs[has_any], 1 / np.sqrt(n_pairs[has_any])])
    gap = adjusted_difference(share, is_train[has_any], covariates)
    odds = _odds_ratio(gap, mean=share.mean(), share_train=is_train[has_any].mean())
    return RarePairs(odds, n_users, n_items)


def measure_edge_pairs(evidence: Evidence, *, k_anonymity: int) -> RarePairs:
    """Estimate the same odds for pairs that one person alone has, of which one item is an edge item.

    An edge item is one that exactly ``k_anonymity`` training users have. It counts for no training user in the other
    figures (``RealUsers.real``), so only this test can see its exposure. Each pair has exactly one holder, so it is
    equally rare for training and held-out users: the training users decide which items are edge items, but not who is
    struck.

    Two tests are made: the other item is also an edge item, or it is any publishable item. Few users have the first
    kind of pair, and almost none of them is struck by chance; most users have the second kind. The test with the
    smaller p-value counts, and its p-value is doubled.

    All synthetic and all real users are examined.
    """
    people = evidence.people
    at_the_edge = np.flatnonzero(item_popularity(people.everyone[: people.n_train]) == k_anonymity)
    users, synthetic = keep_items(people.everyone, people.is_publishable), evidence.released
    with_edge = users[:, at_the_edge]
    pairs = (with_edge.T @ users).tocoo()
    is_of_one = (pairs.data == 1) & (pairs.col != at_the_edge[pairs.row])
    ones, places = np.ones(is_of_one.sum(), np.float32), (pairs.row[is_of_one], pairs.col[is_of_one])
    of_one = csr_matrix((ones, places), shape=pairs.shape)
    exposed = of_one.multiply((synthetic[:, at_the_edge].T @ synthetic) > 0).tocsr()
    is_train = people.is_train_of_everyone
    found = []
    for partners, columns in ((with_edge, at_the_edge), (users, np.arange(users.shape[1]))):
        has_any, is_struck = (_has_pair(with_edge, partners, chosen[:, columns]) for chosen in (of_one, exposed))
        found.append(_of_the_struck(has_any, is_struck, is_train, n_items=len(at_the_edge)))
    telling = min(found, key=lambda pairs: pairs.odds.p_value)
    return replace(telling, odds=replace(telling.odds, p_value=min(len(found) * telling.odds.p_value, 1.0)))


def _has_pair(first: csr_matrix, second: csr_matrix, pairs: csr_matrix) -> np.ndarray:
    """(n_users,) bool: whether a user has an item of ``first`` and an item of ``second`` that form one of ``pairs``.

    first: (n_users, n_first). second: (n_users, n_second). pairs: (n_first, n_second).
    """
    has_pair: np.ndarray = np.asarray((first @ pairs).multiply(second).sum(axis=1)).ravel() > 0
    return has_pair


def _of_the_struck(has_any: np.ndarray, is_struck: np.ndarray, is_train: np.ndarray, *, n_items: int) -> RarePairs:
    """Compare how many training and held-out users are struck, among the users who have a pair.

    has_any, is_struck, is_train: (n_users,).
    """
    struck, of_train = np.flatnonzero(is_struck[has_any]), is_train[has_any]
    hits = np.array([is_struck[is_train].sum(), is_struck[~is_train].sum()]) + _HALF
    others = np.array([of_train.sum(), (~of_train).sum()]) + 2 * _HALF - hits
    log_ratio = float(np.log(hits[0] / others[0]) - np.log(hits[1] / others[1]))
    odds = _odds(log_ratio, standard_error=float(np.sqrt((1 / hits + 1 / others).sum())))
    return RarePairs(replace(odds, p_value=struck_p_value(struck, of_train)), len(of_train), n_items)


def _affordable_items(users: csr_matrix, draw: np.random.Generator) -> np.ndarray:
    """Return the columns, ascending, whose pairs are counted: all, or a random part that costs about the limit."""
    cost = float(pairs_of_users(users).sum())
    n_items = users.shape[1]
    if cost <= _MAX_PRODUCTS:
        return np.arange(n_items)
    return np.sort(draw.permutation(n_items)[: int(n_items * np.sqrt(_MAX_PRODUCTS / cost))])


def _rarest_pairs(users: csr_matrix, everyone: csr_matrix, synthetic: csr_matrix, *, rare_below: int) -> np.ndarray:
    """(3, n_users): number of each user's rarest pairs, how many are exposed, and how many would be by chance."""
    users = users.sorted_indices()
    postings = users.tocsc()
    lists = ((postings.indptr, postings.indices), (users.indptr, users.indices))
    release = (item_popularity(synthetic), synthetic.shape[0])
    found = (np.full(users.shape[0], rare_below - 1), np.zeros((users.shape[0], 3)))
    for (first, people), (_, drawn) in zip(count_blocks(everyone), count_blocks(synthetic), strict=True):
        arguments = (first, lists, (people, drawn), release, found)
        in_blocks(rarest_pairs, users.shape[0], *arguments, block_rows=_BLOCK_ROWS)
    return found[1].T


def _odds_ratio(gap: Estimate, *, mean: float, share_train: float) -> Estimate:
    """Convert the difference of two shares with overall mean ``mean`` to an odds ratio (interval: delta method)."""
    train, holdout, pooled = np.clip(mean + np.array([1 - share_train, -share_train, 0]) * gap.effect, 1e-6, 1 - 1e-6)
    log_ratio = float(np.log(train / (1 - train)) - np.log(holdout / (1 - holdout)))
    return replace(_odds(log_ratio, gap.standard_error / (pooled * (1 - pooled))), p_value=gap.p_value)


def _odds(log_ratio: float, standard_error: float) -> Estimate:
    """Convert a log odds ratio to an odds ratio, clipped to [1 / MOST_ODDS, MOST_ODDS]."""
    on_log = Estimate.normal(log_ratio, standard_error=standard_error)
    odds = np.array([on_log.effect, on_log.lower, on_log.upper])
    within = np.clip(odds, -np.log(MOST_ODDS), np.log(MOST_ODDS))
    effect, lower, upper = np.clip(np.exp(within), 1 / MOST_ODDS, MOST_ODDS).tolist()
    return Estimate(effect, lower, upper, on_log.p_value)
