"""The draw of items by compiled loops against the same by tensor operations, side by side in one run on one thread.

python -m tests.benchmarks.draw_speed
"""

import numpy as np
import torch
from scipy.sparse import csr_matrix, random_array
from torch import Tensor

from sdrm_core.model.selection import best_by_tensors, best_items
from sdrm_core.model.stratified import spread_by_loops, spread_by_tensors
from tests.benchmarks.similarity_speed import seconds

N_USERS = 1024
REPEATS = 7


def users_to_draw(n_items: int, *, mean_items: int, n_pairs: int) -> tuple[Tensor, np.ndarray, csr_matrix]:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy((rng.gumbel(size=(N_USERS, n_items)) + 2 * rng.normal(size=n_items)).astype(np.float32))
    counts = np.minimum(rng.lognormal(np.log(mean_items), 0.8, N_USERS).astype(np.int64), n_items)
    half = random_array((n_items, n_items), density=n_pairs / n_items**2, rng=rng, dtype=np.float32)
    return scores, counts, csr_matrix(half + half.T)


def ratios(n_items: int, *, mean_items: int, n_pairs: int) -> tuple[float, float]:
    """How many times sooner the loops spread the random numbers, and take the best items."""
    scores, counts, pairs = users_to_draw(n_items, mean_items=mean_items, n_pairs=n_pairs)
    uniform, n_strata = torch.rand(scores.shape), 1031
    shifts, factors = torch.arange(n_items) % n_strata, torch.arange(n_items) % (n_strata - 1) + 1
    starts, steps = shifts.int().numpy(), factors.int().numpy()
    spread_tensors, _ = seconds(lambda: spread_by_tensors(uniform.clone(), shifts, factors, n_strata), REPEATS)
    spread_loops, _ = seconds(lambda: spread_by_loops(uniform.clone().numpy(), starts.copy(), steps, n_strata), REPEATS)
    best_tensors, _ = seconds(lambda: best_by_tensors(scores.clone(), counts, pairs=pairs), REPEATS)
    best_loops, _ = seconds(lambda: best_items(scores.clone(), counts, pairs=pairs), REPEATS)
    return spread_tensors / spread_loops, best_tensors / best_loops


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'items':>7}{'a user':>8}{'pairs':>7}{'random numbers':>16}{'best items':>12}   (tensors / loops)")
    for n_items, mean_items, n_pairs in ((3_500, 10, 2_000), (1_400, 60, 300), (3_100, 100, 0), (25_000, 55, 4_000)):
        spread, best = ratios(n_items, mean_items=mean_items, n_pairs=n_pairs)
        print(f"{n_items:7,}{mean_items:8}{n_pairs:7,}{spread:14.1f} x{best:10.1f} x", flush=True)


if __name__ == "__main__":
    main()
