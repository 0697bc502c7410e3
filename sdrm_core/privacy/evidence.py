"""The comparisons all gates share, made once: synthetic users, training users and held-out users, each with each."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, vstack

from sdrm_core.privacy.similarity import Neighbours, inverse_frequency, nearest, pair_products
from sdrm_core.privacy.statistics import ranks
from sdrm_core.randomness import numpy_stream

SUBSET_USERS = 20_000
_LIST_LENGTH = 7  # of a neighbour list, times (T + H) / H: it misses a held-out user with chance exp(-7)
_MAX_LIST = 512


@dataclass(frozen=True)
class Evidence:
    """Who is how close to whom. "Real" are training and held-out users together, in a random order.

    The order carries no label, so neither do ties broken by it; everything but ``is_train`` is blind to the roles.

    Attributes:
        synthetic: (n_synthetic, n_items) the synthetic users compared.
        real: (n_real, n_items), items that ``k_anonymity`` other training users have: what synthetic users face.
        complete: (n_real, n_items), all items: what real users face among themselves.
        published: (n_real, n_items), all items that may be published: for exact comparison.
        is_train: (n_real,) True for training, False for held-out users.
        train_row: (n_real,) the row a training user had as given; -1 for held-out users.
        synthetic_to_real: nearest real users of each synthetic user.
        real_to_synthetic: nearest synthetic users of each real user.
        real_to_real: nearest *other* real users of each real user: what is normal.
        rare_to_synthetic: (n_real,) closest synthetic user by similarity that weighs rare items more.
        taste: (n_real, p) what is known of a user without the synthetic set and the roles; the control of all gates.
        rarity: (n_real,) mean rarity of the user's items.
        compared: empty, or what was compared because the exact cost was above the limit.
    """

    synthetic: csr_matrix
    real: csr_matrix
    complete: csr_matrix
    published: csr_matrix
    is_train: np.ndarray
    train_row: np.ndarray
    synthetic_to_real: Neighbours
    real_to_synthetic: Neighbours
    real_to_real: Neighbours
    rare_to_synthetic: np.ndarray
    taste: np.ndarray
    rarity: np.ndarray
    compared: str


def gather(
    synthetic: csr_matrix,
    train: csr_matrix,
    holdout: csr_matrix,
    *,
    k_anonymity: int,
    max_pair_products: float,
    seed: int,
) -> Evidence:
    """Compare everyone with everyone, or random subsets where that costs more than ``max_pair_products``.

    An item counts for a person only if ``k_anonymity`` *other* training users have it. Otherwise the rule that rarer
    items are not published would itself look like a leak: of the items at its edge, those that training users have
    are more often published than those that held-out users have.
    """
    draw = numpy_stream(seed, "privacy", "evidence")
    holders = np.bincount(train.indices, minlength=train.shape[1])
    synthetic = _only(synthetic, holders >= k_anonymity)
    everyone = vstack([train, holdout]).tocsr()
    counted = vstack([_only(train, holders > k_anonymity), _only(holdout, holders >= k_anonymity)]).tocsr()
    synthetic, order, compared = _within_budget(synthetic, everyone, max_pair_products=max_pair_products, draw=draw)
    real, complete = counted[order], everyone[order]
    is_train = order < train.shape[0]
    list_length = int(min(np.ceil(_LIST_LENGTH * len(order) / max((~is_train).sum(), 1)), _MAX_LIST))
    own_row = np.arange(len(order))
    weights = inverse_frequency(complete)
    real_to_real = nearest(complete, complete, k=list_length, own_row=own_row)
    rare_to_real = nearest(complete, complete, own_row=own_row, item_weights=weights).closest
    activity = np.diff(complete.indptr)
    rarity = np.asarray(complete @ weights).ravel() / np.maximum(activity, 1)
    known = (activity, rarity, real_to_real.closest, real_to_real.density, rare_to_real)
    linear = np.column_stack([ranks(values) for values in known])
    return Evidence(
        synthetic=synthetic,
        real=real,
        complete=complete,
        published=_only(complete, holders >= k_anonymity),
        is_train=is_train,
        train_row=np.where(is_train, order, -1),
        synthetic_to_real=nearest(synthetic, real, k=list_length),
        real_to_synthetic=nearest(real, synthetic),
        real_to_real=real_to_real,
        rare_to_synthetic=nearest(real, synthetic, item_weights=weights).closest,
        taste=np.column_stack([linear, linear**2]),
        rarity=rarity,
        compared=compared,
    )


def _only(user_items: csr_matrix, is_kept: np.ndarray) -> csr_matrix:
    """The same users and columns, without the items that are not kept."""
    kept = csr_matrix((is_kept[user_items.indices], user_items.indices, user_items.indptr), shape=user_items.shape)
    kept = kept.astype(np.float32)
    kept.eliminate_zeros()
    return kept


def _within_budget(
    synthetic: csr_matrix, real: csr_matrix, *, max_pair_products: float, draw: np.random.Generator
) -> tuple[csr_matrix, np.ndarray, str]:
    """Return the synthetic users and the shuffled real rows to compare: all, or random ones, the synthetic cut first.

    A subset that still costs more than the limit is cut no further: below 20,000 users the gates see too little.
    """
    order, notes = draw.permutation(real.shape[0]), []
    if pair_products(synthetic, real) > max_pair_products and synthetic.shape[0] > SUBSET_USERS:
        notes.append(f"a random {SUBSET_USERS:,} of {synthetic.shape[0]:,} synthetic users")
        synthetic = synthetic[np.sort(draw.choice(synthetic.shape[0], SUBSET_USERS, replace=False))]
    cost = max(pair_products(synthetic, real), pair_products(real, real))
    if cost > max_pair_products and len(order) > SUBSET_USERS:
        kept = max(SUBSET_USERS, int(len(order) * np.sqrt(max_pair_products / cost)))
        notes.append(f"a random {kept:,} of {len(order):,} real users")
        order = order[:kept]
    return synthetic, order, " and ".join(notes)
