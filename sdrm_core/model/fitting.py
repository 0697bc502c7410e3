"""Fitting the whole model on a trained VAE: diffusion over its latents, then the draw of items."""

from dataclasses import replace

import numpy as np
import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PipelineConfig
from sdrm_core.model.devices import Workers
from sdrm_core.model.diffusing import Posteriors, train_denoiser
from sdrm_core.model.draw import item_popularity, publishable_items
from sdrm_core.model.margins import fit_margins
from sdrm_core.model.sdrm import RESOLUTIONS, SdrmModel
from sdrm_core.model.training import EpochReport, OnEpoch
from sdrm_core.model.vae import MultiVAE


def fit_sdrm(
    vae: MultiVAE,
    train: csr_matrix,
    validation: csr_matrix,
    *,
    config: PipelineConfig,
    device: torch.device,
    on_epoch: OnEpoch,
) -> tuple[SdrmModel, tuple[EpochReport, ...]]:
    """Train the diffusion on the VAE's latents and fit the draw to the training users.

    Args:
        vae: trained, frozen.
        train: (n_train_users, n_items) binary, no user without items; the only source of target statistics.
        validation: (n_validation_users, n_items) binary; decides when to stop, nothing else.
        config: the run's configuration.
        device: where to fit.
        on_epoch: called after each epoch of the diffusion and each round of the margins.

    Returns:
        The fitted model and all reports.

    Raises:
        TrainingError: a loss is not finite, or no item may be published.
    """
    vae = vae.to(device)
    counts, popularity = np.diff(train.indptr), item_popularity(train)
    publishable = publishable_items(popularity, k_anonymity=config.privacy.k_anonymity)
    with Workers(device) as workers:
        denoiser, reports = train_denoiser(
            Posteriors.of(vae, train, reference=counts, seed=config.seed),
            Posteriors.of(vae, validation, reference=counts, seed=config.seed),
            config=config.diffusion,
            seed=config.seed,
            workers=workers,
            on_epoch=on_epoch,
        )
        unfitted = SdrmModel(
            vae=vae,
            denoiser=denoiser,
            activity=np.sort(np.minimum(counts, len(publishable))).astype(np.int64),
            publishable=publishable,
            margins={},
            temperature=config.sampling.temperature,
        )
        margins = {}
        for resolution in RESOLUTIONS:
            margins[resolution], rounds = fit_margins(
                unfitted,
                popularity=popularity[publishable],
                resolution=resolution,
                config=config.sampling,
                seed=config.seed,
                workers=workers,
                on_epoch=on_epoch,
            )
            reports += rounds
    return replace(unfitted, margins=margins), reports
