"""TVAE (Xu et al. 2019, "Modeling Tabular data using Conditional GAN", section 4.5), items as Bernoulli columns.

Generation decodes z ~ N(0, I) and, like the authors' library, takes the more likely value of each column: an item is
present if its probability is at least 1/2. The number of items of a user is not controlled, and unpopular items hardly
ever reach 1/2: users without items are part of the method and are returned as they are.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sdrm_core.arms.item_vectors import Descent, ItemVectorArm, ItemVectorNetwork, device_of, gaussian

_HIDDEN_UNITS = 128
_LATENT_DIM = 128
_RECONSTRUCTION_WEIGHT = 2.0  # the library's "loss factor"


class Tvae(ItemVectorNetwork):
    """Two hidden layers on each side of a Gaussian latent."""

    def __init__(self, n_items: int) -> None:
        super().__init__(n_items)
        self.encoder = nn.Sequential(
            nn.Linear(n_items, _HIDDEN_UNITS),
            nn.ReLU(),
            nn.Linear(_HIDDEN_UNITS, _HIDDEN_UNITS),
            nn.ReLU(),
            nn.Linear(_HIDDEN_UNITS, 2 * _LATENT_DIM),
        )
        self.decoder = nn.Sequential(
            nn.Linear(_LATENT_DIM, _HIDDEN_UNITS),
            nn.ReLU(),
            nn.Linear(_HIDDEN_UNITS, _HIDDEN_UNITS),
            nn.ReLU(),
            nn.Linear(_HIDDEN_UNITS, n_items),
        )

    def loss(self, held: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return the negative evidence lower bound in nats, with the reconstruction term doubled."""
        mean, log_variance = self.encoder(held).chunk(2, dim=1)
        latents = mean + gaussian(mean, generator=generator) * (log_variance / 2).exp()
        likelihood = functional.binary_cross_entropy_with_logits(self.decoder(latents), held, reduction="sum")
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
        bound: Tensor = (_RECONSTRUCTION_WEIGHT * likelihood + divergence) / len(held)
        return bound

    def generate(self, counts: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return the more likely value of each item; of ``counts`` only the length is used."""
        latents = torch.randn(len(counts), _LATENT_DIM, generator=generator, device=device_of(self))
        is_likely: Tensor = self.decoder(latents) >= 0
        return is_likely


TVAE = ItemVectorArm(
    "tvae",
    Tvae,
    Descent(learning_rate=1e-3, weight_decay=1e-5, batch_users=500, max_epochs=300, max_steps=3000, patience_epochs=30),
)
