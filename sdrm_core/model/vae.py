"""MultiVAE (Liang et al. 2018): encodes a user's items to a latent and decodes it to a distribution over items.

It is trained to predict hidden items. Trained to reconstruct its input, as in the paper, it would use its latents to
distinguish single training users, which leaks them and does not improve recommendations.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional

from sdrm_core.config import VaeConfig
from sdrm_core.errors import ConfigError
from sdrm_core.model.networks import initialise


class ItemBags(NamedTuple):
    """The items of a batch of users, concatenated.

    Attributes:
        items: (n_interactions,) int64 columns.
        offsets: (n_users + 1,) int64; user u's items are ``items[offsets[u]:offsets[u + 1]]``.
    """

    items: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, user_items: csr_matrix, *, device: torch.device) -> "ItemBags":
        """Return the bags of an (n_users, n_items) binary matrix."""
        return cls(
            items=torch.from_numpy(user_items.indices.astype(np.int64)).to(device),
            offsets=torch.from_numpy(user_items.indptr.astype(np.int64)).to(device),
        )

    def counts(self) -> Tensor:
        """Return the (n_users,) numbers of items."""
        return self.offsets.diff()

    def users(self) -> Tensor:
        """Return (n_interactions,) the user of each item, by position in the batch."""
        counts = self.counts()
        users = torch.arange(len(counts), device=counts.device)
        return users.repeat_interleave(counts, output_size=len(self.items))


class MultiVAE(nn.Module):
    """An encoder with one tanh layer, a Gaussian latent, and a decoder that is linear or has one tanh layer.

    The first layer sums the vectors of a user's items, which equals multiplying by the user's binary row.

    Raises:
        ConfigError: the configuration does not set the number of latent dimensions.
    """

    def __init__(self, n_items: int, *, config: VaeConfig) -> None:
        super().__init__()
        if config.latent_dim is None:
            raise ConfigError("vae.latent_dim is open: VaeConfig.sized_for settles it by the number of training users")
        self.n_items = n_items
        self.latent_dim = config.latent_dim
        self.config = config
        self.item_vectors = nn.EmbeddingBag(n_items, config.hidden_units, mode="sum", include_last_offset=True)
        self.input_bias = nn.Parameter(torch.zeros(config.hidden_units))
        self.posterior = nn.Linear(config.hidden_units, 2 * self.latent_dim)
        n_features = config.decoder_units or self.latent_dim
        self.decoder_hidden = nn.Linear(self.latent_dim, n_features) if config.decoder_units else None
        self.output = nn.Linear(n_features, n_items)

    @classmethod
    def untrained(cls, n_items: int, *, config: VaeConfig, generator: torch.Generator) -> "MultiVAE":
        """Return a network whose initial weights are drawn from ``generator`` (on the CPU)."""
        vae = cls(n_items, config=config)
        initialise(vae, generator=generator)
        return vae

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.input_bias.device

    def encode(self, bags: ItemBags, *, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, (n_users, latent_dim) each, of the users' posteriors.

        Args:
            bags: the users; a user without items gets the posterior of a zero vector.
            weights: (n_interactions,) weight of each item; None: each user's input vector has length 1.
        """
        if weights is None:
            weights = unit_weights(bags, is_shown=torch.ones_like(bags.items, dtype=torch.bool))
        hidden = torch.tanh(self.item_vectors(bags.items, bags.offsets, weights) + self.input_bias)
        mean, log_variance = self.posterior(hidden).chunk(2, dim=1)
        return mean, log_variance

    def decoder_features(self, latents: Tensor) -> Tensor:
        """Return the input of the output layer: the latents, or the decoder's hidden layer."""
        return latents if self.decoder_hidden is None else torch.tanh(self.decoder_hidden(latents))

    def decode(self, latents: Tensor) -> Tensor:
        """Return logits (n_users, n_items) for latents (n_users, latent_dim)."""
        logits: Tensor = self.output(self.decoder_features(latents))
        return logits


