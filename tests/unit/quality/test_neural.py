import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, vstack

from sdrm_core.config import UtilityConfig
from sdrm_core.errors import TrainingError
from sdrm_core.quality import neural
from sdrm_core.quality.neural import NeuralJudge, PairNetwork, fit_neural
from sdrm_core.quality.utility import make_folds

from .communities import binary, community_users

CONFIG = UtilityConfig(fold_seeds=1)


@pytest.fixture
def short_training(monkeypatch):
    monkeypatch.setattr(neural, "_CHECK_STEPS", 3)
    monkeypatch.setattr(neural, "_MAX_CHECKS", 2)


@pytest.mark.parametrize("with_product", [False, True])
def test_scores_are_the_networks_logits_of_each_pair(with_product, monkeypatch):
    network = PairNetwork(12, with_product=with_product, generator=torch.Generator().manual_seed(0))
    inputs = binary(np.eye(12)[[1, 2]] + np.eye(12)[[3, 4]])
    monkeypatch.setattr(neural, "_BLOCK_PAIRS", 5)  # two items at a time
    scores = NeuralJudge(network).score(inputs)
    with torch.no_grad():
        for row, held in enumerate([[1, 3], [2, 4]]):
            user = network.of_user[held].sum(dim=0) / np.sqrt(2)
            expected = [network(user, torch.tensor(item)).item() for item in range(12)]
            np.testing.assert_allclose(scores[row], expected, atol=1e-5)


def test_random_pairs_are_never_held():
    users = community_users(users=30, items=20)
    rows = np.repeat(np.arange(30), np.diff(users.indptr))
    held = rows * 20 + users.indices
    others = neural._random_others(rows, held, 20, np.random.default_rng(0))
    assert users.toarray()[others].sum() == 0
    assert set(others[0]) == set(rows)


def test_a_predicted_item_does_not_speak_for_its_own_user():
    # one user of one item: its positive pair sees an empty user, so of_user gets no gradient through it
    network = PairNetwork(2, with_product=True, generator=torch.Generator().manual_seed(0))
    loss = neural._loss(network, binary([[1, 0]]), np.ones(1), np.random.default_rng(0))
    alone = network(torch.zeros(1, 64), torch.tensor([0]))
    softplus = torch.nn.functional.softplus
    user = network.of_user[:1]
    others = neural._random_others(np.array([0]), np.array([0]), 2, np.random.default_rng(0))[1]
    expected = (softplus(-alone) + len(others) * softplus(network(user, torch.tensor([1])))) / (1 + len(others))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_every_parameter_learns():
    network = PairNetwork(20, with_product=True, generator=torch.Generator().manual_seed(0))
    users = community_users(users=30, items=20)
    neural._loss(network, users, np.ones(30), np.random.default_rng(0)).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_seed_is_a_result_whatever_the_global_seed(short_training):
    users = community_users(users=100)
    folds = make_folds(users[:20], config=CONFIG, seed=0)
    scores = []
    for global_seed, seed in ((1, 0), (2, 0), (1, 1)):
        torch.manual_seed(global_seed)
        scores.append(fit_neural(users, with_product=True, validation=folds[0], seed=seed).score(users))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 0


def test_users_without_weight_teach_nothing(short_training):
    users = community_users(users=100)
    nobody = make_folds(users[:0], config=CONFIG, seed=0)
    weights = np.zeros(100)
    trained = fit_neural(users, with_product=False, validation=nobody[0], seed=0, user_weights=weights)
    fresh = PairNetwork(60, with_product=False, generator=torch.Generator().manual_seed(0))
    assert torch.equal(trained.network.item_bias, fresh.item_bias)


def test_users_without_items_teach_nothing(short_training):
    users = community_users(users=100)
    nobody, empty = make_folds(users[:0], config=CONFIG, seed=0), csr_matrix((70, 60), dtype=users.dtype)
    among_empty = vstack([users[:10], empty, users[10:]], format="csr")
    first, second = (
        fit_neural(some, with_product=False, validation=nobody[0], seed=0).score(users) for some in (users, among_empty)
    )
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(fit_neural(empty, with_product=False, validation=nobody[0], seed=0).score(users)).all()


def test_a_loss_that_is_not_finite_stops(short_training):
    users = community_users(users=100)
    folds = make_folds(users[:20], config=CONFIG, seed=0)
    with pytest.raises(TrainingError, match="not finite: inf"):
        fit_neural(users, with_product=False, validation=folds[0], seed=0, user_weights=np.full(100, np.inf))
