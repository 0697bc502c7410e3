"""CODIGEM (Walker et al. 2022, "Recommendation via Collaborative Diffusion Generative Models").

A diffusion of the item vector in three steps. Each step has its own network that reverses it; a decoder reverses the
first. Training maximises the evidence lower bound. The paper's model recommends, so it adds very little noise to a
real user. To generate new users, the reverse chain has to begin at N(0, I); so here each step adds so much noise that
after the third only a hundredth of the signal's variance is left. The highest entries of the decoded vector become
the user's items, as many as the activity of the training users gives.
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
    """The networks that reverse the steps after the first, and the decoder that reverses the first."""

    def __init__(self, n_items: int) -> None:
        super().__init__(n_items)
        self.steps = nn.ModuleList(_network(n_items, 2 * n_items) for _ in range(_STEPS - 1))
        self.decoder = nn.Sequential(_network(n_items, n_items), nn.Tanh())

    def loss(self, held: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return the negative evidence lower bound in nats, without terms that do not depend on the weights."""
        before = _noised(held, generator=generator)
        total: Tensor = (self.decoder(before) - held).square().sum() / 2
        for network in self.steps:
            after = _noised(before, generator=generator)
            mean, log_variance = network(after).chunk(2, dim=1)
            total = total + ((before - mean).square() / log_variance.exp() + log_variance).sum() / 2
            before = after
        return total / len(held)

    def generate(self, counts: Tensor, *, generator: torch.Generator) -> Tensor:
        """Reverse the steps from pure noise, decode, and keep each user's highest-scoring items."""
        vectors = torch.randn(len(counts), self.n_items, generator=generator, device=device_of(self))
        for network in reversed(self.steps):
            mean, log_variance = network(vectors).chunk(2, dim=1)
            vectors = mean + (log_variance / 2).exp() * gaussian(mean, generator=generator)
        return highest(self.decoder(vectors), counts=counts)


def _noised(vectors: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return the vectors after one more noise step."""
    noisy: Tensor = _KEPT**0.5 * vectors + (1 - _KEPT) ** 0.5 * gaussian(vectors, generator=generator)
    return noisy


CODIGEM = ItemVectorArm(
    "codigem",
    Codigem,
    Descent(learning_rate=1e-3, weight_decay=0.0, batch_users=128, max_epochs=300, max_steps=3000, patience_epochs=15),
)
