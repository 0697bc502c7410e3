"""The reverse process: from noise to latents, each user in its own number of steps."""

from collections.abc import Callable

import torch
from torch import Tensor

from sdrm_core.model.schedule import SIGMA_MAX, grid_sigma

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Takes noisy latents (n, d), sigma (n, 1) and the rows' numbers (n,); returns the expected clean latents (n, d)."""


def reverse_process(denoise: Denoise, noise: Tensor, *, steps: Tensor) -> Tensor:
    """Solve the probability-flow ODE from pure noise to data with Heun's second-order method.

    Users are ordered by their number of steps, so that those still on their way are always the first rows:
    a user who needs half the steps costs half the time.

    Args:
        denoise: the denoiser.
        noise: (n_users, latent_dim) standard normal.
        steps: (n_users,) whole numbers of at least 2, on the CPU.

    Returns:
        (n_users, latent_dim) latents.

    Source: Karras et al. 2022, algorithm 1.
    """
    order = torch.argsort(steps, descending=True, stable=True)
    steps, rows = steps[order], order.to(noise.device)
    x = noise[rows] * SIGMA_MAX
    for step in range(int(steps[0]) if len(steps) else 0):
        n_active = int((steps > step).sum())
        n_corrected = int((steps > step + 1).sum())
        sigma = grid_sigma(step, steps=steps[:n_active]).to(noise.device)
        next_sigma = grid_sigma(step + 1, steps=steps[:n_active]).to(noise.device)
        current = x[:n_active]
        slope = (current - denoise(current, sigma, rows[:n_active])) / sigma
        following = current + (next_sigma - sigma) * slope
        if n_corrected:  # the last step, to sigma 0, has no slope at its end
            ahead, sigma, next_sigma = following[:n_corrected], sigma[:n_corrected], next_sigma[:n_corrected]
            next_slope = (ahead - denoise(ahead, next_sigma, rows[:n_corrected])) / next_sigma
            mean_slope = (slope[:n_corrected] + next_slope) / 2
            following[:n_corrected] = current[:n_corrected] + (next_sigma - sigma) * mean_slope
        x[:n_active] = following
    latents = torch.empty_like(x)
    latents[rows] = x
    return latents
