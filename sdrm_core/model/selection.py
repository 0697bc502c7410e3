"""Selection of each user's highest-scoring items, all at once or in parts: compiled loops on CPU, tensors on GPU."""

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from sdrm_core.data.matrix import binary_matrix, cell_rows
from sdrm_core.loops import compiled

_PARTS = 4
_GROUPS_PER_ITEM = 3  # of columns, for each item to be taken (``_reached``)
_LARGEST = 0x7FFFFFFF  # 32-bit integer
_Csr = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Row starts, columns, values."""


def best_items(scores: Tensor, counts: np.ndarray, *, pairs: csr_matrix) -> csr_matrix:
    """Return the ``counts`` highest-scoring items of each user.

    With pair offsets the items are taken in four parts, and each part changes the scores of the remaining items.

    Args:
        scores: (n_users, n_items) float32; overwritten.
        counts: (n_users,) number of items to take, at most n_items.
        pairs: (n_items, n_items) symmetric, float32, not negative; row i is added to a user's scores once item i is
            taken.

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
def _take(scores: np.ndarray, starts: np.ndarray, columns: np.ndarray, pairs: _Csr, n_parts: int) -> None:
    """Write each user's items to ``columns[starts[user]:starts[user + 1]]``.

    A user's scores are read once: the ``count`` best items, and the partners of what is taken, are all that can be
    taken. They are kept as keys (``_key``), which need no look-up of their scores while they are put in order.
    """
    n_items = scores.shape[1]
    bits, keys, maxima = scores.view(np.int32), np.empty(n_items, np.int64), np.empty(n_items, scores.dtype)
    is_known, raised = np.zeros(n_items, np.bool_), np.zeros(n_items, scores.dtype)
    for user in range(len(starts) - 1):
        row, row_bits, taken = scores[user], bits[user], columns[starts[user] : starts[user + 1]]
        n_keys = len(taken)
        _write_best_keys(row, row_bits, n_keys, keys, maxima)
        for key in keys[:n_keys]:
            is_known[_column(key)] = True
        first = 0
        for part in range(1, n_parts + 1):
            end = -(-len(taken) * part // n_parts)
            _put_largest_first(keys[first:n_keys], end - first)
            for place in range(first, end):
                taken[place] = _column(keys[place])
            if part < n_parts and _raise_partners(row, taken[first:end], pairs, raised):
                n_keys = _with_partners(taken[first:end], pairs, keys, n_keys, is_known)
                for place in range(end, n_keys):
                    keys[place] = _key(row_bits[_column(keys[place])], _column(keys[place]))
            first = end
        for key in keys[:n_keys]:
            is_known[_column(key)] = False


@compiled
def _write_best_keys(row: np.ndarray, row_bits: np.ndarray, n: int, keys: np.ndarray, maxima: np.ndarray) -> None:
    """Write the keys of the ``n`` best columns of a row to ``keys[:n]``, in any order, and others behind them.

    row_bits: the row's bits as integers.
    maxima: scratch space.
    """
    least, n_keys = _reached(row, n, maxima), 0
    for column in range(len(row)):
        if not row[column] < least:  # also what is not a number: there must be n keys
            keys[n_keys] = _key(row_bits[column], column)
            n_keys += 1
    _put_largest_first(keys[:n_keys], n)


@compiled
def _reached(row: np.ndarray, n: int, maxima: np.ndarray) -> float:
    """Return a value that at least ``n`` columns reach, and not many more: the n-th largest maximum of small groups."""
    width = len(row) // max(_GROUPS_PER_ITEM * n, 1)
    if width < 2:
        return -np.inf
    n_groups = len(row) // width
    for group in range(n_groups):
        most = row[group * width]
        for column in range(group * width + 1, (group + 1) * width):  # faster than NumPy's max
            most = max(most, row[column])
        maxima[group] = most
    _put_largest_first(maxima[:n_groups], n)
    least = np.inf
    for maximum in maxima[:n]:
        least = min(least, maximum)
    return least


@compiled
def _put_largest_first(values: np.ndarray, n: int) -> None:
    """Reorder the values so that the ``n`` largest come first, in any order.

    Source: Hoare 1961, "Algorithm 65: Find", Communications of the ACM 4.
    """
    low, high = 0, len(values) - 1
    while low < high:
        left, middle, right = values[low], values[(low + high) // 2], values[high]
        pivot = max(min(left, middle), min(max(left, middle), right))
        up, down = low, high
        while up <= down:
            while values[up] > pivot:
                up += 1
            while values[down] < pivot:
                down -= 1
            if up <= down:
                values[up], values[down] = values[down], values[up]
                up += 1
                down -= 1
        if n - 1 <= down:
            high = down
        elif n - 1 >= up:
            low = up
        else:
            return


@compiled
def _key(score_bits: int, column: int) -> int:
    """Return an integer that orders columns by their float32 score (-0 is below 0), the first of equal ones highest."""
    ordered = score_bits ^ ((score_bits >> 31) & _LARGEST)  # negative floats have their bits in falling order
    return int(np.int64(ordered) << 32 | _LARGEST - column)


@compiled
def _column(key: int) -> int:
    """Return the column of a key."""
    return _LARGEST - (key & _LARGEST)


@compiled
def _raise_partners(row: np.ndarray, taken: np.ndarray, pairs: _Csr, raised: np.ndarray) -> bool:
    """Add the pair offsets of the taken items to the row, and return whether there were any.

    raised: scratch space, 0 before and after.
    """
    starts, partners, offsets = pairs
    any_raised = False
    for item in taken:
        for place in range(starts[item], starts[item + 1]):
            raised[partners[place]] += offsets[place]
            any_raised = True
    for item in taken:
        for place in range(starts[item], starts[item + 1]):
            row[partners[place]] += raised[partners[place]]
            raised[partners[place]] = 0
    return any_raised


@compiled
def _with_partners(taken: np.ndarray, pairs: _Csr, keys: np.ndarray, n_keys: int, is_known: np.ndarray) -> int:
    """Add a key for each partner of the taken items that has none and was not taken; return the number of keys."""
    starts, partners, _ = pairs
    for item in taken:
        for partner in partners[starts[item] : starts[item + 1]]:
            if not is_known[partner]:
                is_known[partner] = True
                keys[n_keys] = _key(0, partner)
                n_keys += 1
    return n_keys


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
