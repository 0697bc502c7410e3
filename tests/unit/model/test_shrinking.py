import numpy as np
import pytest
import torch

from sdrm_core.config import VaeConfig
from sdrm_core.model.shrinking import shrink_by_direction, shrink_rare_items
from sdrm_core.model.vae import MultiVAE
from tests.unit.model.conftest import fit_drawn, no_leak

N_ITEMS, LATENT_DIM = 5, 3


@pytest.fixture
def small_vae():
    config = VaeConfig(hidden_units=8, latent_dim=LATENT_DIM)
    return MultiVAE.untrained(N_ITEMS, config=config, generator=torch.Generator().manual_seed(0))


def test_what_few_people_taught_of_an_item_counts_less(small_vae):
    popularity = np.array([0, 10, 30, 90, 10**9])
    shrunk = shrink_rare_items(small_vae, popularity, half_at=10)
    kept = shrunk.output.weight / small_vae.output.weight
    assert torch.allclose(kept, torch.tensor([0, 0.5, 0.75, 0.9, 1]).unsqueeze(1).expand(5, 3), atol=1e-6)
    assert torch.equal(shrunk.output.bias, small_vae.output.bias)
    assert torch.equal(
        shrink_rare_items(small_vae, popularity, half_at=0).output.weight[1:], small_vae.output.weight[1:]
    )
    assert torch.equal(shrunk.input_bias, small_vae.input_bias)


def test_a_direction_is_kept_as_far_as_an_items_people_are_evidence_for_it(small_vae):
    popularity = np.full(N_ITEMS, 10)
    strong, weak = torch.tensor([2.0, -2.0, 2.0, -2.0, 0.0]), torch.tensor([0.2, 0.2, -0.2, -0.2, 0.0])
    small_vae.output.weight.data = torch.stack([strong, torch.zeros(N_ITEMS), weak], dim=1)
    shrunk = shrink_by_direction(small_vae, popularity, latent_factor=torch.eye(LATENT_DIM), doubt=10.0).output.weight
    for coordinate, vectors in ((0, strong), (2, weak)):
        variance = float(vectors.square().mean())
        assert torch.allclose(shrunk[:, coordinate], vectors * variance / (variance + 1), atol=1e-6)
    assert torch.allclose(shrunk[:, 1], torch.zeros(N_ITEMS), atol=1e-6)


def test_the_more_people_an_item_has_the_more_of_its_vector_stays(small_vae):
    popularity = np.array([1, 100, 10_000, 10**6, 10**8])
    shrunk = shrink_by_direction(small_vae, popularity, latent_factor=torch.eye(LATENT_DIM), doubt=10.0)
    kept = (shrunk.output.weight.norm(dim=1) / small_vae.output.weight.norm(dim=1)).tolist()
    assert kept == sorted(kept)
    assert kept[0] < 0.5
    assert kept[-1] == pytest.approx(1, abs=1e-3)
    assert torch.equal(shrunk.output.bias, small_vae.output.bias)


def test_the_coordinates_of_the_latents_do_not_matter(small_vae):
    """Other coordinates of the same latents (z' = A z, and item vectors to match) give the same logits."""
    rng = torch.Generator().manual_seed(1)
    change = torch.randn(LATENT_DIM, LATENT_DIM, generator=rng)
    popularity, factor = np.array([3, 9, 27, 81, 243]), torch.linalg.cholesky(torch.eye(LATENT_DIM) + 0.3)
    latents = torch.randn(7, LATENT_DIM, generator=rng)
    before = latents @ shrink_by_direction(small_vae, popularity, latent_factor=factor, doubt=5.0).output.weight.T
    small_vae.output.weight.data = small_vae.output.weight.data @ torch.linalg.inv(change)
    covariance = change @ factor @ factor.T @ change.T
    other = shrink_by_direction(small_vae, popularity, latent_factor=torch.linalg.cholesky(covariance), doubt=5.0)
    assert torch.allclose((latents @ change.T) @ other.output.weight.T, before, atol=1e-4)


def test_a_fit_that_doubts_draws_from_shrunk_item_vectors(vae, train, validation, config):
    trusting, doubting = (
        fit_drawn(vae, train, validation, config, leak=no_leak, doubt=doubt).model.vae.output.weight
        for doubt in (0.0, 2.0)
    )
    assert (doubting.norm(dim=1) < trusting.norm(dim=1)).all()
    assert doubting.norm() > 0.1 * trusting.norm()
