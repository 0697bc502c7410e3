from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.data import cooccurrence
from sdrm_core.data.cooccurrence import count_pairs, users_within


def users(n_users, n_items, *, seed):
    return csr_matrix((np.random.default_rng(seed).random((n_users, n_items)) < 0.2).astype(np.float32))


@pytest.mark.parametrize("block_items", [1, 3, 100])
def test_pairs_are_those_of_the_whole_product(block_items, monkeypatch):
    monkeypatch.setattr(cooccurrence, "_BLOCK_CELLS", block_items * 17)
    some, others = users(40, 17, seed=0), users(30, 17, seed=1)
    counted = count_pairs(some, others, at_least=2)
    together, of_others = (some.T @ some).toarray(), (others.T @ others).toarray()
    expected = [(i, j) for i in range(17) for j in range(i + 1, 17) if together[i, j] >= 2]
    assert list(zip(counted.first.tolist(), counted.second.tolist(), strict=True)) == expected
    assert counted.users.tolist() == [together[pair] for pair in expected]
    assert counted.others.tolist() == [of_others[pair] for pair in expected]


def test_the_order_in_which_a_users_items_are_stored_does_not_matter():
    some, others = users(40, 17, seed=0), users(30, 17, seed=1)
    backwards = csr_matrix((some.data, some.indices.copy(), some.indptr), shape=some.shape)
    for start, stop in pairwise(some.indptr):
        backwards.indices[start:stop] = some.indices[start:stop][::-1]
    backwards.has_sorted_indices = False
    for expected, found in zip(count_pairs(some, others), count_pairs(backwards, others), strict=True):
        assert np.array_equal(expected, found)


def test_no_pair_is_no_pair():
    counted = count_pairs(csr_matrix(np.eye(3, dtype=np.float32)), users(5, 3, seed=0))
    assert [len(part) for part in counted] == [0, 0, 0, 0]


def test_one_user_with_too_many_items_is_left_out_and_not_all_after_it():
    some = users(40, 17, seed=0)
    heavy = csr_matrix(np.ones((1, 17), dtype=np.float32))
    everyone = csr_matrix(np.vstack([heavy.toarray(), some.toarray()]))
    for seed in range(20):
        rows = users_within(everyone, max_products=17**2 - 1, draw=np.random.default_rng(seed))
        assert 0 not in rows
        assert len(rows) > 5


def test_users_within_the_limit_are_all_there():
    rows = users_within(users(40, 17, seed=0), max_products=1e6, draw=np.random.default_rng(0))
    assert sorted(rows) == list(range(40))


@pytest.mark.parametrize("n_items", [5, 200])
def test_a_block_starts_empty_whether_its_items_are_popular_or_rare(n_items, monkeypatch):
    monkeypatch.setattr(cooccurrence, "_BLOCK_CELLS", 2 * n_items)
    some = csr_matrix((np.random.default_rng(0).random((60, n_items)) < 4 / n_items).astype(np.float32))
    expected = np.triu((some.T @ some).toarray(), 1)
    for first, together in cooccurrence.count_blocks(some):
        assert np.array_equal(together, expected[first : first + len(together)])
