import numpy as np
import pytest
from scipy.sparse import vstack

pytest.importorskip("implicit", reason="the package implicit is optional")

from sdrm_core.quality.ials import FACTORS, fit_ials

from .communities import community_users


def test_a_user_is_solved_for_in_closed_form():
    train, users = community_users(users=150), community_users(users=5, seed=9)
    judge = fit_ials(train, confidence=3.0, penalty=2.0, seed=0)
    items = judge.model.item_factors.astype(float)
    for row, scores in zip(users.toarray(), judge.score(users), strict=True):
        held = items[row > 0]
        normal = items.T @ items + 3.0 * held.T @ held + 2.0 * np.eye(FACTORS)
        expected = items @ np.linalg.solve(normal, 4.0 * held.sum(axis=0))
        np.testing.assert_allclose(scores, expected, atol=1e-3)


def test_a_seed_is_a_result_and_weights_count():
    train = community_users(users=100)
    first, again = (fit_ials(train, confidence=3.0, penalty=2.0, seed=0).score(train) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    weighted = fit_ials(train, confidence=3.0, penalty=2.0, seed=0, user_weights=np.linspace(0, 1, 100)).score(train)
    assert np.abs(weighted - first).max() > 0.01


def test_a_user_who_counts_nothing_is_not_there_and_one_who_counts_double_is_there_twice():
    users = community_users(users=100)
    weights = np.repeat([2.0, 1.0, 0.0], [20, 30, 50])
    weighted = fit_ials(users, confidence=3.0, penalty=2.0, seed=0, user_weights=weights)
    rows = np.repeat(np.arange(100), weights.astype(int))
    repeated = fit_ials(users[rows], confidence=3.0, penalty=2.0, seed=0)
    np.testing.assert_array_equal(weighted.score(users), repeated.score(users))


def test_many_users_of_little_weight_change_little():
    """What they do not have must count as little as what they have, or absences would flood the factors."""
    people, others = community_users(users=300), community_users(users=3_000, communities=7, seed=5)
    weights = np.repeat([1.0, 0.001], [300, 3_000])
    alone = fit_ials(people, confidence=1.0, penalty=10.0, seed=0)
    both = fit_ials(vstack([people, others], format="csr"), confidence=1.0, penalty=10.0, seed=0, user_weights=weights)
    unseen = community_users(users=50, seed=9)
    assert np.corrcoef(alone.score(unseen).ravel(), both.score(unseen).ravel())[0, 1] > 0.99
