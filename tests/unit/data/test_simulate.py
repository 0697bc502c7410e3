import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse.linalg import svds

from sdrm_core.config import FilterConfig, SourceConfig
from sdrm_core.data.interactions import index_interactions
from sdrm_core.data.kcore import k_core
from sdrm_core.data.matrix import to_user_items
from sdrm_core.data.simulate import simulate_interactions


@pytest.fixture(scope="module")
def log():
    return simulate_interactions(seed=0)


@pytest.fixture(scope="module")
def core(log):
    return k_core(index_interactions(log, source=SourceConfig()), FilterConfig())


def test_the_same_seed_gives_the_same_log(log):
    assert simulate_interactions(seed=0).equals(log)
    assert not simulate_interactions(seed=1).equals(log)


def test_it_is_a_rating_log(log):
    assert log.schema == pa.schema(
        [("user_id", pa.int64()), ("item_id", pa.string()), ("rating", pa.float64()), ("timestamp", pa.int64())]
    )
    assert set(np.unique(log["rating"])) == {1, 2, 3, 4, 5}
    assert (np.diff(log["timestamp"]) >= 0).all()
    assert log.select(["user_id", "item_id"]).group_by(["user_id", "item_id"]).aggregate([]).num_rows == log.num_rows


def test_its_shape_is_that_of_real_logs(log, core):
    assert 0.55 <= np.mean(log["rating"].to_numpy() >= 4) <= 0.60
    assert core.n_users >= 1_900
    assert core.n_items >= 780
    popularity = np.sort(np.bincount(core.item[core.positive]))[::-1]
    activity = np.bincount(core.user[core.positive])
    assert popularity[:80].sum() > 0.35 * popularity.sum(), "a long tail: the top tenth of items takes over a third"
    assert activity.std() > 0.7 * activity.mean()


def test_ratings_follow_taste_not_popularity_alone(core):
    """SVD finds held-out positives far better than popularity does."""
    user_items = to_user_items(core).astype(float)
    rng = np.random.default_rng(0)
    train, test = user_items[:1600], user_items[1600:]
    factors = svds(train, k=20, rng=rng)[2]
    is_target = rng.random(test.nnz) < 0.2
    inputs, targets = test.copy(), test.copy()
    inputs.data, targets.data = (~is_target).astype(float), is_target.astype(float)

    def recall_at_10(scores):
        top = np.argsort(-np.where(inputs.toarray() > 0, -np.inf, scores), axis=1)[:, :10]
        hits = np.take_along_axis(targets.toarray(), top, axis=1).sum(1)
        sizes = np.minimum(targets.sum(axis=1).A1, 10)
        return (hits[sizes > 0] / sizes[sizes > 0]).mean()

    popularity = np.tile(train.sum(axis=0).A1, (test.shape[0], 1))
    assert recall_at_10((inputs @ factors.T) @ factors) > 1.4 * recall_at_10(popularity)


def test_small_logs_can_be_made():
    small = simulate_interactions(seed=0, n_users=3, n_items=5)
    assert small.num_rows == 15
