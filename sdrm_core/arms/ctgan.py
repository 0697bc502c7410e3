"""CTGAN (Xu et al. 2019, "Modeling Tabular data using Conditional GAN"), with items as columns of two values.

Wasserstein loss with gradient penalty, a critic that judges ten users together (PacGAN), relaxed values by
Gumbel-softmax, and training by sampling: the generator gets as condition one item that the user must have, or must
not have; which of the two is drawn by the logarithm of its frequency. The critic does not get the condition: with ten
users of thousands of columns each it would double the largest layer. The loss is not suited for early stopping, so
the weights kept are those of the epoch whose item popularity is nearest to that of the validation users.

Generated items are drawn with the same Gumbel noise, as in the authors' library. The number of items of a user is not
controlled, and a user without items is returned as it is.
"""

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from torch.nn import functional

from sdrm_core.arms.item_vectors import (
    ItemVectorArm,
    ItemVectorNetwork,
    dense,
    descend,
    device_of,
    dropped,
)
from sdrm_core.data.matrix import item_popularity
from sdrm_core.model.networks import initialise
from sdrm_core.model.training import OnEpoch, Progress
from sdrm_core.randomness import numpy_stream, torch_stream

_NOISE_DIM = 128
_HIDDEN_UNITS = 256
_PACKED_USERS = 10
_SOFTNESS = 0.2  # temperature of the Gumbel-softmax
_CRITIC_DROPOUT = 0.5
_PENALTY = 10.0
_BATCH_USERS = 200
_LEARNING_RATE, _BETAS, _WEIGHT_DECAY = 2e-4, (0.5, 0.9), 1e-6
_MAX_EPOCHS, _EPOCH_STEPS = 20, 50
_WATCHED_USERS = 1000


