"""The nearest-neighbour search as tensor operations, for a GPU; it finds the same neighbours as the compiled loops."""

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from sdrm_core.data.matrix import cell_rows

_MAX_CELLS = 1 << 22  # of a block: query users × items, and query × reference users; .3 GiB with all temporaries


def nearest_rows(
    left: csr_matrix,
    right: csr_matrix,
    *,
    k: int,
    weights: np.ndarray,
    own: np.ndarray,
    device: torch.device,
    times: tuple[int, int] = (1, 1),
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return each query user's ``k`` most similar reference users, and sums over all reference users.

    Sums of weights are added in no fixed order. They are exact, and so are the neighbours, if the weights are multiples
    of a small unit, as 1 and ``inverse_frequency`` are.

    Args:
        left: (n_queries, n_items) canonical, binary.
        right: (n_reference, n_items), likewise.
        k: number of neighbours to keep.
        weights: (n_items,) weight of each item.
        own: (n_queries,) the row of the reference that is the query user itself; -1: none.
        device: where to compute.
        times: by what the summed weights of the query and of the reference users are multiplied.

    Returns:
        (n_queries, k) index and similarity as in ``Neighbours``; (n_queries,) sums of the similarities and of their
        fourth powers.
    """
    n_reference, n_items = right.shape
    places, shared_weight = _places(right, device=device), torch.from_numpy(weights.astype(np.float64)[right.indices])
    reference = torch.sparse_coo_tensor(
        torch.stack(places), shared_weight.to(device), size=right.shape, is_coalesced=True, check_invariants=False
    )
    of_left, of_right = (
        torch.from_numpy(number * (users @ weights.astype(np.float64))).to(device)
        for number, users in zip(times, (left, right), strict=True)
    )
    index = np.full((left.shape[0], k), -1, np.int32)
    similarity, total, fourth = np.zeros((left.shape[0], k)), *np.zeros((2, left.shape[0]))
    for start in range(0, left.shape[0], step := max(1, _MAX_CELLS // max(n_reference, n_items))):
        block = slice(start, min(start + step, left.shape[0]))
        overlap = reference @ _columns(left[block], device=device)
        itself = torch.from_numpy(own[block].astype(np.int64)).to(device)
        mine = torch.arange(len(itself), device=device)[itself >= 0]
        overlap[itself[itself >= 0], mine] = 0
        union = of_left[block] + of_right[:, None] - overlap
        jaccard = torch.where(overlap > 0, overlap / union, 0.0)
        rows, best = _best(jaccard, k=min(k, n_reference))
        index[block, : len(rows)] = rows.T.cpu().numpy()
        similarity[block, : len(rows)] = best.T.cpu().numpy()
        total[block] = jaccard.sum(dim=0).cpu().numpy()
        fourth[block] = jaccard.square().square().sum(dim=0).cpu().numpy()
    return index, similarity, total, fourth


def _best(similarity: Tensor, *, k: int) -> tuple[Tensor, Tensor]:
    """Return the (k, n_queries) rows of the largest values, ties by row, and the values; row -1 where the value is 0.

    ``topk`` takes arbitrary rows among those that tie at the last place, so these ties are resolved separately.
    """
    n_rows = len(similarity)
    values, rows = similarity.topk(k, dim=0)
    last = values[-1]
    by_row = torch.arange(n_rows, 0, -1, device=similarity.device, dtype=similarity.dtype)[:, None]
    equal = torch.where(similarity == last, by_row, 0.0).topk(k, dim=0)
    candidates = torch.cat(
        [torch.where(values > last, rows, n_rows), torch.where(equal.values > 0, equal.indices, n_rows)]
    )
    ordered = candidates.sort(dim=0).values
    padded = torch.cat([similarity, torch.zeros_like(last)[None]])
    first = padded.gather(0, ordered).sort(dim=0, descending=True, stable=True)
    best, chosen = first.values[:k], ordered.gather(0, first.indices[:k])
    return torch.where(best > 0, chosen, -1), best


def _columns(users: csr_matrix, *, device: torch.device) -> Tensor:
    """Return a block of users as a dense (n_items, n_users) tensor."""
    rows, items = _places(users, device=device)
    columns = torch.zeros(users.shape[1], users.shape[0], dtype=torch.float64, device=device)
    columns[items, rows] = 1
    return columns


def _places(users: csr_matrix, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the (nnz,) rows and items, in storage order."""
    return torch.from_numpy(cell_rows(users)).to(device), torch.from_numpy(users.indices.astype(np.int64)).to(device)
