import numpy as np
import pytest
import torch

from sdrm_core.model.stratified import spread_by_loops, spread_by_tensors, stratified_uniform


def drawn(n_users, n_columns, *, seed=0):
    return stratified_uniform((n_users, n_columns), torch.Generator().manual_seed(seed)).numpy()


@pytest.mark.parametrize("n_users", [2, 7, 101])
def test_a_column_has_one_user_in_each_stratum_of_a_prime_number(n_users):
    strata = np.floor(drawn(n_users, 30) * n_users)
    assert (np.sort(strata, axis=0) == np.arange(n_users)[:, None]).all()


@pytest.mark.parametrize("n_users", [1, 40, 1024])
def test_any_number_of_users_differs_in_strata(n_users):
    uniform = drawn(n_users, 30)
    assert uniform.shape == (n_users, 30)
    assert ((uniform > 0) & (uniform < 1)).all()
    longer = {1: 2, 40: 41, 1024: 1031}[n_users]
    assert all(len(set(np.floor(column * longer))) == n_users for column in uniform.T)


def test_a_users_numbers_are_uniform_and_independent():
    users = drawn(64, 20_000)
    for user in (0, 31, 63):
        share, _ = np.histogram(users[user], bins=10, range=(0, 1))
        assert np.abs(share / 2_000 - 1).max() < 0.1
        assert abs(np.corrcoef(users[user, :-1], users[user, 1:])[0, 1]) < 0.03


def test_no_two_users_are_tied_to_each_other():
    correlation = np.corrcoef(drawn(31, 20_000)) - np.eye(31)
    assert np.abs(correlation[~np.eye(31, dtype=bool)] + 1 / 30).max() < 0.03


def test_it_repeats_and_differs_with_the_seed():
    assert (drawn(10, 5) == drawn(10, 5)).all()
    assert (drawn(10, 5) != drawn(10, 5, seed=1)).any()


@pytest.mark.parametrize(("n_users", "n_strata"), [(1, 2), (7, 7), (100, 101)])
def test_loops_and_tensor_operations_give_the_same_bytes(n_users, n_strata):
    generator = torch.Generator().manual_seed(n_users)
    factors, shifts = torch.randint(1, n_strata, (40,), generator=generator), torch.arange(40) % n_strata
    within = torch.rand((n_users, 40), generator=generator)
    by_loops = within.clone()
    spread_by_loops(by_loops.numpy(), shifts.int().numpy(), factors.int().numpy(), n_strata)
    spread_by_tensors(within, shifts, factors, n_strata)
    assert torch.equal(by_loops, within)
