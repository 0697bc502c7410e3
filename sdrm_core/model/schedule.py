"""The noise of the diffusion: preconditioning, training noise and the grids of the reverse process.

The variance-exploding form of Karras et al. 2022 ("EDM"): a noisy latent is ``x = x0 + sigma * noise`` with
latents standardised to variance 1, so at ``SIGMA_MAX`` it is Gaussian noise to within ``1 / SIGMA_MAX**2``.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SIGMA_MIN = 0.02
SIGMA_MAX = 80.0
SIGMA_DATA = 1.0
GRID_EXPONENT = 7.0
LOG_SIGMA_MEAN = -0.6
LOG_SIGMA_STD = 1.3


class Preconditioning(NamedTuple):
    """Scalings that keep the network's input and target at variance 1 for every sigma (Table 1)."""

    skip: Tensor
    out: Tensor
    into: Tensor
    noise: Tensor


def preconditioning(sigma: Tensor) -> Preconditioning:
    """Return the scalings for ``sigma`` (n, 1): ``denoised = skip * x + out * network(into * x, noise)``."""
    total = (sigma.square() + SIGMA_DATA**2).sqrt()
    return Preconditioning(
        skip=SIGMA_DATA**2 / total.square(), out=sigma * SIGMA_DATA / total, into=1 / total, noise=sigma.log() / 4
    )


def add_noise(latents: Tensor, *, sigma: Tensor, noise: Tensor) -> Tensor:
    """Return the forward process at ``sigma`` (n, 1): ``latents + sigma * noise``."""
    return latents + sigma * noise


def training_sigma(n_users: int, *, generator: torch.Generator) -> Tensor:
    """Return (n_users, 1) log-normal noise levels, where the loss says most."""
    normal = torch.randn(n_users, 1, generator=generator, device=generator.device)
    return (LOG_SIGMA_MEAN + LOG_SIGMA_STD * normal).exp()


def grid_sigma(step: int, *, steps: Tensor) -> Tensor:
    """Return the noise level before reverse step ``step`` of grids with ``steps`` steps each.

    Every grid runs from ``SIGMA_MAX`` to ``SIGMA_MIN`` and then to 0 (EDM, equation 5); one with fewer
    steps takes longer strides.

    Args:
        step: from 0; at ``steps`` and beyond the level is 0.
        steps: (n,) whole numbers of at least 2.

    Returns:
        (n, 1) float32.
    """
    high, low = math.pow(SIGMA_MAX, 1 / GRID_EXPONENT), math.pow(SIGMA_MIN, 1 / GRID_EXPONENT)
    share = step / (steps.to(torch.float32) - 1)
    sigma = (high + share * (low - high)).pow(GRID_EXPONENT)
    return torch.where(step < steps, sigma, 0.0).unsqueeze(1)
