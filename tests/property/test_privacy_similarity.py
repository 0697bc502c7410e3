from functools import partial
from unittest.mock import patch

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from sdrm_core.privacy import similarity, tensors
from sdrm_core.privacy.similarity import clean, inverse_frequency, nearest


@st.composite
def user_sets(draw, *, n_items: int) -> csr_matrix:
    """Users in any representation: unsorted items, stored zeros, users without items."""
    n_users = draw(st.integers(1, 12))
    rows = [draw(st.lists(st.integers(0, n_items - 1), unique=True, max_size=n_items)) for _ in range(n_users)]
    values = [draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=len(row), max_size=len(row))) for row in rows]
    starts = np.cumsum([0, *map(len, rows)])
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    stored = np.array([value for row in values for value in row], dtype=float)
    return csr_matrix((stored, items, starts), shape=(n_users, n_items))


@st.composite
def two_sets(draw) -> tuple[csr_matrix, csr_matrix]:
    n_items = draw(st.integers(1, 10))
    return draw(user_sets(n_items=n_items)), draw(user_sets(n_items=n_items))


def scipy_similarities(queries: csr_matrix, reference: csr_matrix, weights: np.ndarray) -> np.ndarray:
    left, right = (csr_matrix(users.toarray(), shape=users.shape) for users in (queries, reference))
    shared = (left.multiply(weights[None, :]).tocsr() @ right.T.tocsr()).toarray()
    union = (left @ weights)[:, None] + (right @ weights)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


@given(sets=two_sets(), k=st.integers(1, 5), workers=st.integers(1, 3), weighted=st.booleans())
@settings(max_examples=150, deadline=None)
def test_equal_to_scipy_to_the_last_bit(sets, k, workers, weighted):
    queries, reference = sets
    weights = np.log1p(1 / np.arange(1.0, queries.shape[1] + 1)) if weighted else np.ones(queries.shape[1])
    expected = scipy_similarities(queries, reference, weights)
    best = np.sort(expected, axis=1)[:, ::-1][:, :k]
    found = nearest(queries, reference, k=k, item_weights=weights if weighted else None, workers=workers)
    assert np.array_equal(found.similarity[:, : best.shape[1]], best)
    assert np.all(found.similarity[:, best.shape[1] :] == 0)
    rows, slots = np.nonzero(found.index >= 0)
    assert np.array_equal(found.similarity[rows, slots], expected[rows, found.index[rows, slots]])
    np.testing.assert_allclose(found.mean, expected.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.density, (expected**4).mean(axis=1), rtol=1e-12)


@given(
    sets=two_sets(),
    k=st.integers(1, 15),
    weighted=st.booleans(),
    has_self=st.booleans(),
    contained=st.sampled_from([None, "queries", "reference"]),
    cells=st.sampled_from([1, 30, 1 << 25]),
)
@settings(max_examples=150, deadline=None)
def test_tensors_find_the_same_neighbours_to_the_last_bit(sets, k, *, weighted, has_self, contained, cells):
    queries, reference = sets
    weights = inverse_frequency(*clean(reference=reference)) if weighted else None
    own = np.arange(queries.shape[0]) % reference.shape[0] if has_self else np.full(queries.shape[0], -1)
    search = partial(nearest, queries, reference, k=k, item_weights=weights, own_row=own, contained=contained)
    compiled, on_cpu = search(), partial(tensors.nearest_rows, device=torch.device("cpu"))

    def stand_in(*sets, device, **settings):
        return on_cpu(*sets, **settings)

    with (
        patch.object(tensors, "_MAX_CELLS", cells),
        patch.object(tensors, "nearest_rows", stand_in),
        patch.object(similarity, "pair_products", lambda *_: np.inf),
    ):
        found = search(device=torch.device("cuda"))
    assert np.array_equal(found.index, compiled.index)
    assert np.array_equal(found.similarity, compiled.similarity)
    np.testing.assert_allclose(found.mean, compiled.mean, rtol=1e-12)
    np.testing.assert_allclose(found.density, compiled.density, rtol=1e-12)


@given(sets=two_sets(), contained=st.sampled_from(["queries", "reference"]))
@settings(max_examples=100, deadline=None)
def test_containment_is_what_the_two_share_over_that_and_what_is_missing(sets, contained):
    left, right = (users.toarray() for users in sets)
    weights = inverse_frequency(*clean(reference=sets[1]))
    shared, own, other = (left * weights) @ right.T, (left * weights) @ (1 - right.T), ((1 - left) * weights) @ right.T
    missing = own + other / 10 if contained == "queries" else own / 10 + other
    expected = np.divide(shared, shared + missing, out=np.zeros_like(shared), where=shared > 0)
    found = nearest(*sets, item_weights=weights, contained=contained)
    np.testing.assert_allclose(found.closest, expected.max(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.mean, expected.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(found.density, (expected**4).mean(axis=1), rtol=1e-9)


@given(sets=two_sets(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_order_of_users_and_items_does_not_matter(sets, seed):
    queries, reference = sets
    rng = np.random.default_rng(seed)
    rows, items = rng.permutation(reference.shape[0]), rng.permutation(queries.shape[1])
    shuffled = nearest(queries[:, items], reference[rows][:, items]).closest
    assert np.array_equal(nearest(queries, reference).closest, shuffled)
