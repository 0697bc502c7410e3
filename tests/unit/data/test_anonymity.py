import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.data.anonymity import publishable_activity, publishable_items, shared_activity
from sdrm_core.data.matrix import item_popularity
from sdrm_core.errors import DataError


def test_publishable_items_are_those_with_enough_users():
    train = csr_matrix(np.array([[1, 1, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0]], dtype=np.float32))
    popularity = item_popularity(train)
    assert popularity.tolist() == [3, 1, 0, 2]
    assert publishable_items(popularity, k_anonymity=2).tolist() == [0, 3]


def test_nothing_publishable_is_an_error_with_both_numbers():
    with pytest.raises(DataError, match=r"k_anonymity: asks for 2 training users an item, .* has 1"):
        publishable_items(np.array([1, 1, 0]), k_anonymity=2)


def test_nobody_is_as_active_as_fewer_people_than_anonymity_asks_for():
    counts = np.array([3, 90, 7, 5, 40, 30])
    assert publishable_activity(counts, k_anonymity=3, n_publishable=100).tolist() == [3, 5, 7, 30, 30, 30]
    assert publishable_activity(counts, k_anonymity=3, n_publishable=6).tolist() == [3, 5, 6, 6, 6, 6]
    assert publishable_activity(counts, k_anonymity=9, n_publishable=100).tolist() == [3] * 6


def test_a_number_of_items_is_shared_by_as_many_as_are_asked_for():
    counts = np.array([3, 90, 7, 5, 40, 30])
    assert [shared_activity(counts, k_anonymity=k) for k in (1, 3, 6, 9)] == [90, 30, 3, 3]
