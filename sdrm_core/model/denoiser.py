"""The network of the diffusion model: it predicts the velocity of a noisy latent, given the user's activity."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sdrm_core.config import DiffusionConfig
from sdrm_core.model.networks import initialise
from sdrm_core.model.schedule import add_noise, training_angles, velocity

_ANGLE_FEATURES = 64
_CONDITION_WIDTH = 128
_ACTIVITY_TERMS = 3
_BLOCK_USERS = 1 << 16


def sinusoids(values: Tensor) -> Tensor:
    """Return (n, 64) sines and cosines of ``values`` (n, 1) at frequencies from 1 to 30."""
    frequencies = torch.logspace(0, math.log10(30), _ANGLE_FEATURES // 2, device=values.device)
    angles = values * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def activity_terms(activity: Tensor) -> Tensor:
    """Return (n, 3): 1, the activity (n, 1), and its square minus 1; these are orthogonal for normal scores."""
    return torch.cat([torch.ones_like(activity), activity, activity.square() - 1], dim=1)


class ResidualBlock(nn.Module):
    """A two-layer branch that is added to its input; the condition scales and shifts the branch's input."""

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
    """A residual MLP on standardised latents.

    Standardised latents are the VAE's latents minus the mean predicted from the user's activity, transformed linearly
    to uncorrelated coordinates of variance 1. An untrained network predicts 0, and its reverse process returns its
    input noise: a Gaussian with the mean and covariance of the latents. Training starts from this Gaussian and, if
    there are too few data to learn more, stays there.

    Attributes:
        latent_mean: (3, latent_dim) coefficients of the mean, a quadratic function of activity.
        latent_factor: (latent_dim, latent_dim) lower triangular factor of the covariance.
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
        self.latent_factor: Tensor
        self.register_buffer("latent_mean", torch.zeros(_ACTIVITY_TERMS, latent_dim))
        self.register_buffer("latent_factor", torch.eye(latent_dim))

    @classmethod
    def untrained(cls, latent_dim: int, *, config: DiffusionConfig, generator: torch.Generator) -> "Denoiser":
        """Return a network with initial weights drawn from ``generator`` (on the CPU) and an exit layer of zeros."""
        denoiser = cls(latent_dim, config=config)
        initialise(denoiser, generator=generator)
        nn.init.zeros_(denoiser.exit.weight)
        return denoiser

    def fit_scale(self, mean: Tensor, log_variance: Tensor, activity: Tensor) -> None:
        """Set mean and covariance to those of the mixture of the users' posteriors.

        Args:
            mean: (n_users, latent_dim) posterior means.
            log_variance: (n_users, latent_dim) posterior log-variances.
            activity: (n_users, 1) normal scores.
        """
        terms = activity_terms(activity.double())
        blocks = [
            torch.split(tensor, _BLOCK_USERS) for tensor in (terms, mean, log_variance)
        ]  # in blocks to limit memory
        moments = sum(term.T @ one.double() for term, one, _ in zip(*blocks, strict=True))
        coefficients = torch.linalg.lstsq(terms.T @ terms, moments).solution
        scatter = torch.zeros(self.latent_dim, self.latent_dim, dtype=torch.float64, device=mean.device)
        for term, one, spread in zip(*blocks, strict=True):
            rest = one.double() - term @ coefficients
            scatter += rest.T @ rest + spread.double().exp().sum(dim=0).diag()
        covariance = scatter / len(mean)
        self.latent_mean.copy_(coefficients)
        self.latent_factor.copy_(torch.linalg.cholesky(covariance))

    def standardise(self, latents: Tensor, activity: Tensor) -> Tensor:
        """Transform latents of the VAE (n, latent_dim) to mean 0 and covariance 1, given the users' activity (n, 1)."""
        rest = latents - activity_terms(activity) @ self.latent_mean
        standardised: Tensor = torch.linalg.solve_triangular(self.latent_factor, rest.T, upper=False).T
        return standardised

    def restore(self, standardised: Tensor, activity: Tensor) -> Tensor:
        """Transform standardised latents back to latents of the VAE."""
        return standardised @ self.latent_factor.T + activity_terms(activity) @ self.latent_mean

    def forward(self, noisy: Tensor, angle: Tensor, activity: Tensor) -> Tensor:
        """Return the predicted velocity (n, latent_dim) of the noisy latents.

        Args:
            noisy: (n, latent_dim) noisy standardised latents.
            angle: (n, 1) from 0 (data) to pi/2 (noise).
            activity: (n, 1) normal scores of the users' numbers of items.
        """
        condition = functional.silu(self.condition(torch.cat([sinusoids(angle), activity], dim=1)))
        features = self.entry(noisy)
        for block in self.blocks:
            features = block(features, condition)
        expected: Tensor = self.exit(functional.silu(features))
        return expected


def denoising_loss(denoiser: Denoiser, latents: Tensor, activity: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return the mean squared error of the predicted velocity; 1 for a network that predicts 0.

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
