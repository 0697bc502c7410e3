"""The comparisons that all gates share: real users with each other, and synthetic users with real ones."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack

from sdrm_core.config import PrivacyConfig
from sdrm_core.data.matrix import item_popularity, keep_items
from sdrm_core.data.users import some_rows, some_users
from sdrm_core.privacy.similarity import CPU, Neighbours, inverse_frequency, nearest, pair_products
from sdrm_core.privacy.statistics import ranks
from sdrm_core.randomness import numpy_stream

SUBSET_USERS = 20_000
_LIST_LENGTH = 7  # times (T + H) / H neighbours are kept: with chance exp(-7) or so none of them is held out
_MAX_LIST = 512


@dataclass(frozen=True)
class RealUsers:
    """Training and held-out users together, in a random order, and what is normal among them.

    The order carries no label, so neither do ties broken by it; everything but ``is_train`` is blind to the roles.

    Attributes:
        real: (n_real, n_items), items that ``k_anonymity`` other training users have: what synthetic users face.
        complete: (n_real, n_items), all items: what real users face among themselves.
        published: (n_real, n_items), all items that may be published: for copies.
        everyone: (n_everyone, n_items), all items of all people, those not compared too, training users first.
        n_train: training users among everyone.
        is_publishable: (n_items,) True where enough training users have the item.
        is_train: (n_real,) True for training, False for held-out users.
        train_row: (n_real,) the row a training user had as given; -1 for held-out users.
        complete_to_complete: nearest *other* real users of each real user, by all items: what is known of people.
        published_to_published: the nearest other real user by items that may be published: what is normal for copies.
        item_weights: (n_items,) the rarer an item, the more.
        rarity: (n_real,) mean rarity of the user's items.
        taste: (n_real, p) what is known of a user without the synthetic set and the roles; the control of all gates.
        compared: empty, or what was compared because the exact cost was above the limit.
        max_pair_products: what comparing two sets of users may cost.
        seed: of the run; decides who is compared where not all are.
        device: where they were compared.
    """

    real: csr_matrix
    complete: csr_matrix
    published: csr_matrix
    everyone: csr_matrix
    n_train: int
    is_publishable: np.ndarray
    is_train: np.ndarray
    train_row: np.ndarray
    complete_to_complete: Neighbours
    published_to_published: Neighbours
    item_weights: np.ndarray
    rarity: np.ndarray
    taste: np.ndarray
    compared: str
    max_pair_products: float
    seed: int
    device: torch.device

    @property
    def n_holdout(self) -> int:
        """Return how many held-out users are compared."""
        return int((~self.is_train).sum())

    @classmethod
    def of(
        cls,
        train: csr_matrix,
        holdout: csr_matrix,
        *,
        config: PrivacyConfig,
        seed: int,
        device: torch.device = CPU,
    ) -> "RealUsers":
        """Compare all real users with each other, or a random part where that costs more than ``max_pair_products``.

        On ``device``, as everything that is compared with them later.

        Of more held-out than training users a random part is looked at.

        An item counts for a user only if ``k_anonymity`` *other* training users have it. Otherwise the rule for
        publishable items would itself look like a leak: an item just at the limit is more likely to be publishable if
        its holder is a training user.
        """
        draw = numpy_stream(seed, "privacy", "real users")
        holdout = some_users(holdout, train.shape[0], draw=draw)
        holders = item_popularity(train)
        is_publishable = holders >= config.k_anonymity
        everyone = vstack([train, holdout]).tocsr()
        counted = vstack([keep_items(train, holders > config.k_anonymity), keep_items(holdout, is_publishable)]).tocsr()
        order, compared = _affordable_order(
            everyone, n_train=train.shape[0], max_pair_products=config.max_pair_products, draw=draw
        )
        complete, is_train = everyone[order], order < train.shape[0]
        published = keep_items(complete, is_publishable)
        own_row, weights = np.arange(len(order)), inverse_frequency(complete)
        list_length = int(min(np.ceil(_LIST_LENGTH * len(order) / max((~is_train).sum(), 1)), _MAX_LIST))
        complete_to_complete = nearest(complete, complete, k=list_length, own_row=own_row, device=device)
        rare_to_real = nearest(complete, complete, own_row=own_row, item_weights=weights, device=device).closest
        activity = np.diff(complete.indptr)
        rarity = np.asarray(complete @ weights).ravel() / np.maximum(activity, 1)
        known = (activity, rarity, complete_to_complete.closest, complete_to_complete.density, rare_to_real)
        linear = np.column_stack([ranks(values) for values in known])
        return cls(
            real=counted[order],
            complete=complete,
            published=published,
            everyone=everyone,
            n_train=train.shape[0],
            is_publishable=is_publishable,
            is_train=is_train,
            train_row=np.where(is_train, order, -1),
            complete_to_complete=complete_to_complete,
            published_to_published=nearest(published, published, own_row=own_row, device=device),
            item_weights=weights,
            rarity=rarity,
            taste=np.column_stack([linear, linear**2]),
            compared=compared,
            max_pair_products=config.max_pair_products,
            seed=seed,
            device=device,
        )


@dataclass(frozen=True)
class Evidence:
    """Who is how close to whom: synthetic users beside real ones.

    Attributes:
        people: the real users.
        compared: empty, or what of either was compared because the exact cost was above the limit.
        synthetic: (n_compared, n_items) the synthetic users compared.
        synthetic_row: (n_compared,) their rows among all synthetic users.
        released: (n_synthetic, n_items) all synthetic users, those not compared too.
        synthetic_to_real: nearest real users of each synthetic user.
        real_to_synthetic: nearest synthetic users of each real user.
        rare_to_synthetic: (n_real,) closest synthetic user by similarity that weighs rare items more.
    """

    people: RealUsers
    compared: str
    synthetic: csr_matrix
    synthetic_row: np.ndarray
    released: csr_matrix
    synthetic_to_real: Neighbours
    real_to_synthetic: Neighbours
    rare_to_synthetic: np.ndarray


def gather(synthetic: csr_matrix, people: RealUsers) -> Evidence:
    """Compare synthetic users with the people, or as many random ones of them as the limit affords."""
    draw = numpy_stream(people.seed, "privacy", "synthetic users")
    notes = [people.compared] if people.compared else []
    released = keep_items(synthetic, people.is_publishable)
    affordable = int(released.shape[0] * people.max_pair_products / max(pair_products(released, people.complete), 1))
    rows = some_rows(released.shape[0], max(SUBSET_USERS, affordable), draw=draw)
    synthetic = released
    if len(rows) < released.shape[0]:
        synthetic = released[rows]
        notes.insert(0, f"a random {len(rows):,} of {released.shape[0]:,} synthetic users")
    real, list_length, device = people.real, people.complete_to_complete.index.shape[1], people.device
    return Evidence(
        people=people,
        compared=" and ".join(notes),
        synthetic=synthetic,
        synthetic_row=rows,
        released=released,
        synthetic_to_real=nearest(synthetic, real, k=list_length, device=device),
        real_to_synthetic=nearest(real, synthetic, device=device),
        rare_to_synthetic=nearest(real, synthetic, item_weights=people.item_weights, device=device).closest,
    )


def _affordable_order(
    everyone: csr_matrix, *, n_train: int, max_pair_products: float, draw: np.random.Generator
) -> tuple[np.ndarray, str]:
    """Return the rows of the users to compare, shuffled, and how many they are if not all.

    Held-out users go first, up to half of all: they are the fewer, and what can be told hangs on their number. A subset
    that still costs more than the limit is cut no further: below 20,000 users the gates see too little.
    """
    order = draw.permutation(everyone.shape[0])
    cost = pair_products(everyone, everyone)
    if cost <= max_pair_products or len(order) <= SUBSET_USERS:
        return order, ""
    n_kept = max(SUBSET_USERS, int(len(order) * np.sqrt(max_pair_products / cost)))
    is_train = order < n_train
    n_holdout = min(len(order) - n_train, n_kept // 2)
    is_kept = np.where(is_train, np.cumsum(is_train) <= n_kept - n_holdout, np.cumsum(~is_train) <= n_holdout)
    return order[is_kept], f"a random {n_kept:,} of {len(order):,} real users, {n_holdout:,} of them held out"
