"""CODIGEM (Walker et al. 2022, "Recommendation via Collaborative Diffusion Generative Models").

A diffusion of the item vector in three steps, each undone by a network of its own, and a decoder on top of the
last; trained by the evidence lower bound. Written to recommend, it adds next to no noise to a real user. To make
users who do not exist, the chain has to begin at N(0, I), so each step here takes enough of the user away that a
hundredth of the variance is left after the third. Of the decoded vector the highest entries are kept, as many as
the activity of the training users says.
"""

import torch
from torch import Tensor, nn

from sdrm_core.arms.blocks import highest
from sdrm_core.arms.item_vectors import Descent, ItemVectorArm, ItemVectorNetwork, device_of, gaussian

_STEPS = 3
_KEPT = 0.01 ** (1 / _STEPS)  # 1 - beta, the same at every step
_HIDDEN_UNITS = 200


def _network(n_inputs: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_inputs, _HIDDEN_UNITS),
        nn.PReLU(),
        nn.Linear(_HIDDEN_UNITS, _HIDDEN_UNITS),
        nn.PReLU(),
        nn.Linear(_HIDDEN_UNITS, n_outputs),
    )


class Codigem(ItemVectorNetwork):
    """The networks that undo the steps, from the second on, and the decoder that undoes the first."""

    def __init__(self, n_items: int) -> None:
        super().__init__(n_items)
        self.steps = nn.ModuleList(_network(n_items, 2 * n_items) for _ in range(_STEPS - 1))
        self.decoder = nn.Sequential(_network(n_items, n_items), nn.Tanh())

    def loss(self, held: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return the negative evidence lower bound in nats, but for what no weight can change."""
        before = _noised(held, generator=generator)
        total: Tensor = (self.decoder(before) - held).square().sum() / 2
        for network in self.steps:
            after = _noised(before, generator=generator)
            mean, log_variance = network(after).chunk(2, dim=1)
            total = total + ((before - mean).square() / log_variance.exp() + log_variance).sum() / 2
            before = after
        return total / len(held)

    def generate(self, counts: Tensor, *, generator: torch.Generator) -> Tensor:
        """Undo the steps from pure noise, decode, and keep each user's highest items."""
        vectors = torch.randn(len(counts), self.n_items, generator=generator, device=device_of(self))
        for network in reversed(self.steps):
            mean, log_variance = network(vectors).chunk(2, dim=1)
            vectors = mean + (log_variance / 2).exp() * gaussian(mean, generator=generator)
        return highest(self.decoder(vectors), counts=counts)


def _noised(vectors: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return the vectors after one more step."""
    noisy: Tensor = _KEPT**0.5 * vectors + (1 - _KEPT) ** 0.5 * gaussian(vectors, generator=generator)
    return noisy


CODIGEM = ItemVectorArm(
    "codigem",
    Codigem,
    Descent(learning_rate=1e-3, weight_decay=0.0, batch_users=128, max_epochs=300, max_steps=3000, patience_epochs=15),
)
