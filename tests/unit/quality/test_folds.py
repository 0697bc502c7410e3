import numpy as np
import pytest

from sdrm_core.quality.folds import rankable_users, split_fold

from .communities import binary, community_users


def test_users_below_five_positives_are_left_out():
    users = binary([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])
    assert rankable_users(users, max_users=10, seed=0).toarray().tolist() == [[1, 1, 1, 1, 1]]


def test_of_too_many_users_the_same_are_chosen_in_any_order():
    users = community_users(users=50)
    chosen = rankable_users(users, max_users=20, seed=3)
    shuffled = rankable_users(users[np.random.default_rng(0).permutation(50)], max_users=20, seed=3)
    assert chosen.shape[0] == 20
    assert {row.tobytes() for row in chosen.toarray()} == {row.tobytes() for row in shuffled.toarray()}


def test_another_seed_chooses_others_of_too_many_users():
    users = community_users(users=50)
    choices = {rankable_users(users, max_users=20, seed=seed).indices.tobytes() for seed in range(3)}
    assert len(choices) == 3


@pytest.mark.parametrize(("positives", "targets"), [(5, 1), (7, 1), (8, 2), (10, 2), (13, 3), (100, 20)])
def test_a_fifth_of_the_items_are_targets(positives, targets):
    fold = split_fold(binary(np.ones((1, positives))), input_share=0.8, seed=0, fold=0)
    assert fold.targets.nnz == targets


@pytest.mark.parametrize("seed", [0, 1, 2**62])
def test_a_fold_is_a_partition(seed):
    users = community_users(users=60)
    fold = split_fold(users, input_share=0.8, seed=seed, fold=1)
    assert (fold.inputs + fold.targets != users).nnz == 0
    assert fold.inputs.multiply(fold.targets).nnz == 0
    assert np.diff(fold.targets.indptr).min() >= 1
    assert fold.inputs.has_canonical_format


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_both_sides_get_an_item(share):
    fold = split_fold(community_users(users=20), input_share=share, seed=0, fold=0)
    assert np.diff(fold.inputs.indptr).min() >= 1
    assert np.diff(fold.targets.indptr).min() >= 1


def test_a_user_is_divided_the_same_whoever_else_is_there():
    users = community_users(users=30)
    alone = split_fold(users[7], input_share=0.8, seed=5, fold=2)
    among = split_fold(users, input_share=0.8, seed=5, fold=2)
    assert (among.inputs[7] != alone.inputs).nnz == 0


def test_seeds_and_folds_divide_differently():
    users = community_users(users=30)
    divisions = {
        split_fold(users, input_share=0.8, seed=seed, fold=fold).inputs.indices.tobytes()
        for seed in range(3)
        for fold in range(3)
    }
    assert len(divisions) == 9


def test_users_who_share_items_are_divided_independently_of_each_other():
    shared, own = np.ones((2000, 9)), np.eye(2000)
    targets = split_fold(binary(np.hstack([shared, own])), input_share=0.8, seed=0, fold=0).targets.toarray()[:, :9]
    assert targets.mean(axis=0) == pytest.approx(np.full(9, 0.2), abs=0.05)
    assert np.abs(np.corrcoef(targets.T) - np.eye(9)).max() < 0.25  # each user has two, which makes it -1/8


def test_every_item_is_target_equally_often():
    user = binary(np.ones((1, 10)))
    hits = sum(split_fold(user, input_share=0.8, seed=0, fold=fold).targets.toarray()[0] for fold in range(1000))
    assert hits / 1000 == pytest.approx(np.full(10, 0.2), abs=0.05)
