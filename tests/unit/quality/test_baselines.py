import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.errors import DataError
from sdrm_core.quality.baselines import sample_by_popularity

from .communities import binary, community_users


def test_activity_and_popularity_follow_the_source():
    train = community_users(users=400)
    drawn = sample_by_popularity(train, users=4000, seed=0)
    assert drawn.shape == (4000, 60)
    assert drawn.has_canonical_format
    assert set(drawn.data) == {1.0}
    assert set(np.diff(drawn.indptr)) <= set(np.diff(train.indptr))
    assert np.diff(drawn.indptr).mean() == pytest.approx(np.diff(train.indptr).mean(), rel=0.03)
    assert np.corrcoef(drawn.sum(axis=0).A1, train.sum(axis=0).A1)[0, 1] > 0.95


def test_draws_without_replacement_have_the_exact_probabilities():
    # popularity 3 : 2 : 1 and two items a user; P(items 0 and 1) = 3/6 * 2/3 + 2/6 * 3/4 = 7/12
    train = binary([[1, 1, 0], [1, 1, 0], [1, 0, 1]])
    drawn = sample_by_popularity(train, users=20_000, seed=1).toarray()
    assert (drawn.sum(axis=1) == 2).all()
    assert (drawn[:, 2] == 0).mean() == pytest.approx(7 / 12, abs=0.012)


def test_users_of_every_item_are_completed():
    dense = np.zeros((300, 50))
    dense[:, :3] = 1
    dense[0] = 1  # its rare items are 1/300 as likely as the popular ones
    drawn = sample_by_popularity(binary(dense), users=3000, seed=2)
    assert set(np.diff(drawn.indptr)) == {3, 50}


def test_items_nobody_has_are_never_drawn():
    drawn = sample_by_popularity(binary([[1, 0, 1, 0], [1, 0, 0, 0]]), users=500, seed=0)
    assert set(drawn.indices) == {0, 2}


def test_a_seed_is_a_result():
    train = community_users(users=50)
    first, again, other = (sample_by_popularity(train, users=70, seed=seed) for seed in (1, 1, 2))
    assert (first != again).nnz == 0
    assert (first != other).nnz > 0


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(DataError, match="no interaction"):
        sample_by_popularity(csr_matrix((3, 4), dtype=np.float32), users=2, seed=0)
