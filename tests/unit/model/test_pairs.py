import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.data import cooccurrence
from sdrm_core.model import pairs as module
from sdrm_core.model.pairs import Pairs, outstanding_pairs

N_ITEMS = 80


def independent(n_users, *, seed, bundled=0, bundle=(70, 75)):
    """Users who have each item or not, whatever else they have; the first ones also have both items of the bundle."""
    users = np.random.default_rng(seed).random((n_users, N_ITEMS)) < np.linspace(0.3, 0.01, N_ITEMS)
    users[np.ix_(range(bundled), bundle)] = True
    return csr_matrix(users.astype(np.float32))


def found(train, **changes):
    settings = {"k_anonymity": 5, "seed": 0, **changes}
    pairs = outstanding_pairs(train, independent(20_000, seed=1), **settings)
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


@pytest.mark.parametrize("n_train_users", [600, 20_000, 60_000])
def test_what_chance_explains_is_not_found_however_many_people_there_are(n_train_users):
    assert len(found(independent(n_train_users, seed=2))) <= 1


def test_a_pair_that_more_users_have_than_the_model_makes_is_found_with_its_odds():
    train = independent(2000, seed=2, bundled=12)
    pairs = outstanding_pairs(train, independent(20_000, seed=1), k_anonymity=5, seed=0)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([70], [75])
    both = train[:, 70].multiply(train[:, 75]).nnz
    rarer = min(train[:, 70].nnz, train[:, 75].nnz)
    assert pairs.log_odds[0] == pytest.approx(np.log((both + 0.5) / (rarer - both + 0.5)))


def test_a_pair_of_fewer_people_than_anonymity_asks_for_is_left_alone():
    train = independent(2000, seed=2, bundled=12)
    assert found(train, k_anonymity=40) == []


def test_a_small_block_finds_the_same(monkeypatch):
    train = independent(2000, seed=2, bundled=12, bundle=(60, 79))
    whole = found(train)
    monkeypatch.setattr(cooccurrence, "_BLOCK_CELLS", 3 * N_ITEMS)
    assert found(train) == whole
    assert whole == [(60, 79)]


def test_of_too_many_users_a_part_is_looked_at(monkeypatch):
    train = independent(2000, seed=2, bundled=24)
    monkeypatch.setattr(module, "_MAX_PRODUCTS", 2e5)
    assert (np.diff(train.indptr).astype(float) ** 2).sum() > 1.3 * 2e5
    pairs = outstanding_pairs(train, independent(20_000, seed=1), k_anonymity=5, seed=0)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([70], [75])
    assert pairs.log_odds[0] == pytest.approx(pairs.log_odds_in(train)[0], abs=0.7)


def test_odds_and_matrix_of_pairs():
    pairs = Pairs(np.array([0, 1]), np.array([2, 2]), np.zeros(2), np.zeros(2))
    users = csr_matrix(np.array([[1, 0, 1], [1, 1, 1], [1, 1, 0], [0, 0, 1]], dtype=np.float32))
    assert pairs.log_odds_in(users).tolist() == pytest.approx([np.log(2.5 / 1.5), np.log(1.5 / 1.5)])
    assert pairs.matrix(np.array([3.0, 4.0]), n_items=3).toarray().tolist() == [[0, 0, 3], [0, 0, 4], [3, 4, 0]]


def test_the_users_of_pairs_are_counted_as_by_the_product(monkeypatch):
    monkeypatch.setattr(module, "_PAIRS_A_CALL", 7)
    users = independent(300, seed=3)
    first, second = np.triu_indices(N_ITEMS, 1)
    both = np.asarray((users.T @ users).todense())[first, second]
    least = np.minimum(*(np.diff(users.tocsc().indptr)[items] for items in (first, second)))
    found = Pairs(first, second, both, np.zeros(len(both))).log_odds_in(users)
    assert found == pytest.approx(np.log((both + 0.5) / (least - both + 0.5)))
