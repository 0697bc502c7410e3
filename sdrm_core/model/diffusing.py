"""Training of the denoiser on the latents of the frozen VAE."""

import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from sdrm_core.config import DiffusionConfig
from sdrm_core.model.activity import normal_scores
from sdrm_core.model.denoiser import Denoiser, denoising_loss
from sdrm_core.model.devices import Workers
from sdrm_core.model.networks import average_weights
from sdrm_core.model.training import EpochReport, OnEpoch, Progress, batch_pieces, gradient_step
from sdrm_core.model.vae import MultiVAE, encode_users, sample_posterior
from sdrm_core.randomness import numpy_stream, torch_stream

STAGE = "diffusion"
_VALIDATION_DRAWS = 8192


class Posteriors(NamedTuple):
    """The input of the diffusion model: posteriors and activity of the users.

    Attributes:
        mean: (n_users, latent_dim) posterior means.
        log_variance: (n_users, latent_dim) posterior log-variances.
        activity: (n_users, 1) normal scores of the numbers of items.
    """

    mean: Tensor
    log_variance: Tensor
    activity: Tensor

    @classmethod
    def of(cls, vae: MultiVAE, user_items: csr_matrix, *, reference: np.ndarray, seed: int) -> "Posteriors":
        """Encode users; ``reference`` are the training users' item counts, from which activity scores are computed."""
        mean, log_variance = encode_users(vae, user_items)
        rng = numpy_stream(seed, STAGE, "activity", user_items.shape[0])
        scores = normal_scores(np.diff(user_items.indptr), reference=reference, rng=rng)
        activity = torch.from_numpy(scores.astype(np.float32)).unsqueeze(1)
        return cls(mean, log_variance, activity.to(mean.device))

    def sample(self, n_draws: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return latents (n_draws, latent_dim) and activity (n_draws, 1) of users drawn with replacement."""
        users = torch.randint(len(self.mean), (n_draws,), generator=generator, device=self.mean.device)
        latents = sample_posterior(self.mean[users], self.log_variance[users], generator=generator)
        return latents, self.activity[users]


def train_denoiser(
    train: Posteriors,
    validation: Posteriors,
    *,
    config: DiffusionConfig,
    seed: int,
    workers: Workers,
    on_epoch: OnEpoch,
) -> tuple[Denoiser, tuple[EpochReport, ...]]:
    """Train the denoiser on fresh posterior samples until its averaged weights stop improving on the validation users.

    An epoch is ``config.epoch_steps`` gradient steps, whatever the number of users. If no epoch is better than the
    untrained network, which generates Gaussian latents, the untrained network is returned.

    Returns:
        The denoiser with the best averaged weights, frozen, and one report per epoch.

    Raises:
        TrainingError: the loss is not finite.
    """
    weights = torch_stream(seed, STAGE, "weights")
    denoiser = Denoiser.untrained(train.mean.shape[1], config=config, generator=weights).to(train.mean.device)
    denoiser.fit_scale(train.mean, train.log_variance, train.activity)
    averaged = copy.deepcopy(denoiser).requires_grad_(False)
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.max_epochs * config.epoch_steps)
    pieces = _loss_pieces(denoiser, train, batch_users=config.batch_users, seed=seed)
    progress = Progress(
        averaged,
        stage=STAGE,
        max_epochs=config.max_epochs,
        patience_epochs=config.patience_epochs,
        higher_is_better=False,
        on_epoch=on_epoch,
    )
    progress.start(validation=_validation_loss(averaged, validation, seed=seed))
    for epoch in range(1, config.max_epochs + 1):
        losses = []
        for step in range((epoch - 1) * config.epoch_steps, epoch * config.epoch_steps):
            losses.append(gradient_step(pieces, optimizer, workers=workers, stage=STAGE, epoch=epoch))
            schedule.step()
            average_weights(averaged, denoiser, decay=min(config.ema_decay, (step + 1) / (step + 11)))
        if not progress.end_epoch(losses, validation=_validation_loss(averaged, validation, seed=seed)):
            break
    progress.restore_best()
    return averaged, tuple(progress.reports)


def _loss_pieces(denoiser: Denoiser, train: Posteriors, *, batch_users: int, seed: int) -> list[Callable[[], Tensor]]:
    """Return the parts of a batch's loss; each part samples new users and noise at every call."""
    device = train.mean.device
    n_pieces = batch_pieces(device)
    n_draws = -(-batch_users // n_pieces)

    def loss_of(generator: torch.Generator) -> Tensor:
        latents, activity = train.sample(n_draws, generator=generator)
        return (
            denoising_loss(denoiser, denoiser.standardise(latents, activity), activity, generator=generator) / n_pieces
        )

    generators = [torch_stream(seed, STAGE, "noise", piece, device=device) for piece in range(n_pieces)]
    return [partial(loss_of, generator) for generator in generators]


@torch.no_grad()
def _validation_loss(denoiser: Denoiser, validation: Posteriors, *, seed: int) -> float:
    """Return the denoising loss on validation users, with the same latents and noise at every call."""
    generator = torch_stream(seed, STAGE, "validation", device=validation.mean.device)
    latents, activity = validation.sample(_VALIDATION_DRAWS, generator=generator)
    return float(denoising_loss(denoiser, denoiser.standardise(latents, activity), activity, generator=generator))
