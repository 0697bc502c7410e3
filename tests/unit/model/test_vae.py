import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import VaeConfig
from sdrm_core.errors import ConfigError, TrainingError
from sdrm_core.model.pretraining import PREDICT_HIDDEN, REPEAT_INPUT, train_vae
from sdrm_core.model.vae import (
    ItemBags,
    MultiVAE,
    annealed_beta,
    as_dense,
    encode_users,
    hidden_log_probabilities,
    item_penalty,
    prediction_loss,
    reconstruction_loss,
    unit_weights,
)

CPU = torch.device("cpu")
USERS = csr_matrix(np.array([[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 1, 1, 1, 0]], dtype=np.float32))


def small_vae(seed=0, **settings):
    config = VaeConfig(hidden_units=8, latent_dim=3, **settings)
    return MultiVAE.untrained(5, config=config, generator=torch.Generator().manual_seed(seed))


def bags():
    return ItemBags.of(USERS, device=CPU)


def test_summing_item_vectors_equals_the_dense_first_layer():
    vae = small_vae().eval()
    mean, log_variance = vae.encode(bags())
    dense = torch.from_numpy(USERS.toarray())
    dense = dense / dense.norm(dim=1, keepdim=True)
    hidden = torch.tanh(dense @ vae.item_vectors.weight + vae.input_bias)
    expected = vae.posterior(hidden)
    assert torch.allclose(torch.cat([mean, log_variance], dim=1), expected, atol=1e-6)


def test_a_user_without_items_has_a_finite_posterior():
    empty = csr_matrix((2, 5), dtype=np.float32)
    mean, log_variance = small_vae().encode(ItemBags.of(empty, device=CPU))
    assert torch.isfinite(mean).all()
    assert torch.isfinite(log_variance).all()


def test_loss_of_a_vae_of_zeros_is_the_uniform_distributions():
    vae = small_vae()
    for parameter in vae.parameters():
        torch.nn.init.zeros_(parameter)
    loss = reconstruction_loss(vae, bags(), beta=1.0, generator=torch.Generator().manual_seed(0))
    mean_items = (2 + 1 + 4) / 3
    assert loss.item() == pytest.approx(mean_items * math.log(5), rel=1e-6)  # and no divergence from N(0, I)


@pytest.mark.parametrize("loss", [reconstruction_loss, prediction_loss])
def test_divergence_is_weighted_by_beta(loss):
    vae = small_vae()
    for parameter in vae.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(vae.posterior.bias[:3], 2.0)  # each user's posterior is N(2, 1) in three dimensions
    losses = [loss(vae, bags(), beta=b, generator=torch.Generator().manual_seed(0)).item() for b in (0.0, 0.5)]
    assert losses[1] - losses[0] == pytest.approx(0.5 * 3 * 2.0**2 / 2, rel=1e-5)


@pytest.mark.parametrize("loss", [reconstruction_loss, prediction_loss])
@pytest.mark.parametrize("decoder_units", [0, 6])
def test_every_parameter_gets_a_gradient_and_evaluation_is_deterministic(loss, decoder_units):
    vae = small_vae(decoder_units=decoder_units)
    loss(vae, bags(), beta=0.2, generator=torch.Generator().manual_seed(0)).backward()
    assert [name for name, p in vae.named_parameters() if not p.grad.abs().sum() > 0] == []
    assert torch.equal(vae.encode(bags())[0], vae.encode(bags())[0])


def test_without_decoder_units_logits_are_linear_in_the_latent():
    vae, latents = small_vae(), torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    middle = vae.decode(latents.mean(dim=0, keepdim=True))
    assert torch.allclose(middle, vae.decode(latents).mean(dim=0, keepdim=True), atol=1e-6)


def test_items_not_shown_compete_with_what_was_not_shown_alone():
    is_shown = torch.tensor([True, False, False, False, True, False, True])
    logits = torch.log(torch.tensor([[9.0, 1, 2, 3, 4], [5.0, 1, 1, 1, 2], [1.0, 7, 2, 5, 3]]))
    found = hidden_log_probabilities(logits, bags(), is_shown=is_shown).exp()
    # User 0 was shown item 0; user 1 nothing; user 2, who has items 0 to 3, was shown 1 and 3.
    assert found.tolist() == pytest.approx([2 / 10, 1 / 10, 1 / 6, 2 / 6])


def test_prediction_asks_for_nothing_where_nothing_is_hidden():
    vae = small_vae(dropout=0.0)
    loss = prediction_loss(vae, bags(), beta=0.0, generator=torch.Generator().manual_seed(0))
    assert loss.item() == 0.0


def test_shown_items_are_a_vector_of_length_one():
    is_shown = torch.tensor([True, False, False, True, True, True, True])
    expected = [1.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5]
    assert unit_weights(bags(), is_shown=is_shown).tolist() == pytest.approx(expected)


