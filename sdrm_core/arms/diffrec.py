"""DiffRec (Wang et al. 2023, "Diffusion Recommender Model"): Gaussian diffusion of the user's item vector.

The paper's model recommends: it adds very little noise (a tenth at most) to a real user and removes it again. To
generate new users, the reverse chain has to begin at N(0, I), so here the noise grows until almost nothing of the
user is left. All else is as in the paper: linearly growing variance, an MLP that predicts the clean vector, losses
weighted by the signal-to-noise ratio, importance sampling of the steps. The highest entries of the generated vector
become the user's items, as many as the activity of the training users gives.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from sdrm_core.arms.blocks import highest
from sdrm_core.arms.item_vectors import Descent, ItemVectorArm, ItemVectorNetwork, device_of, dropped, gaussian

_STEPS = 40
_LEAST_NOISE, _MOST_NOISE = 0.02, 0.999  # noise variance, with a total of 1, after the first and last step
_HIDDEN_UNITS = (600, 200, 600)
_STEP_FEATURES = 10
_DROPOUT = 0.5
_REMEMBERED_LOSSES = 10


class DiffRec(ItemVectorNetwork):
    """The MLP that predicts the clean vector from a noisy vector and its step, and the diffusion chain."""

    signal: Tensor
    remembered: Tensor
    n_remembered: Tensor

    def __init__(self, n_items: int) -> None:
        super().__init__(n_items)
        self.step_features = nn.Linear(_STEP_FEATURES, _STEP_FEATURES)
        sizes = (n_items + _STEP_FEATURES, *_HIDDEN_UNITS, n_items)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        signal = 1 - torch.linspace(_LEAST_NOISE, _MOST_NOISE, _STEPS)  # (steps,) alpha_bar
        self.register_buffer("signal", torch.cat([torch.ones(1), signal]), persistent=False)  # step 0 is the data
        self.register_buffer("remembered", torch.zeros(_STEPS, _REMEMBERED_LOSSES), persistent=False)
        self.register_buffer("n_remembered", torch.zeros(_STEPS, dtype=torch.int64), persistent=False)

    def forward(self, noisy: Tensor, step: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the predicted clean vectors (n, n_items) of ``noisy`` (n, n_items) at ``step`` (n,), from 1."""
        frequencies = torch.exp(
            -math.log(10_000) * torch.arange(_STEP_FEATURES // 2, device=noisy.device) / (_STEP_FEATURES // 2)
        )
        angles = step.unsqueeze(1) * frequencies
        places = self.step_features(torch.cat([angles.cos(), angles.sin()], dim=1))
        if generator is not None:
            noisy = dropped(noisy, share=_DROPOUT, generator=generator)
        features = torch.cat([noisy, places], dim=1)
        for layer in self.layers[:-1]:
            features = torch.tanh(layer(features))
        expected: Tensor = self.layers[-1](features)
        return expected

    def loss(self, held: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return the weighted squared error per item at random steps (equations 8 to 12)."""
        step, probability = self._draw_steps(len(held), generator)
        signal = self.signal[step].unsqueeze(1)
        noisy = signal.sqrt() * held + (1 - signal).sqrt() * gaussian(held, generator=generator)
        expected = self(noisy, step, generator=generator if self.training else None)
        losses = self._weight(step) * (expected - held).square().mean(dim=1)
        if self.training:
            self._remember(step, losses.detach())
        total: Tensor = (losses / (_STEPS * probability)).mean()
        return total

    def _weight(self, step: Tensor) -> Tensor:
        """Return half of the decrease of the signal-to-noise ratio in each step; 1 for the step next to the data."""
        ratio = self.signal / (1 - self.signal)
        return torch.where(step == 1, 1.0, (ratio[step - 1] - ratio[step]) / 2)

    def _draw_steps(self, n_users: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return (n_users,) steps and their probabilities.

        Uniform until enough losses of every step are stored; then in proportion to the root mean square loss of the
        step.
        """
        probability = torch.full((_STEPS,), 1 / _STEPS, device=self.signal.device)
        if self.training and bool((self.n_remembered >= _REMEMBERED_LOSSES).all()):
            root = self.remembered.square().mean(dim=1).sqrt()
            probability = 0.999 * root / root.sum() + 0.001 / _STEPS
        drawn = torch.multinomial(probability, n_users, replacement=True, generator=generator)
        return drawn + 1, probability[drawn]

    def _remember(self, step: Tensor, losses: Tensor) -> None:
        """Store the last losses of each step."""
        for place, loss in zip((step - 1).tolist(), losses, strict=True):
            self.remembered[place, self.n_remembered[place] % _REMEMBERED_LOSSES] = loss
            self.n_remembered[place] += 1

    def generate(self, counts: Tensor, *, generator: torch.Generator) -> Tensor:
        """Run the reverse chain from noise by its posterior (equation 5) and keep each user's highest-scoring items."""
        vectors = torch.randn(len(counts), self.n_items, generator=generator, device=device_of(self))
        for step in range(_STEPS, 0, -1):
            expected = self(vectors, torch.full((len(counts),), step, device=vectors.device))
            before, after = self.signal[step - 1], self.signal[step]
            kept = after / before
            vectors = (before.sqrt() * (1 - kept) * expected + kept.sqrt() * (1 - before) * vectors) / (1 - after)
            if step > 1:
                deviation = ((1 - kept) * (1 - before) / (1 - after)).sqrt()
                vectors = vectors + deviation * gaussian(vectors, generator=generator)
        return highest(vectors, counts=counts)


DIFFREC = ItemVectorArm(
    "diffrec",
    DiffRec,
    Descent(learning_rate=1e-3, weight_decay=0.0, batch_users=128, max_epochs=100, max_steps=3000, patience_epochs=15),
)
