"""The comparisons that all gates share: real users with each other, and synthetic users with real users."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack

from sdrm_core.config import PrivacyConfig
from sdrm_core.data.matrix import item_popularity, keep_cells, keep_items
from sdrm_core.data.users import some_rows, some_users
from sdrm_core.privacy.hidden import HiddenItems
from sdrm_core.privacy.similarity import CPU, Neighbours, Side, inverse_frequency, nearest, pair_products
from sdrm_core.privacy.statistics import ranks
from sdrm_core.privacy.verdicts import about
from sdrm_core.randomness import numpy_stream

SUBSET_USERS = 20_000  # subsets are never smaller: with fewer users the gates lose too much power
_MIN_CONTAINED_ITEMS = 8  # fewer items are often within a longer record by chance
_ALIKE = 1 / 2  # similarity to two other people that makes one of a crowd, also of those who have most of its items
_LIST_LENGTH = 7  # times (T + H) / H neighbours are kept; the chance that none is held out is about exp(-7)
_MAX_LIST = 512  # neighbours kept at most
_MAX_LISTED = 6e7  # neighbours of all people together, at most: two gigabytes beside those of the synthetic users


@dataclass(frozen=True)
class RealUsers:
    """Training and held-out users together in random order, and the comparisons among them that serve as the baseline.

    The order does not depend on the roles, so breaking ties by order favours neither role.

    Attributes:
        real: (n_real, n_items), items that ``k_anonymity`` *other* training users have; compared with synthetic users.
        complete: (n_real, n_items), all items; for comparisons among real users.
        published: (n_real, n_items), all publishable items; for the search for copies.
        everyone: (n_everyone, n_items), all items of all real users, also outside the compared subset; training users
            first.
        n_train: number of training users in ``everyone``.
        is_publishable: (n_items,) True where at least ``k_anonymity`` training users have the item.
        is_train: (n_real,) True for training users, False for held-out users.
        train_row: (n_real,) the user's row in the training matrix as given; -1 for held-out users.
        complete_to_complete: nearest *other* real users of each real user by all items: the baseline.
        published_to_published: two nearest other real users by publishable items: the baseline for copies.
        item_weights: (n_items,) larger for rarer items.
        rarity: (n_real,) mean weight of the user's items.
        taste: (n_real, p) covariates that do not depend on the synthetic users or the roles (activity, rarity,
            closeness to other real users); the gates use them to reduce noise.
        compared: empty, or a description of the random subset if comparing all users would exceed the cost limit.
        max_pair_products: limit on the cost of comparing two sets of users.
        seed: of the run; decides which users are in a random subset.
        device: where the comparisons are computed.
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
        """Return the number of held-out users that are compared."""
        return int((~self.is_train).sum())

    @property
    def is_train_of_everyone(self) -> np.ndarray:
        """Return (n_everyone,) True for the training users among everyone."""
        return np.arange(self.everyone.shape[0]) < self.n_train

    @cached_property
    def in_crowd(self) -> np.ndarray:
        """Return (n_real,) True for people like two others: a starter pack, a default basket."""
        in_crowd: np.ndarray = self.published_to_published.similarity[:, 1] >= _ALIKE
        return in_crowd

    @cached_property
    def findable(self) -> csr_matrix:
        """Return (n_real, n_items) ``published``, only of the people looked for within longer records.

        These have eight items or more and are in no crowd; other rows are empty.
        """
        is_findable = (np.diff(self.published.indptr) >= _MIN_CONTAINED_ITEMS) & ~self.in_crowd
        return keep_cells(self.published, np.repeat(is_findable, np.diff(self.published.indptr)))

    @cached_property
    def findable_within_people(self) -> Neighbours:
        """Return the other real user within whom each findable one is contained most: a baseline for copies."""
        return self._within_people(self.findable, self.published, contained="queries")

    @cached_property
    def found_in_people(self) -> Neighbours:
        """Return the other, findable user whom each real user contains most: a baseline for copies."""
        return self._within_people(self.published, self.findable, contained="reference")

    def _within_people(self, users: csr_matrix, others: csr_matrix, *, contained: Side) -> Neighbours:
        own_row, weights = np.arange(users.shape[0]), self.item_weights
        return nearest(users, others, item_weights=weights, own_row=own_row, contained=contained, device=self.device)

    @cached_property
    def hidden(self) -> HiddenItems:
        """Hide items of these users, for the completion attack; done once, however many releases are judged."""
        draw = numpy_stream(self.seed, "privacy", "hidden items")
        return HiddenItems.of(self.real, self.complete, is_train=self.is_train, draw=draw)

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
        """Compare all real users with each other, or a random subset if the cost exceeds ``max_pair_products``.

        ``device`` is also used for all later comparisons with these users.

        If there are more held-out than training users, a random subset of the held-out users is used.

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
        wanted = np.ceil(_LIST_LENGTH * len(order) / max((~is_train).sum(), 1))
        list_length = int(min(wanted, _MAX_LIST, max(2, _MAX_LISTED // len(order))))
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
            published_to_published=nearest(published, published, k=2, own_row=own_row, device=device),
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
    """Similarities between the synthetic users and the real users.

    Attributes:
        people: the real users.
        compared: empty, or a description of the random subsets if comparing all users would exceed the cost limit.
        synthetic: (n_compared, n_items) the synthetic users that are compared.
        synthetic_row: (n_compared,) their rows among all synthetic users.
        released: (n_synthetic, n_items) all synthetic users.
        real_to_synthetic: nearest synthetic user of each real user.
        rare_to_synthetic: (n_real,) similarity to the nearest synthetic user, with rare items weighing more.
    """

    people: RealUsers
    compared: str
    synthetic: csr_matrix
    synthetic_row: np.ndarray
    released: csr_matrix
    real_to_synthetic: Neighbours
    rare_to_synthetic: np.ndarray

    @cached_property
    def synthetic_to_real(self) -> Neighbours:
        """The nearest real users of each synthetic user; found once, and only for whom it is asked."""
        people = self.people
        list_length = people.complete_to_complete.index.shape[1]
        return nearest(self.synthetic, people.real, k=list_length, device=people.device)


def gather(synthetic: csr_matrix, people: RealUsers) -> Evidence:
    """Compare the synthetic users, or a random subset if the cost exceeds the limit, with the real users."""
    draw = numpy_stream(people.seed, "privacy", "synthetic users")
    notes = [people.compared] if people.compared else []
    released = keep_items(synthetic, people.is_publishable)
    affordable = int(released.shape[0] * people.max_pair_products / max(pair_products(released, people.complete), 1))
    rows = some_rows(released.shape[0], max(SUBSET_USERS, affordable), draw=draw)
    synthetic = released
    if len(rows) < released.shape[0]:
        synthetic = released[rows]
        notes.insert(0, f"a random {len(rows):,} of {released.shape[0]:,} synthetic users")
    real, device = people.real, people.device
    return Evidence(
        people=people,
        compared=" and ".join(notes),
        synthetic=synthetic,
        synthetic_row=rows,
        released=released,
        real_to_synthetic=nearest(real, synthetic, device=device),
        rare_to_synthetic=nearest(real, synthetic, item_weights=people.item_weights, device=device).closest,
    )


def _affordable_order(
    everyone: csr_matrix, *, n_train: int, max_pair_products: float, draw: np.random.Generator
) -> tuple[np.ndarray, str]:
    """Return the shuffled rows of the users to compare, and a description of the subset (empty if all are compared).

    A subset takes held-out users first, up to half of it: they are fewer, and the power of the tests depends on their
    number. A subset of 20,000 users is not reduced further even if it costs more than the limit: with fewer users the
    gates have too little power.
    """
    order = draw.permutation(everyone.shape[0])
    cost = pair_products(everyone, everyone)
    if cost <= max_pair_products or len(order) <= SUBSET_USERS:
        return order, ""
    n_kept = max(SUBSET_USERS, int(len(order) * np.sqrt(max_pair_products / cost)))
    is_train = order < n_train
    n_holdout = min(len(order) - n_train, n_kept // 2)
    is_kept = np.where(is_train, np.cumsum(is_train) <= n_kept - n_holdout, np.cumsum(~is_train) <= n_holdout)
    compared = f"{about(n_kept)} of {about(len(order))} real users, {about(n_holdout)} of them held out"
    return order[is_kept], f"a random subset of {compared}"