def test_the_penalty_on_item_vectors_is_that_of_a_gaussian_prior():
    vae = small_vae(item_precision=3.0)
    torch.nn.init.constant_(vae.output.weight, 2.0)
    assert item_penalty(vae).item() == pytest.approx(3.0 / 2 * 5 * 3 * 2.0**2)
    assert item_penalty(small_vae(item_precision=0.0)).item() == 0.0


def test_the_latent_space_grows_with_the_root_of_the_users():
    sizes = [VaeConfig().sized_for(n_users).latent_dim for n_users in (10, 656, 4_164, 1_000_000)]
    assert sizes == [20, 20, 22, 333]
    assert VaeConfig(latent_dim=7).sized_for(1_000_000).latent_dim == 7
    with pytest.raises(ConfigError, match=r"vae.latent_dim is open"):
        MultiVAE(5, config=VaeConfig())


def test_as_dense_is_the_matrix():
    assert np.array_equal(as_dense(bags(), n_items=5).numpy(), USERS.toarray())


def test_batches_do_not_change_what_users_are_encoded_to():
    vae = small_vae()
    whole, parts = encode_users(vae, USERS, batch_users=10), encode_users(vae, USERS, batch_users=2)
    assert torch.allclose(whole[0], parts[0], atol=1e-6)
    assert torch.allclose(whole[1], parts[1], atol=1e-6)


def test_beta_grows_on_a_straight_line():
    config = VaeConfig(beta=0.2, anneal_epochs=10)
    assert [annealed_beta(epoch, config=config) for epoch in (1, 5, 10, 99)] == pytest.approx([0.02, 0.1, 0.2, 0.2])
    assert annealed_beta(1, config=VaeConfig(beta=0.3, anneal_epochs=0)) == 0.3


def test_training_stops_early_restores_the_best_and_repeats_to_the_bit(train, validation, config, vae):
    reports = []
    again, returned = train_vae(
        train, validation, config=config.vae, seed=config.seed, device=CPU, on_epoch=reports.append
    )
    assert tuple(reports) == returned
    assert reports[-1].best == max(report.validation for report in reports) > reports[0].validation
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), vae.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_an_epoch_is_a_pass_or_a_number_of_steps_if_that_is_shorter(train, validation, config):
    def rounds(**settings):
        settings = config.vae.model_copy(
            update={"batch_users": 32, "patience_epochs": 99, "anneal_epochs": 0, **settings}
        )
        return train_vae(train, validation, config=settings, seed=0, device=CPU, on_epoch=lambda _: None)[1]

    pass_steps = -(-train.shape[0] // 32)
    assert pass_steps % 2 == 0
    whole, longer = rounds(max_epochs=2, epoch_steps=pass_steps), rounds(max_epochs=2, epoch_steps=10 * pass_steps)
    halves = rounds(max_epochs=4, epoch_steps=pass_steps // 2)
    assert whole == longer
    loss_of_halves = np.reshape([report.loss for report in halves], (2, 2)).mean(axis=1)
    assert loss_of_halves == pytest.approx([report.loss for report in whole])  # the same steps


@pytest.mark.parametrize(("objective", "starts_popular"), [(PREDICT_HIDDEN, True), (REPEAT_INPUT, False)])
def test_only_our_own_objective_knows_popularity_before_it_learns(train, validation, config, objective, starts_popular):
    settings = config.vae.model_copy(update={"max_epochs": 1, "learning_rate": 1e-9})
    vae, _ = train_vae(
        train, validation, config=settings, seed=0, device=CPU, on_epoch=lambda _: None, objective=objective
    )
    shares = (np.bincount(train.indices, minlength=train.shape[1]) + 1) / (train.shape[0] + 1)
    expected = np.log(shares) if starts_popular else np.zeros(train.shape[1])
    assert np.allclose(vae.output.bias.numpy(), expected, atol=1e-5)


def test_threads_change_no_weight(train, validation, config, vae):
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        again, _ = train_vae(
            train, validation, config=config.vae, seed=config.seed, device=CPU, on_epoch=lambda _: None
        )
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), vae.parameters(), strict=True))


def test_a_loss_that_is_not_finite_stops_training_at_once(train, validation, config):
    reports = []
    diverging = config.vae.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(TrainingError, match=r"vae: the training loss is (nan|inf) in epoch \d+.*learning_rate"):
        train_vae(train, validation, config=diverging, seed=0, device=CPU, on_epoch=reports.append)
    assert len(reports) < config.vae.max_epochs


def test_validation_users_with_one_item_each_cannot_decide_when_to_stop(train, config):
    one_item_each = csr_matrix(np.eye(4, train.shape[1], dtype=np.float32))
    with pytest.raises(TrainingError, match=r"no validation user has 2 items"):
        train_vae(train, one_item_each, config=config.vae, seed=0, device=CPU, on_epoch=lambda _: None)
