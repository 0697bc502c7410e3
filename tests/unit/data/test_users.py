from itertools import islice

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.data.users import batches, some_users

USERS = csr_matrix(np.eye(5, dtype=np.float32))


def test_some_users_are_rows_in_their_order_each_at_most_once():
    chosen = some_users(USERS, 3, draw=np.random.default_rng(0))
    assert chosen.shape == (3, 5)
    assert np.all(np.diff(chosen.indices) > 0)


def test_of_no_more_users_than_asked_for_all_are_taken_and_nothing_is_drawn():
    draw = np.random.default_rng(0)
    assert some_users(USERS, 5, draw=draw) is USERS
    assert draw.random() == np.random.default_rng(0).random()


def test_each_pass_of_batches_has_every_user_once_in_a_new_order():
    found = [batch.tolist() for batch in islice(batches(5, batch_users=2, draw=np.random.default_rng(0)), 6)]
    assert [len(batch) for batch in found] == [2, 2, 1, 2, 2, 1]
    first, second = ([user for batch in of_pass for user in batch] for of_pass in (found[:3], found[3:]))
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4]
    assert first != second
