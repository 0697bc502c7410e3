import torch

from sdrm_core.config import DiffusionConfig
from sdrm_core.model.denoiser import Denoiser, denoising_loss
from sdrm_core.model.devices import Workers
from sdrm_core.model.training import gradient_step


def denoiser(depth=2, seed=0):
    config = DiffusionConfig(hidden_units=16, depth=depth)
    return Denoiser.untrained(4, config=config, generator=torch.Generator().manual_seed(seed))


def batch(n=32):
    g = torch.Generator().manual_seed(1)
    return torch.randn(n, 4, generator=g), torch.rand(n, 1, generator=g) + 0.1, torch.randn(n, 1, generator=g)


def loss_of(network):
    latents, _, activity = batch()
    return denoising_loss(network, latents, activity, generator=torch.Generator().manual_seed(2))


def test_evaluation_is_deterministic():
    network = denoiser().eval()
    assert torch.equal(network(*batch()), network(*batch()))


def test_each_layer_of_depth_adds_the_same_number_of_parameters():
    sizes = [sum(p.numel() for p in denoiser(depth).parameters()) for depth in (1, 2, 3)]
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1]


def test_an_untrained_network_expects_nothing_and_every_parameter_learns_after_the_first_step():
    network = denoiser(depth=3)
    assert torch.equal(network(*batch()), torch.zeros(32, 4))
    torch.nn.init.normal_(network.exit.weight)  # what the first step moves, and nothing else can be moved before
    loss_of(network).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


def test_initial_weights_follow_their_generator_and_not_the_global_seed():
    torch.manual_seed(1)
    first = denoiser(seed=7).state_dict()
    torch.manual_seed(2)
    second = denoiser(seed=7).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["entry.weight"], denoiser(seed=8).state_dict()["entry.weight"])


def test_activity_changes_what_is_expected():
    latents, angle, activity = batch()
    network = denoiser()
    torch.nn.init.normal_(network.exit.weight)
    assert not torch.allclose(network(latents, angle, activity), network(latents, angle, activity + 1))


def test_training_lowers_the_loss_on_latents_with_structure():
    network = denoiser()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    g = torch.Generator().manual_seed(3)

    def loss():
        one = torch.randn(64, 1, generator=g)
        latents = one.expand(64, 4)  # all four dimensions are one: three of them can be told from the fourth
        return denoising_loss(network, latents, torch.zeros(64, 1), generator=g)

    with Workers(torch.device("cpu")) as workers:
        losses = [gradient_step([loss], optimizer, workers=workers, stage="diffusion", epoch=1) for _ in range(60)]
    assert sum(losses[-20:]) < 0.75 * sum(losses[:20])


def test_standardised_posteriors_have_no_mean_at_any_activity_and_no_correlation(monkeypatch):
    monkeypatch.setattr("sdrm_core.model.denoiser._BLOCK_USERS", 3_000)
    network, g = denoiser(), torch.Generator().manual_seed(4)
    activity = torch.randn(20_000, 1, generator=g)
    mixing = torch.tensor([[1.0, 0, 0, 0], [2, 1, 0, 0], [0, 0, 3, 0], [1, 0, -1, 0.5]])
    mean = torch.randn(20_000, 4, generator=g) @ mixing.T + 2 * activity - activity.square() + 5
    log_variance = torch.full((20_000, 4), 0.25).log()
    network.fit_scale(mean, log_variance, activity)
    latents = mean + torch.randn(mean.shape, generator=g) / 2
    standardised = network.standardise(latents, activity)
    assert torch.allclose(standardised.T.cov(), torch.eye(4), atol=0.05)
    for terms in (activity, activity.square() - 1, torch.ones_like(activity)):
        assert (terms * standardised).mean(dim=0).abs().max() < 0.05
    assert torch.allclose(network.restore(standardised, activity), latents, atol=1e-4)
