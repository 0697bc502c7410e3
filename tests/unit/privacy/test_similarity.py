import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.errors import DataError
from sdrm_core.privacy.similarity import inverse_frequency, nearest, pair_products


def users(*rows: list[int], n_items: int = 6) -> csr_matrix:
    matrix = np.zeros((len(rows), n_items), np.float32)
    for row, items in enumerate(rows):
        matrix[row, items] = 1
    return csr_matrix(matrix)


def test_two_nearest_by_hand():
    found = nearest(users([0, 1, 2]), users([5], [0, 1, 2, 3], [0, 1], [2, 3]), k=3)
    assert found.index.tolist() == [[1, 2, 3]]
    assert found.similarity.tolist() == [[3 / 4, 2 / 3, 1 / 4]]
    assert found.mean[0] == pytest.approx((3 / 4 + 2 / 3 + 1 / 4) / 4)
    assert found.density[0] == pytest.approx(((3 / 4) ** 4 + (2 / 3) ** 4 + (1 / 4) ** 4) / 4)


def test_equally_similar_users_come_by_row_and_missing_ones_are_marked():
    found = nearest(users([0, 1]), users([2], [0, 1], [0, 1]), k=3)
    assert found.index.tolist() == [[1, 2, -1]]
    assert found.similarity.tolist() == [[1, 1, 0]]


def test_weights_count_items_by_what_they_tell():
    weights = np.array([1.0, 2.0, 4.0, 1.0, 1.0, 1.0])
    found = nearest(users([0, 2]), users([0, 1], [1, 2]), k=2, item_weights=weights)
    assert found.index.tolist() == [[1, 0]]
    assert found.similarity.tolist() == [[4 / 7, 1 / 7]]


def test_what_only_the_longer_record_has_counts_a_tenth():
    pair, record = users([0, 1]), users([0, 2, 3, 4, 5])
    assert nearest(pair, record, contained="queries").closest == pytest.approx(1 / (1 + 1 + 0.4))
    assert nearest(record, pair, contained="reference").closest == pytest.approx(1 / (1 + 1 + 0.4))
    assert nearest(pair, record, contained="reference").closest == pytest.approx(1 / (1 + 4 + 0.1))
    assert nearest(pair, pair, contained="queries").closest.tolist() == [1]


def test_a_user_is_not_its_own_neighbour():
    real = users([0, 1], [0, 1, 2], [5])
    found = nearest(real, real, own_row=np.arange(3))
    assert found.index.ravel().tolist() == [1, 0, -1]
    assert found.closest.tolist() == [2 / 3, 2 / 3, 0]
    assert found.mean.tolist() == [1 / 3, 1 / 3, 0]


def test_users_without_items_are_similar_to_nobody():
    found = nearest(users([], [0]), users([], [0]))
    assert found.closest.tolist() == [0, 1]
    assert found.index.ravel().tolist() == [-1, 1]


def test_representation_does_not_matter():
    plain = users([0, 1], [2])
    odd = csr_matrix((np.array([1, 0, 1, 1.0]), np.array([1, 4, 0, 2]), np.array([0, 3, 4])), shape=(2, 6))
    assert nearest(odd, plain).closest.tolist() == [1, 1]
    assert odd.nnz == 4  # the argument is left as it was


@pytest.mark.parametrize("value", [np.nan, 2.0, -1.0])
def test_values_other_than_one_are_refused(value):
    wrong = users([0, 1])
    wrong.data[1] = value
    with pytest.raises(DataError, match="not 1"):
        nearest(wrong, users([0]))


@pytest.mark.parametrize("dtype", [float, np.float32, np.int8, bool])
def test_a_pair_stored_twice_is_refused(dtype):
    twice = csr_matrix((np.ones(2, dtype), np.array([0, 0]), np.array([0, 2])), shape=(1, 6))
    with pytest.raises(DataError, match="stored twice"):
        nearest(twice, users([0]))


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan])
def test_weights_that_are_not_positive_are_refused(weight):
    weights = np.array([1.0, weight, 1.0, weight, 1.0, 1.0])
    with pytest.raises(DataError, match="item_weights: not positive in 2 of 6 items"):
        nearest(users([0, 1]), users([0]), item_weights=weights)


def test_empty_sets_and_other_catalogues_are_refused():
    with pytest.raises(DataError, match="is empty"):
        nearest(csr_matrix((0, 6)), users([0]))
    with pytest.raises(DataError, match="different catalogues: queries 6 items, reference 5 items"):
        nearest(users([0]), users([0], n_items=5))


def test_cost_counts_the_multiply_adds():
    assert pair_products(users([0, 1], [0]), users([0], [0, 1], [1])) == 2 * 2 + 1 * 2


def test_rare_items_weigh_more():
    weights = inverse_frequency(users([0, 1], [0], [0, 2]))
    assert weights == pytest.approx(np.log1p([3 / 4, 3 / 2, 3 / 2, 3, 3, 3]))
