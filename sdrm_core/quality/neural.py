"""MLP and NeuMF, neural judges that score a user-item pair (He et al., Neural Collaborative Filtering, 2017).

An evaluation user has no embedding of its own. As in FISM (Kabbur et al., 2013), a user is the sum of vectors of the
user's items, divided by the root of their number, so that new users need no training.
"""

import copy
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional

from sdrm_core.data.matrix import Fold, cell_rows
from sdrm_core.data.users import batches
from sdrm_core.errors import TrainingError
from sdrm_core.quality.ranking import METRICS, rank_users
from sdrm_core.randomness import numpy_stream, torch_stream
from sdrm_core.threads import one_thread

_EMBEDDING_DIM = 32
_TOWER_UNITS = (64, 32, 16)
_NEGATIVES = 4
_LEARNING_RATE = 5e-3
_BATCH_USERS = 64
_BATCH_POSITIVES = 2048
_CHECK_STEPS = 50
_MAX_CHECKS = 60
_PATIENCE_CHECKS = 6
_BLOCK_PAIRS = 1 << 17
_STOPPING_METRIC = METRICS.index("ndcg@10")


class PairNetwork(nn.Module):
    """Scores pairs by an MLP over both embeddings, and for NeuMF also by their elementwise product."""

    def __init__(self, n_items: int, *, with_product: bool, generator: torch.Generator) -> None:
        super().__init__()
        dim = _EMBEDDING_DIM * (2 if with_product else 1)
        self.of_user = nn.Parameter(0.1 * torch.randn(n_items, dim, generator=generator))
        self.of_item = nn.Parameter(0.1 * torch.randn(n_items, dim, generator=generator))
        self.user_layer = nn.Linear(_EMBEDDING_DIM, _TOWER_UNITS[0])
        self.item_layer = nn.Linear(_EMBEDDING_DIM, _TOWER_UNITS[0], bias=False)
        self.tower = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(_TOWER_UNITS))
        self.item_bias = nn.Parameter(torch.zeros(n_items))
        self.head = nn.Linear(_TOWER_UNITS[-1] + dim - _EMBEDDING_DIM, 1)
        for layer in (self.user_layer, self.item_layer, *self.tower, self.head):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the logits of ``users`` (..., dim) with ``items`` (...), column numbers that broadcast with them."""
        embedded = self.of_item[items]
        tower_users, tower_items = users[..., :_EMBEDDING_DIM], embedded[..., :_EMBEDDING_DIM]
        product = users[..., _EMBEDDING_DIM:] * embedded[..., _EMBEDDING_DIM:]  # (..., 32), or empty
        hidden = functional.relu(self.user_layer(tower_users) + self.item_layer(tower_items))  # (..., 64)
        for layer in self.tower:
            hidden = functional.relu(layer(hidden))
        logits: Tensor = self.head(torch.cat([hidden, product], dim=-1)).squeeze(-1) + self.item_bias[items]
        return logits


@dataclass(frozen=True)
class NeuralJudge:
    """A trained pair network.

    Attributes:
        network: in evaluation mode.
    """

    network: PairNetwork

    @one_thread()
    @torch.no_grad()
    def score(self, inputs: csr_matrix) -> np.ndarray:
        """Return the logits of all items, for users represented by their input items."""
        n_users, n_items = inputs.shape
        root_counts = np.sqrt(np.maximum(1, np.diff(inputs.indptr)))[:, None]
        users = torch.from_numpy((inputs @ self.network.of_user.numpy() / root_counts).astype(np.float32))
        scores = np.empty((n_users, n_items), dtype=np.float32)
        block_items = max(1, _BLOCK_PAIRS // max(1, n_users))
        for start in range(0, n_items, block_items):
            items = torch.arange(start, min(start + block_items, n_items))
            scores[:, start : start + block_items] = self.network(users[:, None], items).numpy()
        return scores


@one_thread()
def fit_neural(
    user_items: csr_matrix,
    *,
    with_product: bool,
    validation: Fold,
    seed: int,
    user_weights: np.ndarray | None = None,
) -> NeuralJudge:
    """Train by logistic regression of a user's items against random other items, with early stopping.

    Args:
        user_items: (n_users, n_items) binary, canonical; users without items are ignored.
        with_product: True: NeuMF; False: MLP.
        validation: validation users for early stopping; without any, training continues to the last step.
        seed: seed of weights, batches and negatives.
        user_weights: (n_users,) weight of each user's loss; None: 1 each.

    Raises:
        TrainingError: the loss is not finite.
    """
    with_items = np.flatnonzero(np.diff(user_items.indptr))
    weights = np.ones(len(with_items)) if user_weights is None else user_weights[with_items]
    user_items = user_items[with_items]
    network = PairNetwork(
        user_items.shape[1], with_product=with_product, generator=torch_stream(seed, "neural-judge-weights")
    )
    if not len(with_items):
        return NeuralJudge(network.requires_grad_(False))
    optimizer = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    shuffler = numpy_stream(seed, "neural-judge-batches")
    user_batches = batches(user_items.shape[0], batch_users=_BATCH_USERS, draw=shuffler)
    draws = numpy_stream(seed, "neural-judge-pairs")
    best, best_quality, best_check = network, -1.0, 0
    for check in range(_MAX_CHECKS):
        for _ in range(_CHECK_STEPS):
            rows = np.sort(next(user_batches))
            loss = _loss(network, user_items[rows], weights[rows], draws)
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss of a neural judge is not finite: {loss.item()}; leave it out")
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        quality = _quality(network, validation, default=float(check))  # the default rises: the last is best
        if quality > best_quality:
            best, best_quality, best_check = copy.deepcopy(network), quality, check
        elif check - best_check >= _PATIENCE_CHECKS:
            break
    return NeuralJudge(best)


def _quality(network: PairNetwork, fold: Fold, *, default: float) -> float:
    if not fold.inputs.shape[0]:
        return default
    metrics = rank_users(NeuralJudge(network).score, inputs=fold.inputs, targets=fold.targets)
    return float(metrics[:, _STOPPING_METRIC].mean())


def _loss(network: PairNetwork, user_items: csr_matrix, weights: np.ndarray, draws: np.random.Generator) -> Tensor:
    """Return the weighted logistic loss of a batch.

    To predict one of a user's items, the user is represented by the other items.
    """
    n_items, counts = user_items.shape[1], np.diff(user_items.indptr)
    held = cell_rows(user_items) * n_items + user_items.indices
    positives = held if len(held) <= _BATCH_POSITIVES else np.sort(draws.choice(held, _BATCH_POSITIVES, replace=False))
    rows, items = positives // n_items, torch.from_numpy(positives % n_items)
    other_rows, other_items = _random_others(rows, held, n_items, draws)
    sums = functional.embedding_bag(
        torch.from_numpy(user_items.indices.astype(np.int64)),
        network.of_user,
        torch.from_numpy(user_items.indptr[:-1].astype(np.int64)),
        mode="sum",
    )
    root = torch.from_numpy(np.sqrt(np.maximum(1, counts)).astype(np.float32))[:, None]
    root_of_others = torch.from_numpy(np.sqrt(np.maximum(1, counts - 1)).astype(np.float32))[:, None]
    users = torch.cat([(sums[rows] - network.of_user[items]) / root_of_others[rows], (sums / root)[other_rows]])
    logits = network(users, torch.cat([items, torch.from_numpy(other_items)]))
    labels = torch.cat([torch.ones(len(rows)), torch.zeros(len(other_rows))])
    pair_weights = torch.from_numpy(weights[np.concatenate([rows, other_rows])].astype(np.float32))
    return functional.binary_cross_entropy_with_logits(logits, labels, pair_weights, reduction="sum") / len(labels)


def _random_others(
    rows: np.ndarray, held: np.ndarray, n_items: int, draws: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and items of up to four random negative pairs for each of ``rows``, none of them in ``held``."""
    keys = np.repeat(rows, _NEGATIVES) * n_items + draws.integers(n_items, size=len(rows) * _NEGATIVES)
    place = np.minimum(np.searchsorted(held, keys), len(held) - 1)
    keys = keys[held[place] != keys]
    return keys // n_items, keys % n_items
