"""Items' vectors keep what many people are evidence for, and lose what few are."""

import numpy as np
import pytest

from sdrm_core.model.shrinkage import shrink_item_vectors

N_ITEMS, N_FEATURES = 400, 4
STRENGTHS = np.array([2.0, 1.0, 0.3, 0.1])


@pytest.fixture
def case():
    """Features of variance 1, uncorrelated, and items whose vectors are long in the first directions."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((20_000, N_FEATURES))
    features = np.linalg.solve(np.linalg.cholesky(np.cov(features.T)), (features - features.mean(axis=0)).T).T
    popularity = rng.integers(5, 2_000, N_ITEMS)
    vectors = rng.standard_normal((N_ITEMS, N_FEATURES)) * STRENGTHS
    vectors -= popularity @ vectors / popularity.sum()
    return vectors, features, popularity


def test_with_hardly_any_doubt_a_vector_stays_what_it_is(case):
    vectors, features, popularity = case
    assert shrink_item_vectors(vectors, features, popularity, doubt=1e-9) == pytest.approx(vectors, abs=1e-6)


def test_weak_directions_of_rare_items_go_first(case):
    vectors, features, popularity = case
    kept = (shrink_item_vectors(vectors, features, popularity, doubt=30) * vectors).sum(axis=0) / (vectors**2).sum(
        axis=0
    )
    assert (np.diff(kept) < 0).all()
    assert kept[0] > 0.9
    rare, popular = (
        shrink_item_vectors(vectors, features, popularity, doubt=30)[chosen] / vectors[chosen]
        for chosen in (popularity < 50, popularity > 1_000)
    )
    assert np.median(rare[:, 3]) < 0.1
    assert np.median(popular[:, 3]) > 0.2
    assert np.median(rare[:, 0]) > 0.5


def test_it_is_that_of_a_posterior_mean_in_each_direction(case):
    vectors, features, popularity = case
    shares = popularity / popularity.sum()
    variances, axes = np.linalg.eigh(vectors.T @ (shares[:, None] * vectors))
    expected = (vectors @ axes) * (variances / (variances + 30 / popularity[:, None])) @ axes.T
    assert shrink_item_vectors(vectors, features, popularity, doubt=30) == pytest.approx(expected, abs=1e-9)


def test_what_the_features_are_called_changes_nothing(case):
    vectors, features, popularity = case
    mixing = np.random.default_rng(1).standard_normal((N_FEATURES, N_FEATURES))
    mixed = shrink_item_vectors(vectors @ np.linalg.inv(mixing).T, features @ mixing, popularity, doubt=30)
    logits = features[:50] @ shrink_item_vectors(vectors, features, popularity, doubt=30).T
    assert features[:50] @ mixing @ mixed.T == pytest.approx(logits, abs=1e-6)


def test_a_vector_that_all_items_share_is_left_out(case):
    vectors, features, popularity = case
    shifted = shrink_item_vectors(vectors + np.array([5.0, -3.0, 1.0, 2.0]), features, popularity, doubt=30)
    assert shifted == pytest.approx(shrink_item_vectors(vectors, features, popularity, doubt=30), abs=1e-9)


def test_an_item_nobody_has_and_a_feature_that_never_varies_are_no_division_by_zero(case):
    vectors, features, popularity = case
    popularity[0], features[:, 2] = 0, 1.0
    shrunk = shrink_item_vectors(vectors, features, popularity, doubt=30)
    assert np.isfinite(shrunk).all()
    assert not shrunk[0].any()