def sample_posterior(mean: Tensor, log_variance: Tensor, *, generator: torch.Generator) -> Tensor:
    """Return one sample of each user's latent."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + noise * (log_variance / 2).exp()


def reconstruction_loss(vae: MultiVAE, bags: ItemBags, *, beta: float, generator: torch.Generator) -> Tensor:
    """Return the mean over users of the negative log-likelihood of all their items plus beta times KL, in nats.

    Source: Liang et al. 2018, equations 2 and 7.
    """
    is_shown = _shown_items(vae, bags, generator)
    weights = unit_weights(bags, is_shown=torch.ones_like(is_shown)) * is_shown / (1 - vae.config.dropout)
    latents, divergence = _posterior_draw(vae, bags, weights, generator)
    log_probabilities = functional.log_softmax(vae.decode(latents), dim=1)
    negative_log_likelihood = -log_probabilities[bags.users(), bags.items].sum()
    return (negative_log_likelihood + beta * divergence) / len(bags.counts())


def prediction_loss(vae: MultiVAE, bags: ItemBags, *, beta: float, generator: torch.Generator) -> Tensor:
    """Return the mean over users of the negative log-likelihood of the hidden items plus beta times KL, in nats."""
    is_shown = _shown_items(vae, bags, generator)
    latents, divergence = _posterior_draw(vae, bags, unit_weights(bags, is_shown=is_shown), generator)
    negative_log_likelihood = -hidden_log_probabilities(vae.decode(latents), bags, is_shown=is_shown).sum()
    return (negative_log_likelihood + beta * divergence) / len(bags.counts())


def hidden_log_probabilities(logits: Tensor, bags: ItemBags, *, is_shown: Tensor) -> Tensor:
    """Return the log-probability of each hidden item, with the softmax over all items except the user's shown ones.

    Args:
        logits: (n_users, n_items).
        bags: the users' items.
        is_shown: (n_interactions,) bool.

    Returns:
        (number of hidden items,), in their order in ``bags``.
    """
    users, items = bags.users(), bags.items
    shown = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
    shown[users[is_shown], items[is_shown]] = True
    log_probabilities = functional.log_softmax(logits.masked_fill(shown, -torch.inf), dim=1)
    return log_probabilities[users[~is_shown], items[~is_shown]]


def unit_weights(bags: ItemBags, *, is_shown: Tensor) -> Tensor:
    """Return (n_interactions,) weights that give each user's vector of shown items length 1."""
    users = bags.users()
    n_shown = torch.zeros(len(bags.counts()), device=users.device).index_add_(0, users, is_shown.float())
    weights: Tensor = is_shown * n_shown.clamp(min=1).rsqrt()[users]
    return weights


def item_penalty(vae: MultiVAE) -> Tensor:
    """Return the negative log-density of the decoder's item vectors under their Gaussian prior, up to a constant."""
    vectors = vae.output.weight
    return vae.config.item_precision / 2 * (vectors * vectors).sum()  # the gradient of ``square`` takes twice as long


def _shown_items(vae: MultiVAE, bags: ItemBags, generator: torch.Generator) -> Tensor:
    drawn = torch.rand(bags.items.shape, generator=generator, device=bags.items.device)
    return drawn >= vae.config.dropout


def _posterior_draw(
    vae: MultiVAE, bags: ItemBags, weights: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Sample a latent for each user; return the latents and the summed KL divergence of the posteriors from N(0, I)."""
    mean, log_variance = vae.encode(bags, weights=weights)
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
    return sample_posterior(mean, log_variance, generator=generator), divergence


def as_dense(bags: ItemBags, *, n_items: int) -> Tensor:
    """Return a batch as a dense binary (n_users, n_items) tensor."""
    dense = torch.zeros(len(bags.counts()), n_items, device=bags.items.device)
    dense[bags.users(), bags.items] = 1.0
    return dense


def annealed_beta(epoch: int, *, config: VaeConfig) -> float:
    """Return the KL weight of an epoch (from 1): it rises linearly to ``beta`` and then stays constant."""
    return config.beta * min(1.0, epoch / config.anneal_epochs) if config.anneal_epochs else config.beta


@torch.no_grad()
def encode_users(vae: MultiVAE, user_items: csr_matrix, *, batch_users: int = 1024) -> tuple[Tensor, Tensor]:
    """Return the posteriors' means and log-variances, (n_users, latent_dim) each, on the VAE's device."""
    n_users = user_items.shape[0]
    means, log_variances = torch.empty(2, n_users, vae.latent_dim, device=vae.device)
    for start in range(0, n_users, batch_users):
        batch = slice(start, start + batch_users)
        means[batch], log_variances[batch] = vae.encode(ItemBags.of(user_items[batch], device=vae.device))
    return means, log_variances
