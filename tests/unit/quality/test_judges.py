import numpy as np
import pytest

from sdrm_core.quality.folds import split_fold
from sdrm_core.quality.judges import fit_popularity, fit_svd
from sdrm_core.quality.panel import rank_folds
from sdrm_core.quality.ranking import METRICS

from .communities import binary, community_users


def test_popularity_scores_are_user_counts():
    judge = fit_popularity(binary([[1, 0, 1], [1, 0, 0]]))
    assert judge.score(binary([[0, 1, 0]])).tolist() == [[2, 0, 1]]


def test_popularity_counts_weighted_users():
    judge = fit_popularity(binary([[1, 0, 1], [1, 0, 0]]), user_weights=np.array([0.5, 2.0]))
    assert judge.score(binary([[0, 1, 0]])).tolist() == [[2.5, 0, 0.5]]


def test_svd_projects_on_the_leading_singular_vectors():
    users = community_users(users=120)
    _, _, vh = np.linalg.svd(users.toarray().astype(float), full_matrices=False)
    expected = users.toarray() @ vh[:20].T @ vh[:20]
    np.testing.assert_allclose(fit_svd(users, seed=0).score(users), expected, atol=1e-5)


def test_svd_does_not_depend_on_its_start():
    users = community_users(users=120)
    np.testing.assert_allclose(fit_svd(users, seed=0).score(users), fit_svd(users, seed=1).score(users), atol=1e-5)


def test_svd_ignores_the_order_of_users_and_items():
    users = community_users(users=120)
    order, rows = np.random.default_rng(0).permutation(60), np.random.default_rng(1).permutation(120)
    permuted = binary(users.toarray()[:, order])
    expected = fit_svd(users, seed=0).score(users)[:, order]
    np.testing.assert_allclose(fit_svd(permuted[rows], seed=0).score(permuted), expected, atol=1e-5)


def test_svd_ignores_the_null_space():
    users = binary(np.repeat([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]], 5, axis=0))  # rank 2, five asked for
    scores = fit_svd(users, seed=0).score(binary([[1, 0, 0, 0, 1, 0]]))
    np.testing.assert_allclose(scores, [[0.5, 0.5, 0, 0, 0, 0]], atol=1e-6)


def test_a_weight_of_two_is_a_user_counted_twice():
    users = community_users(users=60)
    twice = users[np.r_[np.arange(60), np.arange(30)]]
    weights = np.where(np.arange(60) < 30, 2.0, 1.0)
    expected = fit_svd(twice, seed=0).score(users)
    np.testing.assert_allclose(fit_svd(users, seed=0, user_weights=weights).score(users), expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (2, 2)])
def test_svd_of_almost_nothing_still_ranks(shape):
    users = binary(np.ones(shape))
    assert np.isfinite(fit_svd(users, seed=0).score(users)).all()


def test_svd_beats_popularity_where_there_are_communities():
    train, evaluation = community_users(users=400, seed=1), community_users(users=80, seed=2)
    folds = [split_fold(evaluation, input_share=0.8, seed=0, fold=fold) for fold in range(3)]
    recall = {
        name: rank_folds(judge, folds)[:, METRICS.index("recall@5")].mean()
        for name, judge in {"popularity": fit_popularity(train), "svd": fit_svd(train, seed=0)}.items()
    }
    assert recall["svd"] > 1.2 * recall["popularity"]
