"""Releases whose leak is known, planted on purpose: what the privacy gates are measured with."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack


@dataclass(frozen=True)
class Draw:
    """A random division of real users as in the product: 70 % train, 10 % holdout; the rest is "synthetic"."""

    train: csr_matrix
    holdout: csr_matrix
    fresh: csr_matrix


def divide(users: csr_matrix, rng: np.random.Generator, *, n_fresh: int) -> Draw:
    order = rng.permutation(users.shape[0])
    n_train, n_holdout = int(0.7 * len(order)), int(0.1 * len(order))
    train, holdout, rest = np.split(order, [n_train, n_train + n_holdout])
    return Draw(users[train], users[holdout], users[rest[:n_fresh]])


def to_binary(rows: list[np.ndarray], n_items: int) -> csr_matrix:
    items = [np.unique(row) for row in rows]
    starts = np.cumsum([0, *map(len, items)])
    ones = np.ones(starts[-1], np.float32)
    return csr_matrix((ones, np.concatenate(items).astype(np.int32), starts), shape=(len(rows), n_items))


def with_copies(draw: Draw, rng: np.random.Generator, *, share: float, changed: float = 0.0) -> csr_matrix:
    """Replace a share of the clean users by training users, ``changed`` of whose items are others (at least one)."""
    copied = rng.choice(draw.train.shape[0], round(share * draw.fresh.shape[0]), replace=False)
    popularity = item_shares(draw)
    rows = []
    for user in copied:
        items = draw.train[user].indices
        n_changed = max(1, round(changed * len(items))) if changed else 0
        kept = rng.permutation(items)[n_changed:]
        others = (
            np.setdiff1d(rng.choice(len(popularity), 20 * n_changed, p=popularity), items) if n_changed else kept[:0]
        )
        rows.append(np.concatenate([kept, rng.permutation(others)[:n_changed]]))
    return among_clean(draw, rows, rng)


def with_padded_records(draw: Draw, rng: np.random.Generator, *, share: float, times: int) -> csr_matrix:
    """Replace a share of the clean users by training users of eight items or more, each among popular other items.

    times: number of items in all, as a multiple of the training user's.
    """
    long = np.flatnonzero(np.diff(draw.train.indptr) >= 8)
    popularity = item_shares(draw)
    rows = []
    for user in rng.permutation(long)[: round(share * draw.fresh.shape[0])]:
        items = draw.train[user].indices
        others = np.setdiff1d(np.flatnonzero(popularity), items)
        n_added, shares = min((times - 1) * len(items), len(others)), popularity[others] / popularity[others].sum()
        rows.append(np.concatenate([items, rng.choice(others, n_added, replace=False, p=shares)]))
    return among_clean(draw, rows, rng)


def item_shares(draw: Draw) -> np.ndarray:
    """(n_items,) share of the training users' interactions."""
    shares: np.ndarray = np.bincount(draw.train.indices, minlength=draw.train.shape[1]) / draw.train.nnz
    return shares


def among_clean(draw: Draw, rows: list[np.ndarray], rng: np.random.Generator) -> csr_matrix:
    """The rows in place of as many random clean users, in random order."""
    clean = draw.fresh[rng.permutation(draw.fresh.shape[0])[len(rows) :]]
    mixed = vstack([clean, to_binary(rows, clean.shape[1])]).tocsr()
    return mixed[rng.permutation(mixed.shape[0])]


def popularity_sample(draw: Draw, rng: np.random.Generator, *, n_users: int) -> csr_matrix:
    """Independent users: activity and item popularity of the training users, nothing else."""
    popularity = item_shares(draw)
    log_popularity = np.log(np.maximum(popularity, 1e-12))
    activity = rng.choice(np.diff(draw.train.indptr), n_users)
    gumbel = (log_popularity + rng.gumbel(size=len(popularity)) for _ in range(n_users))
    return to_binary([np.argsort(-keys)[:n] for n, keys in zip(activity, gumbel, strict=True)], len(popularity))


