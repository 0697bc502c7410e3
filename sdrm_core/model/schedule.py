"""The noise schedule of the diffusion: the noise added at each angle, and the angles of the reverse process.

A noisy latent is ``cos(angle) * latent + sin(angle) * noise``. With latents standardised to variance 1 every
angle has variance 1; angle 0 is data and angle pi/2 exactly N(0, I). These are the coordinates of
Karras et al. 2022 ("EDM") with sigma = tan(angle), where its preconditioning is the identity and the
probability-flow ODE has no steep end; Lu and Song 2024, "Simplifying ... Consistency Models", section 3.
"""

import math

import torch
from torch import Tensor

NOISE_ANGLE = math.pi / 2


def add_noise(latents: Tensor, *, angle: Tensor, noise: Tensor) -> Tensor:
    """Return the noisy latents at ``angle`` (n, 1), from standardised latents (n, latent_dim)."""
    return angle.cos() * latents + angle.sin() * noise


def velocity(latents: Tensor, *, angle: Tensor, noise: Tensor) -> Tensor:
    """Return the derivative of ``add_noise`` by the angle: the network's target."""
    return angle.cos() * noise - angle.sin() * latents


def training_angles(n_users: int, *, generator: torch.Generator) -> Tensor:
    """Return (n_users, 1) angles, uniform between data (0) and noise (pi/2)."""
    return NOISE_ANGLE * torch.rand(n_users, 1, generator=generator, device=generator.device)


def grid_angle(step: float, *, of_steps: int) -> float:
    """Return the angle after ``step`` of ``of_steps`` equal reverse steps from noise to data."""
    return NOISE_ANGLE * (1 - step / of_steps)
