import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import VaeConfig
from sdrm_core.data.matrix import Fold
from sdrm_core.model.fold_in import fold_in, fold_in_log_likelihood, fold_in_ndcg
from sdrm_core.model.vae import MultiVAE


def vae_that_ranks(order):
    """A VAE that ranks items in this order for everyone."""
    vae = MultiVAE(len(order), config=VaeConfig(hidden_units=2, latent_dim=2))
    for parameter in vae.parameters():
        torch.nn.init.zeros_(parameter)
    vae.output.bias.data[torch.tensor(order)] = torch.arange(len(order), 0, -1, dtype=torch.float32)
    return vae.requires_grad_(False)


def test_inputs_and_targets_divide_each_users_items():
    rng = np.random.default_rng(0)
    user_items = csr_matrix((rng.random((50, 30)) < 0.3).astype(np.float32))
    divided = fold_in(user_items, rng=rng)
    assert (divided.inputs + divided.targets != user_items).nnz == 0
    assert divided.inputs.multiply(divided.targets).nnz == 0
    assert (np.diff(divided.targets.indptr) >= 1).all()
    assert np.array_equal(np.diff(divided.inputs.indptr), np.rint(0.8 * np.diff(user_items.indptr)))


def test_users_with_fewer_than_two_items_are_left_out():
    user_items = csr_matrix(np.array([[1, 0, 0], [0, 0, 0], [1, 0, 1]], dtype=np.float32))
    divided = fold_in(user_items, rng=np.random.default_rng(0))
    assert divided.inputs.shape == (1, 3)
    assert (divided.inputs.nnz, divided.targets.nnz) == (1, 1)


def test_ndcg_by_hand():
    users = Fold(
        inputs=csr_matrix(np.array([[1, 0, 0, 0, 0], [0, 0, 1, 0, 0]], dtype=np.float32)),
        targets=csr_matrix(np.array([[0, 1, 0, 1, 0], [0, 0, 0, 0, 1]], dtype=np.float32)),
    )
    # The first user's input, ranked first, is masked: its targets 1 and 3 stand at places 1 and 3 of 1, 2, 3, 4.
    first = (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    # The second user's target 4 stands at place 4 of 0, 1, 3, 4.
    second = 1 / math.log2(5)
    assert fold_in_ndcg(vae_that_ranks([0, 1, 2, 3, 4]), users) == pytest.approx((first + second) / 2)


def test_log_likelihood_by_hand():
    vae = vae_that_ranks([0, 1, 2, 3])
    vae.output.bias.data = torch.tensor([5.0, 1.0, 3.0, 2.0]).log()
    users = Fold(
        inputs=csr_matrix(np.array([[1, 0, 0, 0], [0, 1, 0, 0]], dtype=np.float32)),
        targets=csr_matrix(np.array([[0, 0, 1, 1], [1, 0, 0, 0]], dtype=np.float32)),
    )
    expected = (math.log(3 / 6) + math.log(2 / 6) + math.log(5 / 10)) / 3
    assert fold_in_log_likelihood(vae, users) == pytest.approx(expected)
