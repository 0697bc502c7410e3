"""Selection of each user's highest-scoring items, all at once or in parts: compiled loops on CPU, tensors on GPU."""

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from sdrm_core.data.matrix import binary_matrix, cell_rows
from sdrm_core.largest import largest
from sdrm_core.loops import compiled

_PARTS = 4
_Csr = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Row starts, columns, values."""


def best_items(scores: Tensor, counts: np.ndarray, *, pairs: csr_matrix) -> csr_matrix:
    """Return the ``counts`` highest-scoring items of each user.

    With pair offsets the items are taken in four parts, and each part changes the scores of the remaining items.

    Args:
        scores: (n_users, n_items) float32; overwritten.
        counts: (n_users,) number of items to take, at most n_items.
        pairs: (n_items, n_items) symmetric, float32; row i is added to a user's scores once item i is taken.

    Returns:
        (n_users, n_items) canonical binary matrix.
    """
    if scores.is_cpu:
        starts = np.concatenate([[0], np.cumsum(counts)])
        columns = np.empty(starts[-1], dtype=np.int32)
        _take(scores.numpy(), starts, columns, (pairs.indptr, pairs.indices, pairs.data), _n_parts(pairs))
        return binary_matrix(columns, counts, n_items=scores.shape[1])
    return best_by_tensors(scores, counts, pairs=pairs)


def best_by_tensors(scores: Tensor, counts: np.ndarray, *, pairs: csr_matrix) -> csr_matrix:
    """Do the same as ``best_items`` with tensor operations, for a GPU; ties may be broken differently."""
    device, n_parts = scores.device, _n_parts(pairs)
    wanted, most = torch.from_numpy(counts).to(device), -(-int(counts.max(initial=0)) // n_parts)
    pair_offsets, taken = _sparse(pairs, device=device), torch.zeros_like(scores, dtype=torch.bool)
    for part in range(n_parts):
        n_now = -(-wanted * (part + 1) // n_parts) - -(-wanted * part // n_parts)
        is_taken = torch.arange(most, device=device) < n_now.unsqueeze(1)
        now = torch.zeros_like(taken).scatter_(1, scores.topk(most, dim=1).indices, is_taken)
        taken |= now
        if part + 1 < n_parts:
            scores += (pair_offsets @ now.T.float()).T
            scores[now] = -torch.inf
    return binary_matrix(taken.nonzero()[:, 1].cpu().numpy(), counts, n_items=scores.shape[1])


def _n_parts(pairs: csr_matrix) -> int:
    return _PARTS if pairs.nnz else 1


@compiled
def _take_best(row: np.ndarray, columns: np.ndarray) -> None:
    """Write the positions of a row's largest values to ``columns``, as many as fit; of equal values the first."""
    best = largest(row, len(columns))
    n_equal_to_least, taken = (best == best[0]).sum(), 0
    for column in range(len(row)):
        if row[column] > best[0] or (row[column] == best[0] and n_equal_to_least > 0):
            n_equal_to_least -= row[column] == best[0]
            columns[taken] = column
            taken += 1


@compiled
def _move(row: np.ndarray, taken: np.ndarray, pairs: _Csr, moved: np.ndarray) -> None:
    """Add the pair offsets of the taken items to a row and exclude these items; ``moved`` is 0 before and after."""
    starts, partners, offsets = pairs
    for item in taken:
        for place in range(starts[item], starts[item + 1]):
            moved[partners[place]] += offsets[place]
    for item in taken:
        for place in range(starts[item], starts[item + 1]):
            row[partners[place]] += moved[partners[place]]
            moved[partners[place]] = 0
    row[taken] = -np.inf


@compiled
def _take(scores: np.ndarray, starts: np.ndarray, columns: np.ndarray, pairs: _Csr, n_parts: int) -> None:
    """Write each user's items to ``columns[starts[user]:starts[user + 1]]``."""
    moved = np.zeros(scores.shape[1], dtype=np.float32)
    for user in range(len(starts) - 1):
        row, count, first = scores[user], starts[user + 1] - starts[user], starts[user]
        for part in range(1, n_parts + 1):
            end = starts[user] - (-count * part // n_parts)
            if end == first:
                continue
            taken = columns[first:end]
            _take_best(row, taken)
            if part < n_parts:
                _move(row, taken, pairs, moved)
            first = end


def _sparse(pairs: csr_matrix, *, device: torch.device) -> Tensor:
    rows, columns = (torch.from_numpy(places.astype(np.int64)) for places in (cell_rows(pairs), pairs.indices))
    sparse = torch.sparse_coo_tensor(
        torch.stack([rows, columns]),
        torch.from_numpy(pairs.data),
        pairs.shape,
        is_coalesced=True,
        check_invariants=False,
    )
    return sparse.to(device)
