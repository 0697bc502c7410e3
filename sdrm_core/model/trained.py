"""A model trained on the latents of a VAE, whose item draw can still be fitted at any temperature."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PipelineConfig
from sdrm_core.data.anonymity import publishable_activity, publishable_items
from sdrm_core.data.matrix import item_popularity
from sdrm_core.model.devices import Workers
from sdrm_core.model.diffusing import Posteriors, train_denoiser
from sdrm_core.model.draw import FEW, Offsets, reliance_on_few, target_popularity
from sdrm_core.model.offsets import OffsetFit
from sdrm_core.model.pairs import Pairs
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.model.shrinking import shrink_by_direction, shrink_rare_items
from sdrm_core.model.temperature import OWN
from sdrm_core.model.training import EpochReport, OnEpoch
from sdrm_core.model.vae import MultiVAE

_MOSTLY = 0.5  # reliance on rare items (``reliance_on_few``) above which data count as sparse


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model that is trained except for its item draw.

    Attributes:
        model: without offsets, at its own temperature.
        pairs: pairs of items that get offsets.
        fit_offsets: fits the offsets of items and pairs.
        reports: of the diffusion, one per epoch.
        is_sparse: whether rare items have more than a sixth of the interactions (``reliance_on_few`` above 1/2).
    """

    model: SdrmModel
    pairs: Pairs
    fit_offsets: OffsetFit
    reports: tuple[EpochReport, ...]
    is_sparse: bool
    _fitted: dict[tuple[float, bool], tuple[Offsets, tuple[EpochReport, ...]]] = field(default_factory=dict, init=False)

    def drawing_at(self, temperature: float, *, by_activity: bool) -> tuple[SdrmModel, tuple[EpochReport, ...]]:
        """Return the model with its draw fitted, and one report per round; repeated calls reuse the fit.

        Args:
            temperature: of the draw.
            by_activity: False: for all users. True: for users with the median number of items; that of other users is
                proportional to their number of items.
        """
        usual_count = float(np.median(self.model.activity)) if by_activity else None
        model = replace(self.model, temperature=temperature, usual_count=usual_count)
        if (temperature, by_activity) not in self._fitted:
            self._fitted[temperature, by_activity] = self.fit_offsets(model, self.pairs)
        offsets, rounds = self._fitted[temperature, by_activity]  # not the model: it is large after drawing
        return replace(model, offsets=offsets), rounds


def train_on_latents(
    vae: MultiVAE,
    train: csr_matrix,
    validation: csr_matrix,
    *,
    config: PipelineConfig,
    doubt: float,
    device: torch.device,
    on_epoch: OnEpoch,
) -> TrainedModel:
    """Train the diffusion on the latents of a trained VAE, and find the item pairs that it generates too rarely.

    Args:
        vae: trained, frozen.
        train: (n_train_users, n_items) binary, no user without items; the only source of target statistics.
        validation: (n_validation_users, n_items) binary; used for early stopping.
        config: the run's configuration.
        doubt: in what few people taught (``sampling.doubt``).
        device: where to train.
        on_epoch: called after each epoch of the diffusion, and later after each round of offset fitting.

    Raises:
        TrainingError: a loss is not finite.
        DataError: no item may be published.
    """
    counts, popularity = np.diff(train.indptr), item_popularity(train)
    k_anonymity = config.privacy.k_anonymity
    publishable = publishable_items(popularity, k_anonymity=k_anonymity)
    sparsity = reliance_on_few(popularity[publishable], k_anonymity=k_anonymity)
    vae = shrink_rare_items(vae.to(device), popularity, half_at=sparsity * FEW * k_anonymity)
    with Workers(device) as workers:
        denoiser, reports = train_denoiser(
            Posteriors.of(vae, train, reference=counts, seed=config.seed),
            Posteriors.of(vae, validation, reference=counts, seed=config.seed),
            config=config.diffusion,
            seed=config.seed,
            workers=workers,
            on_epoch=on_epoch,
        )
        if doubt:  # in this block, where the number of threads changes no sum
            vae = shrink_by_direction(vae, popularity, latent_factor=denoiser.latent_factor, doubt=doubt * k_anonymity)
    model = SdrmModel(
        vae=vae,
        denoiser=denoiser,
        activity=publishable_activity(counts, k_anonymity=k_anonymity, n_publishable=len(publishable)),
        publishable=publishable,
        offsets=Offsets.none(len(publishable), device=device),
        temperature=OWN,
    )
    fit_offsets = OffsetFit(
        target_popularity(popularity[publishable], k_anonymity=k_anonymity),
        k_anonymity=k_anonymity,
        config=config.sampling,
        seed=config.seed,
        on_epoch=on_epoch,
    )
    pairs = fit_offsets.find_pairs(model, train[:, publishable])
    return TrainedModel(model, pairs, fit_offsets, reports, is_sparse=sparsity > _MOSTLY)
