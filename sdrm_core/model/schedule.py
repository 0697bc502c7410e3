"""The noise of the diffusion: what is added at each angle, and the angles of the reverse process.

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
    """Return the forward process at ``angle`` (n, 1), for standardised latents (n, latent_dim)."""
    return angle.cos() * latents + angle.sin() * noise


def velocity(latents: Tensor, *, angle: Tensor, noise: Tensor) -> Tensor:
    """Return how fast ``add_noise`` changes with the angle: what the network learns to expect."""
    return angle.cos() * noise - angle.sin() * latents


def training_angles(n_users: int, *, generator: torch.Generator) -> Tensor:
    """Return (n_users, 1) angles, uniform from data to noise."""
    return NOISE_ANGLE * torch.rand(n_users, 1, generator=generator, device=generator.device)


def grid_angle(step: float, *, of_steps: int) -> float:
    """Return the angle after ``step`` of ``of_steps`` even reverse steps from noise to data."""
    return NOISE_ANGLE * (1 - step / of_steps)
