import numpy as np
import pytest

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
