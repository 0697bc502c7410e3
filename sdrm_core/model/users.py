"""Synthetic users before they have items: activity and latents, determined by the user's number.

Users are generated in blocks whose size depends on the model only, each block from its own random stream. So batch
size, shards, threads and the requested range never change a user, and memory does not grow with the number of users.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sdrm_core.config import Resolution
from sdrm_core.model.activity import block_quantiles, counts_at, scores_of
from sdrm_core.model.denoiser import Denoiser
from sdrm_core.model.sampling import reverse_process
from sdrm_core.model.stratified import stratified_uniform
from sdrm_core.randomness import torch_stream

_BLOCK_CELLS = 1 << 22
"""Logits of one block: 16 MiB of float32."""
_MAX_BLOCK_USERS = 1024


def block_users(n_items: int) -> int:
    """Return the number of users in a block, for a catalogue of ``n_items``."""
    return max(1, min(_MAX_BLOCK_USERS, _BLOCK_CELLS // n_items))


class UserBlock(NamedTuple):
    """The users of one block.

    Attributes:
        latents: (n_users, latent_dim) of the VAE.
        counts: (n_users,) int64, number of items to draw for each user.
        generator: the block's random generator, next used to draw the items.
    """

    latents: Tensor
    counts: np.ndarray
    generator: torch.Generator


@dataclass(frozen=True, eq=False)
class UserSource:
    """Generates users without items.

    Attributes:
        denoiser: the trained denoiser.
        activity: (n_train_users,) the training users' numbers of items, after ``publishable_activity``.
        users_per_block: size of every block.
    """

    denoiser: Denoiser
    activity: np.ndarray
    users_per_block: int

    @torch.no_grad()
    def blocks(self, numbers: range, *, seed: int, resolution: Resolution) -> list[UserBlock]:
        """Return the blocks with these numbers, denoised together.

        Block b contains the users [b * users_per_block, (b + 1) * users_per_block).
        """
        device = self.denoiser.latent_factor.device
        generators = [torch_stream(seed, "users", number, device=device) for number in numbers]
        shape = (self.users_per_block, self.denoiser.latent_dim)
        noise = torch.cat([_shuffled(stratified_uniform(shape, generator), generator) for generator in generators])
        noise = torch.special.ndtri(noise)
        steps = torch.cat([self._steps(number, seed=seed, resolution=resolution) for number in numbers])
        size = self.users_per_block
        quantiles = np.concatenate([block_quantiles(n, size=size, seed=seed, stream="activity") for n in numbers])
        counts = counts_at(quantiles, reference=self.activity)
        scores = scores_of(quantiles, n_reference=len(self.activity)).astype(np.float32)
        activity = torch.from_numpy(scores).unsqueeze(1).to(device)

        def velocity(noisy: Tensor, angle: Tensor, rows: Tensor) -> Tensor:
            expected: Tensor = self.denoiser(noisy, angle, activity[rows])
            return expected

        standardised = reverse_process(velocity, noise, steps=steps, of_steps=self.denoiser.config.reverse_steps)
        latents = self.denoiser.restore(standardised, activity)
        return [
            UserBlock(latents=part, counts=part_counts, generator=generator)
            for part, part_counts, generator in zip(
                latents.reshape(len(numbers), self.users_per_block, -1),
                np.split(counts, len(numbers)),
                generators,
                strict=True,
            )
        ]

    def _steps(self, number: int, *, seed: int, resolution: Resolution) -> Tensor:
        """Return each user's number of reverse steps: the maximum for ``full``, else uniform from 1 to the maximum."""
        full = self.denoiser.config.reverse_steps
        if resolution == "full":
            return torch.full((self.users_per_block,), full)
        generator = torch_stream(seed, "steps", number)
        return torch.randint(1, full + 1, (self.users_per_block,), generator=generator)


def _shuffled(users: Tensor, generator: torch.Generator) -> Tensor:
    """Return the rows in random order: strata follow the users' numbers, and so would the tastes of a release's rows.

    Where real user ids follow taste, as with ids in order of sign-up, that looks like the order of the training rows.
    """
    return users[torch.randperm(len(users), generator=generator, device=generator.device)]
