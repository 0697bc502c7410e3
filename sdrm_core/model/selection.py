"""The best items of each user, at once or a part at a time: by compiled loops, on a GPU by tensor operations."""

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix
from torch import Tensor

from sdrm_core.loops import compiled

_PARTS = 4
_Csr = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Where rows start, columns, values."""


def best_items(scores: Tensor, counts: np.ndarray, *, pairs: csr_matrix) -> csr_matrix:
    """Return the ``counts`` best items of each user.

    With offsets for pairs they are taken in quarters, and what is taken moves the scores of the rest.

    Args:
        scores: (n_users, n_items) float32; overwritten.
        counts: (n_users,) items to take, at most all.
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
    """Return the same, where a loop cannot go; of items with equal scores another one may be taken."""
    parts, n_parts = list[csr_matrix](), _n_parts(pairs)
    for part in range(n_parts):
        if parts:
            taken, moved = parts[-1].tocoo(), (parts[-1] @ pairs).tocoo()
            scores[_places(moved, scores.device)] += torch.from_numpy(moved.data).to(scores.device)
            scores[_places(taken, scores.device)] = -torch.inf
        parts.append(_best(scores, -(-counts * (part + 1) // n_parts) - -(-counts * part // n_parts)))
    return sum(parts[1:], start=parts[0])


def binary_matrix(columns: np.ndarray, counts: np.ndarray, *, n_items: int) -> csr_matrix:
    """Return the canonical (n_users, n_items) matrix of ``counts`` items a user, one user's after another's."""
    indptr = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(len(columns), dtype=np.float32)
    user_items = csr_matrix((ones, columns, indptr), shape=(len(counts), n_items))
    user_items.sort_indices()
    return user_items


def _n_parts(pairs: csr_matrix) -> int:
    return _PARTS if pairs.nnz else 1


@compiled
def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Return the ``n`` largest values, the smallest of them first: far fewer are wanted than there are."""
    heap = values[:n].copy()
    for place in range(n // 2 - 1, -1, -1):
        _sift_down(heap, place)
    for value in values[n:]:
        if value > heap[0]:
            heap[0] = value
            _sift_down(heap, 0)
    return heap


@compiled
def _sift_down(heap: np.ndarray, place: int) -> None:
    value, child = heap[place], 2 * place + 1
    while child < len(heap):
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place, child = child, 2 * child + 1
    heap[place] = value


@compiled
def _take_best(row: np.ndarray, columns: np.ndarray) -> None:
    """Write the places of a row's best values to ``columns``, as many as fit; of equal ones the first."""
    best = _largest(row, len(columns))
    n_equal_to_least, taken = (best == best[0]).sum(), 0
    for column in range(len(row)):
        if row[column] > best[0] or (row[column] == best[0] and n_equal_to_least > 0):
            n_equal_to_least -= row[column] == best[0]
            columns[taken] = column
            taken += 1


@compiled
def _move(row: np.ndarray, taken: np.ndarray, pairs: _Csr, moved: np.ndarray) -> None:
    """Add to a row what the items taken mean for their partners, and take them out; ``moved`` is 0 before and after."""
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
    """Write each user's items to ``columns`` [starts[user], starts[user + 1])."""
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


def _best(scores: Tensor, counts: np.ndarray) -> csr_matrix:
    n_taken = torch.from_numpy(counts).to(scores.device)
    ranked = scores.topk(int(counts.max(initial=0)), dim=1).indices
    is_taken = torch.arange(ranked.shape[1], device=scores.device) < n_taken.unsqueeze(1)
    return binary_matrix(ranked[is_taken].cpu().numpy(), counts, n_items=scores.shape[1])


def _places(matrix: coo_matrix, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(matrix.row).to(device), torch.from_numpy(matrix.col).to(device)
