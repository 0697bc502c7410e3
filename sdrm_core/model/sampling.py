"""The reverse process: from noise to latents, with an individual number of steps for each user."""

from collections.abc import Callable

import torch
from torch import Tensor

from sdrm_core.model.schedule import grid_angle

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Takes noisy latents (n, d), angles (n, 1) and the rows' numbers (n,); returns expected velocities (n, d)."""


def reverse_process(velocity: Velocity, noise: Tensor, *, steps: Tensor, of_steps: int) -> Tensor:
    """Solve the probability-flow ODE from pure noise to data by the midpoint method, which has second order.

    A user with fewer steps stops early and keeps the remaining noise: mean and variance stay right, but the latent
    contains less of the learned structure. Users are sorted by their number of steps, so that the active users are
    always the first rows: with half the steps the cost is halved.

    Args:
        velocity: the network; predicts the derivative of a noisy latent by the angle.
        noise: (n_users, latent_dim) standard normal.
        steps: (n_users,) integers of at least 1, on the CPU; each step calls ``velocity`` twice.
        of_steps: number of steps from pure noise to data.

    Returns:
        (n_users, latent_dim) latents with mean 0 and variance 1, as far as ``velocity`` is exact.
    """
    order = torch.argsort(steps, descending=True, stable=True)
    steps, rows = steps[order], order.to(noise.device)
    latents = noise[rows]
    for step in range(int(steps[0]) if len(steps) else 0):
        n_active = int((steps > step).sum())
        start, middle, end = (
            torch.full((n_active, 1), grid_angle(step + part, of_steps=of_steps), device=noise.device)
            for part in (0.0, 0.5, 1.0)
        )
        current, active = latents[:n_active], rows[:n_active]
        halfway = current + (middle - start) * velocity(current, start, active)
        latents[:n_active] = current + (end - start) * velocity(halfway, middle, active)
    in_place = torch.empty_like(latents)
    in_place[rows] = latents
    return in_place
