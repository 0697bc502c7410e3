"""MultiVAE (Liang et al. 2018): a user's items to a latent and back to a distribution over items."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional

from sdrm_core.config import VaeConfig
from sdrm_core.model.networks import initialise


class ItemBags(NamedTuple):
    """The items of a batch of users, one after another.

    Attributes:
        items: (n_interactions,) int64 columns.
        offsets: (n_users + 1,) int64; user u's items are ``items[offsets[u]:offsets[u + 1]]``.
    """

    items: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, user_items: csr_matrix, *, device: torch.device) -> "ItemBags":
        """Return the bags of a (n_users, n_items) binary matrix."""
        return cls(
            items=torch.from_numpy(user_items.indices.astype(np.int64)).to(device),
            offsets=torch.from_numpy(user_items.indptr.astype(np.int64)).to(device),
        )

    def counts(self) -> Tensor:
        """Return (n_users,) numbers of items."""
        return self.offsets.diff()


class MultiVAE(nn.Module):
    """One tanh layer on each side of a Gaussian latent.

    The first layer sums the vectors of a user's items instead of multiplying by a row of zeros and ones.
    """

    def __init__(self, n_items: int, *, config: VaeConfig) -> None:
        super().__init__()
        self.n_items = n_items
        self.config = config
        self.item_vectors = nn.EmbeddingBag(n_items, config.hidden_units, mode="sum", include_last_offset=True)
        self.input_bias = nn.Parameter(torch.zeros(config.hidden_units))
        self.posterior = nn.Linear(config.hidden_units, 2 * config.latent_dim)
        self.decoder_hidden = nn.Linear(config.latent_dim, config.hidden_units)
        self.output = nn.Linear(config.hidden_units, n_items)

    @classmethod
    def untrained(cls, n_items: int, *, config: VaeConfig, generator: torch.Generator) -> "MultiVAE":
        """Return a network with the initial weights that ``generator`` (on the CPU) draws."""
        vae = cls(n_items, config=config)
        initialise(vae, generator=generator)
        return vae

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.input_bias.device

    def encode(self, bags: ItemBags, *, dropout_generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, (n_users, latent_dim) each, of the users' posteriors.

        Args:
            bags: the users; one without items gets the posterior of an empty vector.
            dropout_generator: draws the items left out of the input; None: all are used.
        """
        counts = bags.counts()
        weights = torch.repeat_interleave(counts.clamp(min=1).rsqrt(), counts, output_size=len(bags.items))
        if dropout_generator is not None:
            kept = torch.rand(weights.shape, generator=dropout_generator, device=weights.device) >= self.config.dropout
            weights = weights * kept / (1 - self.config.dropout)
        hidden = torch.tanh(self.item_vectors(bags.items, bags.offsets, weights) + self.input_bias)
        mean, log_variance = self.posterior(hidden).chunk(2, dim=1)
        return mean, log_variance

    def decoder_features(self, latents: Tensor) -> Tensor:
        """Return the decoder's hidden layer (n_users, hidden_units) for latents (n_users, latent_dim)."""
        return torch.tanh(self.decoder_hidden(latents))

    def decode(self, latents: Tensor) -> Tensor:
        """Return logits (n_users, n_items) for latents (n_users, latent_dim)."""
        logits: Tensor = self.output(self.decoder_features(latents))
        return logits


def sample_posterior(mean: Tensor, log_variance: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return one draw of each user's latent."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + noise * (log_variance / 2).exp()


def vae_loss(vae: MultiVAE, bags: ItemBags, *, beta: float, generator: torch.Generator) -> Tensor:
    """Return the mean over users of the multinomial negative log-likelihood plus beta times KL, in nats.

    Source: Liang et al. 2018, equations 2 and 7.
    """
    mean, log_variance = vae.encode(bags, dropout_generator=generator)
    latents = sample_posterior(mean, log_variance, generator=generator)
    log_probabilities = functional.log_softmax(vae.decode(latents), dim=1)
    negative_log_likelihood = -(log_probabilities * as_dense(bags, n_items=vae.n_items)).sum(dim=1)
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
    return (negative_log_likelihood + beta * divergence).mean()


def as_dense(bags: ItemBags, *, n_items: int) -> Tensor:
    """Return a batch as (n_users, n_items) zeros and ones."""
    counts = bags.counts()
    users = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    dense = torch.zeros(len(counts), n_items, device=counts.device)
    dense[users, bags.items] = 1.0
    return dense


def annealed_beta(epoch: int, *, config: VaeConfig) -> float:
    """Return the KL weight of an epoch (from 1): a straight line from 0 to ``beta``, then flat."""
    return config.beta * min(1.0, epoch / config.anneal_epochs) if config.anneal_epochs else config.beta


@torch.no_grad()
def encode_users(vae: MultiVAE, user_items: csr_matrix, *, batch_users: int) -> tuple[Tensor, Tensor]:
    """Return the posteriors' means and log-variances, (n_users, latent_dim) each, on the VAE's device."""
    starts = range(0, math.ceil(user_items.shape[0] / batch_users) * batch_users, batch_users)
    parts = [vae.encode(ItemBags.of(user_items[start : start + batch_users], device=vae.device)) for start in starts]
    return torch.cat([mean for mean, _ in parts]), torch.cat([log_variance for _, log_variance in parts])