def with_rarest_pairs(draw: Draw, rng: np.random.Generator) -> csr_matrix:
    """Add every training user's rarest pair of items (ties at random) to a random synthetic user."""
    together = (draw.train.T @ draw.train).tocsr()
    rows, columns = [], []
    for user in range(draw.train.shape[0]):
        items = draw.train[user].indices
        counts = together[items][:, items].toarray()
        np.fill_diagonal(counts, np.inf)
        first, second = rng.permutation(np.argwhere(counts == counts.min()))[0]
        rows += [rng.integers(draw.fresh.shape[0])] * 2
        columns += [items[first], items[second]]
    return with_cells(draw.fresh, np.array(rows), np.array(columns))


def with_edge_pairs(draw: Draw, clean: csr_matrix, rng: np.random.Generator, *, k: int) -> csr_matrix:
    """Add to random synthetic users all items that just ``k`` training users have, of each who has two or more."""
    at_the_edge = np.bincount(draw.train.indices, minlength=draw.train.shape[1]) == k
    own = [user.indices[at_the_edge[user.indices]] for user in draw.train]
    own = [items for items in own if len(items) > 1]
    rows = np.repeat(rng.integers(clean.shape[0], size=len(own)), [len(items) for items in own])
    return with_cells(clean, rows, np.concatenate(own) if own else rows)


def with_edge_and_other(draw: Draw, clean: csr_matrix, rng: np.random.Generator, *, k: int) -> csr_matrix:
    """Add to random synthetic users an item that just ``k`` training users have and the holder's rarest of more people.

    Each training user who has both is told of once.
    """
    holders = np.bincount(draw.train.indices, minlength=draw.train.shape[1])
    columns = []
    for user in draw.train:
        edge, other = (user.indices[chosen] for chosen in (holders[user.indices] == k, holders[user.indices] > k))
        if len(edge) and len(other):
            columns += [rng.choice(edge), other[np.argmin(holders[other])]]
    rows = np.repeat(rng.integers(clean.shape[0], size=len(columns) // 2), 2)
    return with_cells(clean, rows, np.array(columns, dtype=np.intp))


def with_cells(users: csr_matrix, rows: np.ndarray, columns: np.ndarray) -> csr_matrix:
    """Give users items, which they may have already."""
    planted = users + csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=users.shape)
    planted.data[:] = 1
    return planted.tocsr()


def with_complete_records(clean: csr_matrix, train: csr_matrix, rng: np.random.Generator, *, n: int) -> csr_matrix:
    """Replace ``n`` clean users by training users of ten items or more."""
    long = rng.permutation(np.flatnonzero(np.diff(train.indptr) >= 10))[:n]
    mixed = vstack([clean[n:], train[long]]).tocsr()
    return mixed[rng.permutation(mixed.shape[0])]


def overfitted_vae(draw: Draw, *, seed: int, epochs: int = 150, hidden: int = 600, latent: int = 200) -> csr_matrix:
    """An autoencoder without dropout, KL or early stop; training users' latents decoded at their own activity."""
    torch.manual_seed(seed)
    n_items = draw.train.shape[1]
    model = torch.nn.Sequential(
        torch.nn.Linear(n_items, hidden),
        torch.nn.Tanh(),
        torch.nn.Linear(hidden, latent),
        torch.nn.Linear(latent, hidden),
        torch.nn.Tanh(),
        torch.nn.Linear(hidden, n_items),
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    users = torch.from_numpy(draw.train.toarray())
    inputs = torch.nn.functional.normalize(users)
    for _ in range(epochs):
        for batch in torch.randperm(len(users)).split(128):
            loss = -(users[batch] * torch.log_softmax(model(inputs[batch]), dim=1)).sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        best = model(inputs).argsort(dim=1, descending=True).numpy()
    rows = [row[:n] for row, n in zip(best, np.diff(draw.train.indptr), strict=True)]
    return to_binary(rows, n_items)[np.random.default_rng(seed).permutation(len(rows))]