class Ctgan(ItemVectorNetwork):
    """The generator: two hidden layers with skip connections by concatenation, then one logit per item."""

    popularity: Tensor

    def __init__(self, n_items: int) -> None:
        super().__init__(n_items)
        self.first = nn.Linear(_NOISE_DIM, _HIDDEN_UNITS)
        self.of_condition = nn.EmbeddingBag(2 * n_items, _HIDDEN_UNITS, mode="sum")
        self.first_norm = nn.BatchNorm1d(_HIDDEN_UNITS)
        self.second = nn.Linear(_HIDDEN_UNITS + _NOISE_DIM, _HIDDEN_UNITS)
        self.second_norm = nn.BatchNorm1d(_HIDDEN_UNITS)
        self.output = nn.Linear(2 * _HIDDEN_UNITS + _NOISE_DIM, n_items)
        self.register_buffer("popularity", torch.zeros(n_items))  # share of the training users

    def forward(self, items: Tensor, is_there: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return logits (n_users, n_items).

        Args:
            items: (n_users,) the item of each user's condition.
            is_there: (n_users,) bool, whether the user must have that item or must not.
            generator: draws the noise.
        """
        noise = torch.randn(len(items), _NOISE_DIM, generator=generator, device=items.device)
        told = self.of_condition((items + is_there * self.n_items).unsqueeze(1))
        features = torch.cat([functional.relu(self.first_norm(self.first(noise) + told)), noise], dim=1)
        features = torch.cat([functional.relu(self.second_norm(self.second(features))), features], dim=1)
        logits: Tensor = self.output(features)
        return logits

    def generate(self, counts: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return items drawn from the logits.

        The condition of each user is a random item, present with its frequency among the training users. Of ``counts``
        only the length is used.
        """
        device = self.popularity.device
        items = torch.randint(self.n_items, (len(counts),), generator=generator, device=device)
        is_there = torch.rand(len(counts), generator=generator, device=device) < self.popularity[items]
        logits = self(items, is_there, generator=generator)
        is_drawn: Tensor = logits + _logistic(logits, generator) >= 0
        return is_drawn


class _Critic(nn.Module):
    """The critic, which judges ten users together."""

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.first = nn.Linear(_PACKED_USERS * n_items, _HIDDEN_UNITS)
        self.second = nn.Linear(_HIDDEN_UNITS, _HIDDEN_UNITS)
        self.output = nn.Linear(_HIDDEN_UNITS, 1)

    def forward(self, users: Tensor, *, generator: torch.Generator) -> Tensor:
        """Return (n_users / 10, 1) scores, higher for real users."""
        features = users.reshape(len(users) // _PACKED_USERS, -1)
        for layer in (self.first, self.second):
            features = functional.leaky_relu(layer(features), 0.2)
            features = dropped(features, share=_CRITIC_DROPOUT, generator=generator)
        verdict: Tensor = self.output(features)
        return verdict


def _logistic(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return logistic noise: the difference of two Gumbel variables, for choosing between two values."""
    uniform = torch.rand(like.shape, generator=generator, device=like.device).clamp(1e-7, 1 - 1e-7)
    return torch.logit(uniform)


def _learn(
    network: ItemVectorNetwork,
    train: csr_matrix,
    validation: csr_matrix,
    *,
    stage: str,
    seed: int,
    on_epoch: OnEpoch,
) -> None:
    """Train generator and critic alternately, one step each."""
    assert isinstance(network, Ctgan)  # noqa: S101 - this module's own arm
    device = device_of(network)
    critic = _Critic(network.n_items)
    initialise(critic, generator=torch_stream(seed, stage, "critic-weights"))
    critic.to(device)
    popularity = item_popularity(train)
    network.popularity.copy_(torch.from_numpy(popularity / train.shape[0]))
    noise, draws = torch_stream(seed, stage, "noise", device=device), numpy_stream(seed, stage, "users")
    generator_steps, critic_steps = (
        torch.optim.AdamW(part.parameters(), lr=_LEARNING_RATE, betas=_BETAS, weight_decay=_WEIGHT_DECAY, fused=True)
        for part in (network, critic)
    )
    progress = Progress(
        network,
        stage=stage,
        max_epochs=_MAX_EPOCHS,
        patience_epochs=_MAX_EPOCHS,
        higher_is_better=False,
        on_epoch=on_epoch,
    )
    sampler = _TrainingSampler(train, popularity)
    for epoch in range(1, _MAX_EPOCHS + 1):
        network.train()
        losses = []
        for _ in range(_EPOCH_STEPS):
            items, is_there, rows = (torch.from_numpy(drawn).to(device) for drawn in sampler.draw(draws))
            real = dense(train[rows.cpu().numpy()], device=device)
            logits = network(items, is_there, generator=noise)
            fake = torch.sigmoid((logits + _logistic(logits, noise)) / _SOFTNESS)
            loss = _critic_loss(critic, real, fake.detach(), noise)
            losses.append(descend(loss, critic_steps, stage=stage, epoch=epoch))
            told = logits.gather(1, items.unsqueeze(1)).squeeze(1)
            loss = (
                functional.binary_cross_entropy_with_logits(told, is_there.float())
                - critic(fake, generator=noise).mean()
            )
            descend(loss, generator_steps, stage=stage, epoch=epoch)
        network.eval()
        progress.end_epoch(losses, validation=_popularity_distance(network, validation, stage, seed))
    progress.restore_best()


class _TrainingSampler:
    """Draws a random item, whether it is present (by the logarithm of its frequency), and a matching training user."""

    def __init__(self, train: csr_matrix, popularity: np.ndarray) -> None:
        self._users, self._holders = train, train.tocsc()
        present, absent = np.log1p(popularity), np.log1p(train.shape[0] - popularity)
        self._present_share = present / (present + absent)

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the items, whether each is present, and the users of a batch, (n_batch,) each."""
        items = rng.integers(len(self._present_share), size=_BATCH_USERS)
        is_there = rng.random(_BATCH_USERS) < self._present_share[items]
        users = rng.integers(self._users.shape[0], size=_BATCH_USERS)
        first, after = self._holders.indptr[items[is_there]], self._holders.indptr[items[is_there] + 1]
        users[is_there] = self._holders.indices[rng.integers(first, after)]
        wrong = self._holding(users, items) & ~is_there
        while wrong.any():
            users[wrong] = rng.integers(self._users.shape[0], size=int(wrong.sum()))
            wrong = self._holding(users, items) & ~is_there
        return items, is_there, users

    def _holding(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        held: np.ndarray = np.asarray(self._users[users, items]).ravel() > 0
        return held


def _critic_loss(critic: _Critic, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """Return the Wasserstein loss plus the penalty on gradient norms other than 1 (Gulrajani et al. 2017)."""
    share = torch.rand(len(real) // _PACKED_USERS, 1, 1, generator=generator, device=real.device)
    packs = (len(real) // _PACKED_USERS, _PACKED_USERS, -1)
    between = (share * real.reshape(packs) + (1 - share) * fake.reshape(packs)).reshape(real.shape).requires_grad_()
    verdict = critic(between, generator=generator)
    (slope,) = torch.autograd.grad(verdict.sum(), between, create_graph=True)
    length = slope.reshape(packs[0], -1).norm(dim=1)
    distance = critic(fake, generator=generator).mean() - critic(real, generator=generator).mean()
    loss: Tensor = distance + _PENALTY * (length - 1).square().mean()
    return loss


@torch.no_grad()
def _popularity_distance(network: Ctgan, validation: csr_matrix, stage: str, seed: int) -> float:
    """Return the sum of absolute differences of the items' user shares, divided by that of empty users."""
    generator = torch_stream(seed, stage, "validation", device=device_of(network))
    users = network.generate(torch.ones(_WATCHED_USERS, device=device_of(network)), generator=generator)
    generated = users.float().mean(dim=0).cpu().numpy()
    real = item_popularity(validation) / validation.shape[0]
    return float(np.abs(generated - real).sum() / real.sum())


CTGAN = ItemVectorArm("ctgan", Ctgan, _learn)
