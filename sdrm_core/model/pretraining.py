"""Pretraining of the VAE."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from sdrm_core.config import VaeConfig
from sdrm_core.data.matrix import Fold, item_popularity
from sdrm_core.data.users import batches, some_users
from sdrm_core.errors import TrainingError
from sdrm_core.model.devices import Workers
from sdrm_core.model.fold_in import fold_in, fold_in_log_likelihood, fold_in_ndcg
from sdrm_core.model.training import EpochReport, OnEpoch, Progress, batch_pieces, gradient_step
from sdrm_core.model.vae import (
    ItemBags,
    MultiVAE,
    annealed_beta,
    item_penalty,
    prediction_loss,
    reconstruction_loss,
)
from sdrm_core.randomness import numpy_stream, torch_stream

STAGE = "vae"
_MAX_VALIDATION_USERS = 2_500  # more validation users do not improve early stopping


class Loss(Protocol):
    """The loss of a batch."""

    def __call__(self, vae: MultiVAE, bags: ItemBags, *, beta: float, generator: torch.Generator) -> Tensor:
        """Return the mean over the users of a batch, in nats."""


class Objective(NamedTuple):
    """The training objective of a VAE.

    Attributes:
        loss: of a batch.
        quality: of the VAE on validation users, higher is better; used for early stopping.
        starts_popular: True: the output bias starts at the log popularity of the items; False: at zero.
    """

    loss: Loss
    quality: Callable[[MultiVAE, Fold], float]
    starts_popular: bool


PREDICT_HIDDEN = Objective(prediction_loss, fold_in_log_likelihood, starts_popular=True)
"""Predict the items that a user hides: the objective of this pipeline."""

REPEAT_INPUT = Objective(reconstruction_loss, fold_in_ndcg, starts_popular=False)
"""Reconstruct all items of a user, also the shown ones: Liang et al. 2018, for the arms from the literature."""


def train_vae(
    train: csr_matrix,
    validation: csr_matrix,
    *,
    config: VaeConfig,
    seed: int,
    device: torch.device,
    on_epoch: OnEpoch,
    objective: Objective = PREDICT_HIDDEN,
) -> tuple[MultiVAE, tuple[EpochReport, ...]]:
    """Train a MultiVAE with early stopping on the validation users.

    An epoch is a pass over the training users, but at most ``config.epoch_steps`` gradient steps: with very many users
    fewer passes are enough.

    Args:
        train: (n_train_users, n_items) binary.
        validation: (n_validation_users, n_items) binary; only used for early stopping; a random part if there are
            very many.
        config: the VAE's settings.
        seed: the run's seed.
        device: where to train.
        on_epoch: called after each epoch.
        objective: loss and quality measure.

    Returns:
        The VAE with the weights of its best epoch, frozen, and one report per epoch.

    Raises:
        TrainingError: the loss is not finite, or no validation user has two items.
    """
    looked_at = some_users(validation, _MAX_VALIDATION_USERS, draw=numpy_stream(seed, STAGE, "validation"))
    divided = fold_in(looked_at, rng=numpy_stream(seed, STAGE, "fold-in"))
    if not divided.inputs.shape[0]:
        raise TrainingError("vae: no validation user has 2 items to divide; raise roles.validation or use more data")
    config = config.sized_for(train.shape[0])
    vae = MultiVAE.untrained(train.shape[1], config=config, generator=torch_stream(seed, STAGE, "weights")).to(device)
    if objective.starts_popular:
        vae.output.bias.data = log_popularity(train).to(device)
    optimizer = torch.optim.Adam(vae.parameters(), lr=config.learning_rate, fused=True)
    generators = [torch_stream(seed, STAGE, "noise", piece, device=device) for piece in range(batch_pieces(device))]
    shuffler = numpy_stream(seed, STAGE, "batches")
    user_batches = batches(train.shape[0], batch_users=config.batch_users, draw=shuffler)
    epoch_steps = min(config.epoch_steps, math.ceil(train.shape[0] / config.batch_users))
    progress = Progress(
        vae,
        stage=STAGE,
        max_epochs=config.max_epochs,
        patience_epochs=config.patience_epochs,
        higher_is_better=True,
        on_epoch=on_epoch,
    )
    with Workers(device) as workers:
        for epoch in range(1, config.max_epochs + 1):
            beta = annealed_beta(epoch, config=config)
            losses = []
            for users in islice(user_batches, epoch_steps):
                pieces = _loss_pieces(
                    vae, train[users], loss=objective.loss, beta=beta, generators=generators, n_train=train.shape[0]
                )
                losses.append(gradient_step(pieces, optimizer, workers=workers, stage=STAGE, epoch=epoch))
            if not progress.end_epoch(losses, validation=objective.quality(vae, divided)):
                break
    progress.restore_best()
    return vae, tuple(progress.reports)


def log_popularity(user_items: csr_matrix) -> Tensor:
    """Return (n_items,) logits: the log share of users that have each item, after adding one user with all items."""
    shares = (item_popularity(user_items) + 1) / (user_items.shape[0] + 1)
    return torch.from_numpy(np.log(shares).astype(np.float32))


def _loss_pieces(
    vae: MultiVAE,
    batch: csr_matrix,
    *,
    loss: Loss,
    beta: float,
    generators: Sequence[torch.Generator],
    n_train: int,
) -> list[Callable[[], Tensor]]:
    """Return a loss for each part of the batch, weighted by its share of the batch's users."""
    n_users = batch.shape[0]
    parts = [part for part in np.array_split(np.arange(n_users), len(generators)) if len(part)]

    def loss_of(number: int) -> Tensor:
        part = parts[number]
        bags = ItemBags.of(batch[part], device=vae.device)
        per_user = loss(vae, bags, beta=beta, generator=generators[number]) + item_penalty(vae) / n_train
        return len(part) / n_users * per_user

    return [partial(loss_of, number) for number in range(len(parts))]
