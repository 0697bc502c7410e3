"""Exact nearest neighbours between two sets of users, by inverted lists: the basis of the privacy gates.

This module returns similarities; the gates decide what these mean for privacy.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_matrix

from sdrm_core.data.matrix import item_popularity
from sdrm_core.errors import DataError, Problem
from sdrm_core.loops import in_blocks
from sdrm_core.privacy import tensors
from sdrm_core.privacy.kernels import nearest_rows

CPU = torch.device("cpu")
Side = Literal["queries", "reference"]
_WEIGHT_UNIT = 2.0**-24  # item weights are multiples of this, so that their sums are exact
_SPARE = 10  # a container's own items count a tenth: they hardly hide whom it contains
_BLOCK_ROWS = 64  # small enough to keep all cores busy to the end, large enough to pay for the scratch arrays


@dataclass(frozen=True)
class Neighbours:
    """The nearest reference users of each query user.

    Attributes:
        index: (n_queries, k) int32, rows of the reference, most similar first, ties by row;
            -1 where fewer than k reference users share an item with the query user.
        similarity: (n_queries, k) float64 in [0, 1], of the users in ``index``; 0 where the index is -1.
        mean: (n_queries,) float64, mean similarity to all reference users except the query user itself.
        density: (n_queries,) float64, mean fourth power of the similarity: a kernel density estimate.
            The Jaccard similarity is positive definite, so its powers are kernels too.
    """

    index: np.ndarray
    similarity: np.ndarray
    mean: np.ndarray
    density: np.ndarray

    @property
    def closest(self) -> np.ndarray:
        """(n_queries,) similarity to the most similar reference user."""
        closest: np.ndarray = self.similarity[:, 0]
        return closest


def nearest(
    queries: csr_matrix,
    reference: csr_matrix,
    *,
    k: int = 1,
    item_weights: np.ndarray | None = None,
    own_row: np.ndarray | None = None,
    contained: Side | None = None,
    workers: int | None = None,
    device: torch.device = CPU,
) -> Neighbours:
    """Return each query user's ``k`` most similar reference users by (weighted) Jaccard similarity.

    J(a, b) = w(a ∩ b) / (w(a) + w(b) - w(a ∩ b)), where w is the sum of the weights of a set's items. With
    ``contained``, C(a, b) = w(a ∩ b) / (w(a ∩ b) + w(a ∖ b) + w(b ∖ a) / 10): how far the user a of that side is
    contained in b (Tversky 1977, "Features of similarity", Psychological Review 84). A user without items has
    similarity 0 to everyone. The result is exact, and the same to the last bit for any number of workers. On
    a GPU the neighbours are the same if sums of weights are exact; the means differ in their last bits.

    Args:
        queries: (n_queries, n_items), 1 where a user has an item.
        reference: (n_reference, n_items), likewise.
        k: number of neighbours to keep.
        item_weights: (n_items,) positive weights; None: 1 for each item.
        own_row: (n_queries,) the row of the reference that is the query user itself and is left out; -1: none.
        contained: the side whose users are looked for within those of the other side; None: neither.
        workers: threads; None: one per core. Scratch memory is O(workers * n_reference).
        device: a GPU or the CPU. A GPU visits every pair of users, so sets that are so sparse that most pairs share
            nothing are computed on the CPU.

    Raises:
        DataError: an empty set, different catalogues, values other than 0 and 1, or weights that are not positive.
    """
    left, right = clean(queries=queries, reference=reference)
    if item_weights is not None and not (item_weights > 0).all():
        what = f"not positive in {int((~(item_weights > 0)).sum()):,} of {len(item_weights):,} items"
        raise DataError(Problem("item_weights", what, "Leave out the items that are not to count."))
    n_queries, n_reference = left.shape[0], right.shape[0]
    own = np.full(n_queries, -1, np.int32) if own_row is None else own_row.astype(np.int32)
    weights = np.ones(left.shape[1], np.int32) if item_weights is None else item_weights.astype(np.float64)
    others = np.maximum(n_reference - (own >= 0), 1)
    # Jaccard's formula also gives C / 10, if the summed weights of the contained users are multiplied by ten.
    times = (_SPARE if contained == "queries" else 1, _SPARE if contained == "reference" else 1)
    scale = max(times)
    if device.type != "cpu" and pair_products(left, right) > n_queries * n_reference:
        index, similarity, total, fourth = tensors.nearest_rows(
            left, right, k=k, weights=weights, times=times, own=own, device=device
        )
    else:
        postings = right.tocsc()
        index, similarity = np.full((n_queries, k), -1, np.int32), np.zeros((n_queries, k))
        total, fourth = np.zeros(n_queries), np.zeros(n_queries)
        arguments = (
            (left.indptr.astype(np.uint64), left.indices.astype(np.uint32), times[0] * _set_weights(left, weights)),
            (
                *(postings.indptr.astype(np.uint64), postings.indices.astype(np.uint32)),
                times[1] * _set_weights(right, weights),
            ),
            *(weights, own, (index, similarity, total, fourth)),
        )
        in_blocks(nearest_rows, n_queries, *arguments, block_rows=_BLOCK_ROWS, workers=workers)
    return Neighbours(index, scale * similarity, scale * total / others, scale**4 * fourth / others)


def pair_products(queries: csr_matrix, reference: csr_matrix) -> float:
    """Return the multiply-adds of the exact comparison: Σ_i d_i(queries) · d_i(reference), d_i: holders of item i."""
    holders = (item_popularity(users).astype(np.float64) for users in (queries, reference))
    return float(np.dot(*holders))


def inverse_frequency(user_items: csr_matrix) -> np.ndarray:
    """Return (n_items,) positive weights log(1 + n_users / (1 + holders)), larger for rarer items.

    They are rounded to multiples of a small unit, so that their sums are exact in any order.
    """
    holders = item_popularity(user_items)
    units = np.log1p(user_items.shape[0] / (1.0 + holders)) / _WEIGHT_UNIT
    weights: np.ndarray = np.maximum(np.round(units), 1) * _WEIGHT_UNIT
    return weights


def clean(**sets: csr_matrix) -> tuple[csr_matrix, ...]:
    """Return the sets of users in the order given, as floats with sorted items and no stored zeros.

    The arguments are not changed.

    Raises:
        DataError: the sets do not all have the same items as columns, one is empty, or it has a value that is neither 0
            nor 1 (NaN and a pair stored twice included).
    """
    require_same_catalogue(**sets)
    return tuple(_canonical(users, name=name) for name, users in sets.items())


def require_same_catalogue(**sets: csr_matrix) -> None:
    """Raise an error unless all sets of users have the same number of item columns.

    Raises:
        DataError: names every set with its number of items.
    """
    sizes = {name: users.shape[1] for name, users in sets.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {size:,} items" for name, size in sizes.items())
        raise DataError(
            Problem("privacy", f"the sets have different catalogues: {listed}", "Give all the same item columns")
        )


def _canonical(user_items: csr_matrix, *, name: str) -> csr_matrix:
    if user_items.shape[0] == 0 or user_items.shape[1] == 0:
        size = f"{user_items.shape[0]} users x {user_items.shape[1]} items"
        raise DataError(Problem(name, f"is empty ({size})", "Give at least one user and one item"))
    if user_items.dtype.kind != "f":
        user_items = user_items.astype(np.float32)  # sums of booleans and small integers overflow silently
    users = csr_matrix(user_items, copy=True)
    users.sum_duplicates()
    users.eliminate_zeros()
    wrong = ~(users.data == 1)
    if wrong.any():
        example = str(users.data[wrong][0])
        what = f"not 1 in {int(wrong.sum()):,} places (or a pair is stored twice)"
        raise DataError(Problem(name, what, "Give a binary matrix: 1 where the user has the item", example))
    return users


def _set_weights(user_items: csr_matrix, weights: np.ndarray) -> np.ndarray:
    """Each user's sum of item weights, added in item order, the order in which the kernel adds up an overlap."""
    summed: np.ndarray = user_items.astype(weights.dtype) @ weights
    return summed
