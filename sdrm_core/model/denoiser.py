"""The diffusion's network: tells signal from noise in a latent, given the user's activity."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sdrm_core.config import DiffusionConfig
from sdrm_core.model.networks import initialise
from sdrm_core.model.schedule import add_noise, training_angles, velocity

_ANGLE_FEATURES = 64
_CONDITION_WIDTH = 128


def sinusoids(values: Tensor) -> Tensor:
    """Return (n, 64) sines and cosines of ``values`` (n, 1) at frequencies from 1 to 30."""
    frequencies = torch.logspace(0, math.log10(30), _ANGLE_FEATURES // 2, device=values.device)
    angles = values * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ResidualBlock(nn.Module):
    """A two-layer branch added to its input, shifted and scaled by the condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.modulation = nn.Linear(_CONDITION_WIDTH, 2 * width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return (n, width) features."""
        scale, shift = self.modulation(condition).chunk(2, dim=1)
        branch: Tensor = self.outer(functional.silu(self.inner(self.norm(features) * (1 + scale) + shift)))
        return features + branch


class Denoiser(nn.Module):
    """A residual MLP in the space of standardised latents.

    ``latent_mean`` and ``latent_std`` lead from the VAE's latents to mean 0 and variance 1, and back.
    """

    def __init__(self, latent_dim: int, *, config: DiffusionConfig) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.config = config
        width = config.hidden_units
        self.condition = nn.Linear(_ANGLE_FEATURES + 1, _CONDITION_WIDTH)
        self.entry = nn.Linear(latent_dim, width)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(config.depth))
        self.exit = nn.Linear(width, latent_dim)
        self.latent_mean: Tensor
        self.latent_std: Tensor
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_std", torch.ones(latent_dim))

    @classmethod
    def untrained(cls, latent_dim: int, *, config: DiffusionConfig, generator: torch.Generator) -> "Denoiser":
        """Return a network with the initial weights that ``generator`` (on the CPU) draws."""
        denoiser = cls(latent_dim, config=config)
        initialise(denoiser, generator=generator)
        return denoiser

    def fit_scale(self, mean: Tensor, log_variance: Tensor) -> None:
        """Set mean and standard deviation to those of the mixture of posteriors (n_users, latent_dim)."""
        self.latent_mean.copy_(mean.mean(dim=0))
        self.latent_std.copy_((mean.var(dim=0, correction=0) + log_variance.exp().mean(dim=0)).sqrt())

    def standardise(self, latents: Tensor) -> Tensor:
        """Return the VAE's latents at mean 0 and variance 1."""
        standardised: Tensor = (latents - self.latent_mean) / self.latent_std
        return standardised

    def restore(self, standardised: Tensor) -> Tensor:
        """Return standardised latents as the VAE's."""
        return standardised * self.latent_std + self.latent_mean

    def forward(self, noisy: Tensor, angle: Tensor, activity: Tensor) -> Tensor:
        """Return the expected velocity (n, latent_dim) of the noisy latents.

        Args:
            noisy: (n, latent_dim) noisy standardised latents.
            angle: (n, 1) from 0, data, to pi/2, noise.
            activity: (n, 1) normal scores of the users' numbers of items.
        """
        condition = functional.silu(self.condition(torch.cat([sinusoids(angle), activity], dim=1)))
        features = self.entry(noisy)
        for block in self.blocks:
            features = block(features, condition)
        expected: Tensor = self.exit(functional.silu(features))
        return expected


def denoising_loss(denoiser: Denoiser, latents: Tensor, activity: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return the mean squared error of the expected velocity; 1 for a network that expects 0.

    Args:
        denoiser: the network.
        latents: (n, latent_dim) clean standardised latents.
        activity: (n, 1) normal scores.
        generator: draws angles and noise, on the latents' device.

    Source: Karras et al. 2022, equation 8, with weights that make every target's variance 1.
    """
    angle = training_angles(len(latents), generator=generator)
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    expected: Tensor = denoiser(add_noise(latents, angle=angle, noise=noise), angle, activity)
    return (expected - velocity(latents, angle=angle, noise=noise)).square().mean()
