"""Synthetic users that equal one real user's record, the measurement behind the gate ``unique_copies``."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.matrix import keep_items
from sdrm_core.privacy.copies import LONG_ITEMS, MIN_SET_ITEMS, Copies, p_one_person, share_of
from sdrm_core.privacy.evidence import Evidence
from sdrm_core.privacy.statistics import (
    Estimate,
    binomial_lower,
    binomial_upper,
    excess_p_value,
    struck_p_value,
)

_SUSPECT = 0.15  # a p_versus_holdout above this shows no leak, so the rate of chance hits (twins) is subtracted


def measure_unique_copies(evidence: Evidence) -> Copies:
    """Measure synthetic users that equal a set of five or more items that exactly one real user has.

    Sets that several real users have identify nobody and are left out. All real and all synthetic users are examined,
    also those outside the compared subset. In a small catalogue, real users also have twins (equal records) by chance:
    if training and held-out users are struck about equally often, the rate of twins is subtracted from the share. If
    three people or more have the same set, a record no longer than that may also be a set that people get together.
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
    longest_set = max((_n_items(items) for items, count in holders.items() if count > 2), default=0)

    def p_beside_people(users: np.ndarray, least: int) -> float:
        n_hits, n_twins = int((n_items[users] >= least).sum()), int((twins >= least).sum())
        return excess_p_value(n_hits, n=n_synthetic, control_hits=n_twins, n_control=n_real)

    any_length = min(p_beside_people(hits, least) for least in (MIN_SET_ITEMS, LONG_ITEMS))
    share = share_of(int(is_train[hits].sum()), n=n_synthetic)
    p_versus_holdout = struck_p_value(np.searchsorted(owners, struck), is_train[owners])  # only owners can be struck
    if len(twins) and p_versus_holdout > _SUSPECT:
        share = _beyond_twins(share, n_pairs=len(twins) // 2, is_train=is_train)
    return Copies(
        share=share,
        p_versus_holdout=p_versus_holdout,
        p_one_person=p_one_person(
            hits,
            np.zeros(0, np.int64),
            is_long=n_items >= max(LONG_ITEMS, longest_set + 1),
            is_train=is_train,
            n_synthetic=n_synthetic,
        ),
        p_versus_real=min(2 * any_length, 1.0),  # Bonferroni: two tests, as short records have twins by chance
        p_recurrence=p_beside_people(struck, LONG_ITEMS),
        real_rate=len(twins) / n_real,
        n_synthetic=n_synthetic,
    )


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


def _n_items(items: bytes) -> int:
    return len(items) // np.dtype(np.int32).itemsize


def _item_sets(user_items: csr_matrix) -> Iterator[bytes]:
    """Yield each user's items as bytes (a tenth of the memory of a tuple); empty for users of fewer than five items."""
    items = user_items.indices.astype(np.int32, copy=False)
    for start, stop in pairwise(user_items.indptr.tolist()):
        yield items[start:stop].tobytes() if stop - start >= MIN_SET_ITEMS else b""
