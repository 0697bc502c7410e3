"""The similarity engine against SciPy's sparse product with a row maximum, side by side in one run.

python -m tests.benchmarks.similarity_speed --data ../shared/data
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from scipy.sparse import csr_matrix

from sdrm_core.privacy.similarity import nearest, pair_products
from tests.benchmarks.privacy_data import movielens_1m

Result = TypeVar("Result")


def scipy_closest(queries: csr_matrix, reference: csr_matrix, *, block_rows: int = 1024) -> np.ndarray:
    """The plain way: sparse product, Jaccard on its stored cells, row maximum."""
    sizes, transposed = np.diff(reference.indptr), reference.T.tocsr()
    closest = []
    for start in range(0, queries.shape[0], block_rows):
        block = queries[start : start + block_rows]
        overlap = (block @ transposed).tocsr()
        left = np.repeat(np.diff(block.indptr), np.diff(overlap.indptr)).astype(np.float64)
        shared = overlap.data.astype(np.float64)
        overlap = csr_matrix((shared / (left + sizes[overlap.indices] - shared), overlap.indices, overlap.indptr))
        closest.append(overlap.max(axis=1).toarray().ravel())
    return np.concatenate(closest)


def seconds(work: Callable[[], Result], repeats: int) -> tuple[float, Result]:
    """Return the least of so many durations, and what the work returned."""
    durations = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        durations.append(time.perf_counter() - began)
    return min(durations), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    users = movielens_1m(parser.parse_args().data)
    order = np.random.default_rng(0).permutation(users.shape[0])
    half = users.shape[0] // 2
    queries, reference = users[order[:half]], users[order[half:]]
    began = time.perf_counter()
    nearest(queries[:2], reference[:2])
    warm_up = time.perf_counter() - began
    ours, found = seconds(lambda: nearest(queries, reference).closest, 5)
    plain, expected = seconds(lambda: scipy_closest(queries, reference), 2)
    print(f"halves of ML-1M, {queries.shape[0]:,} x {reference.shape[0]:,} users")
    print(f"multiply-adds {pair_products(queries, reference):.3g}; compile or load {warm_up:.2f} s")
    print(f"SciPy {plain:.3f} s | engine {ours:.3f} s | {plain / ours:.1f} x faster")
    print(f"equal to the last bit: {np.array_equal(found, expected)}")
    if torch.cuda.is_available():
        on_gpu, found = seconds(lambda: nearest(queries, reference, device=torch.device("cuda")).closest, 5)
        print(f"GPU {on_gpu:.3f} s | {plain / on_gpu:.1f} x; equal to the last bit: {np.array_equal(found, expected)}")


if __name__ == "__main__":
    main()
