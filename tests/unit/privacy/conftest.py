from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_matrix

Simulate = Callable[..., csr_matrix]


def simulated_users(n_users: int, *, seed: int, n_items: int = 300, n_tastes: int = 12) -> csr_matrix:
    """Users of a few tastes, each a popularity law of its own over shared items; 5 items or more each."""
    population = np.random.default_rng(0)
    taste_items = population.dirichlet(np.full(n_items, 0.15), size=n_tastes) + 1e-4
    rng = np.random.default_rng([seed, 1])
    rows = []
    for taste in rng.integers(n_tastes, size=n_users):
        keys = np.log(taste_items[taste]) + rng.gumbel(size=n_items)
        rows.append(np.sort(np.argsort(-keys)[: 5 + rng.poisson(10)]))
    starts = np.cumsum([0, *map(len, rows)])
    return csr_matrix((np.ones(starts[-1], np.float32), np.concatenate(rows), starts), shape=(n_users, n_items))


@pytest.fixture(scope="session")
def simulate() -> Simulate:
    return simulated_users
