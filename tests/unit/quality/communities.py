"""A tiny source of interactions with communities of taste, for the tests of this folder."""

import numpy as np
from scipy.sparse import csr_matrix


def binary(dense) -> csr_matrix:
    """Return the canonical float32 matrix of a nested list or array of 0 and 1."""
    matrix = csr_matrix(np.asarray(dense, dtype=np.float32))
    matrix.sort_indices()
    return matrix


def community_users(*, users: int, items: int = 60, communities: int = 4, seed: int = 0) -> csr_matrix:
    """Return users who mostly take items of one community, the first items of each being the popular ones."""
    generator = np.random.default_rng(seed)
    item_community = np.arange(items) % communities
    weight = 1 / (1 + np.arange(items) // communities)
    dense = np.zeros((users, items))
    for user in range(users):
        affinity = np.where(item_community == generator.integers(communities), 20.0, 1.0) * weight
        count = generator.integers(5, 15)
        dense[user, generator.choice(items, size=count, replace=False, p=affinity / affinity.sum())] = 1
    return binary(dense)
