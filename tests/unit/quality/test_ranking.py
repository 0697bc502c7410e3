import numpy as np
import pytest

from sdrm_core.errors import DataError
from sdrm_core.quality.ranking import METRICS, rank_users

from .communities import binary, community_users


def metrics_of(scores, inputs, targets):
    """Return the metrics of one user as a dictionary."""
    values = rank_users(
        lambda _: np.array([scores], dtype=np.float32), inputs=binary([inputs]), targets=binary([targets])
    )
    return dict(zip(METRICS, values[0], strict=True))


def test_metrics_of_a_hand_ranked_user():
    # ranking without the input (item 0): 1, 2, 3, 4; targets at positions 2 and 4
    found = metrics_of([9, 8, 7, 6, 5], [1, 0, 0, 0, 0], [0, 0, 1, 0, 1])
    assert found["recall@1"] == 0
    assert found["recall@3"] == 1 / 2
    assert found["recall@5"] == 1
    assert found["ndcg@3"] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))
    assert found["ndcg@10"] == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3)))


def test_recall_is_out_of_what_k_places_can_hold():
    found = metrics_of([4, 3, 2, 1], [0, 0, 0, 0], [1, 1, 1, 0])
    assert found["recall@1"] == 1
    assert found["recall@3"] == 1


def test_input_items_are_not_ranked():
    assert metrics_of([9, 8, 1], [1, 1, 0], [0, 0, 1])["recall@1"] == 1


def test_ties_count_as_in_random_order():
    found = metrics_of([1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0])
    assert found["recall@1"] == 1 / 4
    assert found["recall@3"] == 3 / 4
    assert found["ndcg@3"] == pytest.approx((1 + 1 / np.log2(3) + 1 / 2) / 4)


def test_ties_that_reach_beyond_the_deepest_cutoff():
    targets = np.zeros(200)
    targets[150] = 1
    found = metrics_of(np.zeros(200), np.zeros(200), targets)
    assert found["recall@50"] == pytest.approx(50 / 200)


def test_tie_metrics_are_the_mean_over_orders():
    generator = np.random.default_rng(0)
    scores, targets = generator.integers(0, 3, size=30), generator.random(30) < 0.2
    exact = metrics_of(scores, np.zeros(30), targets)
    nudged = [metrics_of(scores + generator.random(30) / 2, np.zeros(30), targets) for _ in range(500)]
    for metric in METRICS:
        assert np.mean([one[metric] for one in nudged]) == pytest.approx(exact[metric], abs=0.05)


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(DataError, match="not a number"):
        metrics_of([1, np.nan], [0, 0], [0, 1])


def test_a_user_without_target_is_refused():
    with pytest.raises(DataError, match="no target"):
        metrics_of([1, 2], [1, 0], [0, 0])


@pytest.mark.parametrize("block_cells", [1, 100, 500, 1 << 20])
def test_block_size_changes_nothing(block_cells):
    users = community_users(users=40)
    inputs, targets = users, binary(1 - users.toarray())
    weights = np.random.default_rng(0).standard_normal((60, 60))

    def score(rows):
        return rows @ weights

    whole = rank_users(score, inputs=inputs, targets=targets)
    np.testing.assert_allclose(rank_users(score, inputs=inputs, targets=targets, block_cells=block_cells), whole)
