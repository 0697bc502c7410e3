import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from sdrm_core.quality.baselines import sample_by_popularity
from sdrm_core.quality.folds import split_fold
from sdrm_core.quality.marginals import activity_figures, popularity_figures
from sdrm_core.quality.ranking import rank_users


@st.composite
def user_items(draw, *, min_items_per_user=0, n_items=None):
    """Return a canonical binary matrix of a few users and items, built from its sparse representation."""
    n_items = n_items or draw(st.integers(6, 20))
    rows = draw(
        st.lists(
            st.sets(st.integers(0, n_items - 1), min_size=min_items_per_user, max_size=n_items), min_size=2, max_size=12
        )
    )
    indices = np.array([item for row in rows for item in sorted(row)], dtype=np.int32)
    indptr = np.cumsum([0, *(len(row) for row in rows)])
    return csr_matrix((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=(len(rows), n_items))


def permute_items(matrix, order):
    permuted = matrix[:, order]
    permuted.sort_indices()
    return permuted


@given(users=user_items(min_items_per_user=2), seed=st.integers(0, 2**63 - 1), fold=st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_a_fold_is_a_partition(users, seed, fold):
    split = split_fold(users, input_share=0.8, seed=seed, fold=fold)
    assert (split.inputs + split.targets != users).nnz == 0
    assert split.inputs.multiply(split.targets).nnz == 0
    assert np.diff(split.inputs.indptr).min() >= 1
    assert np.diff(split.targets.indptr).min() >= 1


@given(users=user_items(min_items_per_user=2), data=st.data())
@settings(max_examples=100, deadline=None)
def test_ranking_ignores_the_order_of_items_and_users_and_the_block(users, data):
    n_users, n_items = users.shape
    levels = st.lists(st.integers(0, 3), min_size=n_items, max_size=n_items)  # few levels: many ties
    scores = np.array(data.draw(levels), dtype=np.float32)
    items = np.array(data.draw(st.permutations(range(n_items))))
    rows = np.array(data.draw(st.permutations(range(n_users))))
    split = split_fold(users, input_share=0.6, seed=0, fold=0)
    metrics = rank_users(lambda block: np.tile(scores, (block.shape[0], 1)), inputs=split.inputs, targets=split.targets)
    permuted = rank_users(
        lambda block: np.tile(scores[items], (block.shape[0], 1)),
        inputs=permute_items(split.inputs, items)[rows],
        targets=permute_items(split.targets, items)[rows],
        block_cells=data.draw(st.integers(1, 100)),
    )
    np.testing.assert_allclose(permuted, metrics[rows], atol=1e-12)
    assert metrics.min() >= 0
    assert metrics.max() <= 1 + 1e-12


@given(reference=user_items(min_items_per_user=1, n_items=8), candidate=user_items(n_items=8), data=st.data())
@settings(max_examples=100, deadline=None)
def test_marginals_are_bounded_and_ignore_order(reference, candidate, data):
    items = np.array(data.draw(st.permutations(range(8))))
    rows = np.array(data.draw(st.permutations(range(candidate.shape[0]))))
    publishable = np.array(data.draw(st.lists(st.booleans(), min_size=8, max_size=8)))
    shuffled = permute_items(candidate, items)[rows]
    counts, counts_again, known = (np.diff(users.indptr) for users in (candidate, shuffled, reference))
    figures = popularity_figures(candidate, reference, publishable=publishable) | activity_figures(counts, known)
    again = popularity_figures(shuffled, permute_items(reference, items), publishable=publishable[items])
    assert again | activity_figures(counts_again, known) == pytest.approx(figures)
    for name in ("popularity_total_variation", "activity_ks", "empty_user_share", "tail_share"):
        assert -1e-12 <= figures[name] <= 1 + 1e-12


@given(train=user_items(min_items_per_user=1), users=st.integers(1, 40), seed=st.integers(0, 2**63 - 1))
@settings(max_examples=100, deadline=None)
def test_the_popularity_sampler_keeps_activity_and_catalogue(train, users, seed):
    drawn = sample_by_popularity(train, users=users, seed=seed)
    assert drawn.shape == (users, train.shape[1])
    assert drawn.has_canonical_format
    assert set(np.diff(drawn.indptr)) <= set(np.diff(train.indptr))
    assert set(drawn.indices) <= set(train.indices)
