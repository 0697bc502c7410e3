import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.errors import DataError
from sdrm_core.quality.ease import MAX_ITEMS, fit_ease, learn_gram

from .communities import binary, community_users


def least_squares_weights(users, *, penalty, weights):
    """Return B column by column: ridge regression of an item on all others."""
    n_items = users.shape[1]
    item_weights = np.zeros((n_items, n_items))
    root = np.sqrt(weights)[:, None]
    for item in range(n_items):
        others = np.arange(n_items) != item
        features = root * users[:, others]
        gram = features.T @ features + penalty * np.eye(n_items - 1)
        item_weights[others, item] = np.linalg.solve(gram, features.T @ (root[:, 0] * users[:, item]))
    return item_weights


@pytest.mark.parametrize("weighted", [False, True])
def test_the_closed_form_is_one_ridge_regression_an_item(weighted):
    users = community_users(users=80, items=15)
    weights = np.random.default_rng(0).random(80) if weighted else None
    judge = fit_ease(learn_gram(users, user_weights=weights), penalty=7.0)
    expected = least_squares_weights(users.toarray(), penalty=7.0, weights=np.ones(80) if weights is None else weights)
    np.testing.assert_allclose(judge.item_weights, expected, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_one_penalty_leaves_the_gram_matrix_to_the_next(weighted):
    users = community_users(users=80, items=15)
    gram, again = (learn_gram(users, user_weights=np.linspace(0, 1, 80) if weighted else None) for _ in range(2))
    fit_ease(gram, penalty=7.0)
    np.testing.assert_array_equal(fit_ease(gram, penalty=3.0).item_weights, fit_ease(again, penalty=3.0).item_weights)


def test_scores_are_weighted_sums_of_the_inputs():
    judge = fit_ease(learn_gram(community_users(users=80, items=15)), penalty=7.0)
    inputs = binary(np.eye(15)[[3, 5]] + np.eye(15)[[4, 6]])
    expected = judge.item_weights[[3, 5]] + judge.item_weights[[4, 6]]
    np.testing.assert_allclose(judge.score(inputs), expected, rtol=1e-6)


def test_a_catalogue_beyond_memory_is_refused():
    with pytest.raises(DataError, match="Leave 'ease' out of the judges"):
        learn_gram(csr_matrix((3, MAX_ITEMS + 1), dtype=np.float32))
