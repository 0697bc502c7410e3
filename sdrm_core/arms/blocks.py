"""Sampling in blocks of users, so that dense arrays never cover all users × items."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from sdrm_core.data.matrix import binary_matrix
from sdrm_core.model.activity import block_quantiles, counts_at
from sdrm_core.model.draw import stack_users
from sdrm_core.model.users import block_users
from sdrm_core.randomness import torch_stream

DrawBlock = Callable[[np.ndarray, torch.Generator], csr_matrix]
"""Takes the number of items to draw for each user of a block, (n_users,), and a generator; returns the items."""


def activity_of(train: csr_matrix) -> np.ndarray:
    """Return (n_train,) int64, the training users' numbers of items, sorted."""
    return np.sort(np.diff(train.indptr)).astype(np.int64)


def sample_in_blocks(
    draw: DrawBlock, n_users: int, *, activity: np.ndarray, n_items: int, seed: int, stream: str, device: torch.device
) -> csr_matrix:
    """Return (n_users, n_items) users; each block has its own random stream.

    Blocks are always drawn completely, so a longer sample begins with the same users as a shorter one.

    Args:
        draw: draws a block.
        n_users: total number of users.
        activity: (n_train,) sorted; the numbers of items follow this distribution.
        n_items: size of the catalogue.
        seed: the sample's seed.
        stream: name of the random streams.
        device: of the generators.
    """
    size = block_users(n_items)
    blocks = []
    for number in range(-(-n_users // size)):
        quantiles = block_quantiles(number, size=size, seed=seed, stream=f"{stream} activity")
        generator = torch_stream(seed, stream, number, device=device)
        blocks.append(draw(counts_at(quantiles, reference=activity), generator))
    return stack_users(blocks, n_items=n_items)[:n_users]


def highest(scores: Tensor, *, counts: Tensor) -> Tensor:
    """Return (n_users, n_items) bool: each user's ``counts`` (n_users,) highest-scoring items."""
    ranked = scores.topk(int(counts.max()), dim=1).indices
    is_taken = torch.arange(ranked.shape[1], device=scores.device) < counts.unsqueeze(1)
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, ranked, is_taken)


def users_of_mask(held: Tensor) -> csr_matrix:
    """Return the (n_users, n_items) matrix of a bool tensor, canonical; users may be empty."""
    counts, columns = held.sum(dim=1).cpu().numpy(), held.nonzero()[:, 1].cpu().numpy()
    return binary_matrix(columns, counts, n_items=held.shape[1])
