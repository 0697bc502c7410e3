import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, random_array

from sdrm_core.model.selection import best_by_tensors, best_items


def no_pairs(n_items):
    return csr_matrix((n_items, n_items), dtype=np.float32)


def random_pairs(n_items, *, seed):
    half = random_array((n_items, n_items), density=0.1, rng=np.random.default_rng(seed), dtype=np.float32)
    return csr_matrix(4 * (half + half.T))


def items_of(users):
    return [row.indices.tolist() for row in users]


def test_each_user_gets_as_many_of_the_best_as_wanted_in_canonical_form():
    scores = torch.tensor([[0.5, 3.0, -1.0, 2.0], [4.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
    users = best_items(scores, np.array([2, 0, 4]), pairs=no_pairs(4))
    assert items_of(users) == [[1, 3], [], [0, 1, 2, 3]]
    assert users.has_canonical_format
    assert users.dtype == np.float32
    assert (users.data == 1).all()


def test_of_equal_scores_the_first_are_taken():
    scores = torch.tensor([[1.0, 2.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    assert items_of(best_items(scores, np.array([2, 3]), pairs=no_pairs(4))) == [[0, 1], [0, 1, 2]]
    many = torch.zeros(1, 200)
    many[0, [50, 90]] = torch.tensor([1.0, -0.5])
    assert items_of(best_items(many, np.array([4]), pairs=no_pairs(200))) == [[0, 1, 2, 50]]


def test_what_is_taken_draws_its_partners_in_the_next_quarter():
    pairs = np.zeros((5, 5), dtype=np.float32)
    pairs[0, 4] = pairs[4, 0] = 3.0
    scores = torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.5]])
    assert items_of(best_items(scores, np.array([3]), pairs=csr_matrix(pairs))) == [[0, 1, 4]]


@pytest.mark.parametrize("n_pairs_seed", [None, 0, 1])
@pytest.mark.parametrize("n_items", [1, 7, 90, 800])
def test_loops_and_tensor_operations_take_the_same(n_items, n_pairs_seed):
    draw = np.random.default_rng(n_items)
    scores = torch.from_numpy(draw.gumbel(size=(50, n_items)).astype(np.float32))
    counts = draw.integers(0, draw.integers(1, n_items + 1, size=50) + 1)
    pairs = no_pairs(n_items) if n_pairs_seed is None else random_pairs(n_items, seed=n_pairs_seed)
    by_tensors = best_by_tensors(scores.clone(), counts, pairs=pairs)
    by_loops = best_items(scores, counts, pairs=pairs)
    assert items_of(by_loops) == items_of(by_tensors)
    assert (np.diff(by_loops.indptr) == counts).all()


def test_nobody_takes_nothing():
    assert best_items(torch.zeros(0, 3), np.zeros(0, np.int64), pairs=no_pairs(3)).shape == (0, 3)
