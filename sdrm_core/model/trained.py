"""A diffusion trained on the latents of a VAE; then a model whose item draw can still be fitted at any temperature."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import PipelineConfig
from sdrm_core.data.anonymity import publishable_activity, publishable_items
from sdrm_core.data.matrix import item_popularity
from sdrm_core.model.denoiser import Denoiser
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
from sdrm_core.threads import one_thread

_MOSTLY = 0.5  # reliance on rare items (``reliance_on_few``) above which data count as sparse


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model that is trained except for its item draw.

    Attributes:
        model: without offsets, at its own temperature.
        pairs: pairs of items that get offsets.
        fit_offsets: fits the offsets of items and pairs.
        doubt: in what few people taught (``sampling.doubt``).
    """

    model: SdrmModel
    pairs: Pairs
    fit_offsets: OffsetFit
    doubt: float
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


@dataclass(frozen=True, eq=False)
class TrainedDiffusion:
    """A diffusion trained on the latents of a VAE, whose decoder can still doubt what few people taught.

    Attributes:
        vae: frozen; in sparse data with shrunk vectors of rare items.
        denoiser: trained.
        train: (n_train_users, n_items) binary, no user without items; the only source of target statistics.
        config: the run's configuration.
        reports: one per epoch.
        is_sparse: whether rare items have more than a sixth of the interactions (``reliance_on_few`` above 1/2).
        on_epoch: called after each epoch, and later after each round of offset fitting.
    """

    vae: MultiVAE
    denoiser: Denoiser
    train: csr_matrix
    config: PipelineConfig
    reports: tuple[EpochReport, ...]
    is_sparse: bool
    on_epoch: OnEpoch
    _models: dict[float, TrainedModel] = field(default_factory=dict, init=False)

    def doubting(self, doubt: float) -> TrainedModel:
        """Return the model, after finding the item pairs that it generates too rarely; repeated calls reuse it.

        Args:
            doubt: in what few people taught (``sampling.doubt``); 0: no doubt.

        Raises:
            DataError: no item may be published.
        """
        if doubt not in self._models:
            self._models[doubt] = self._doubting(doubt)
        return self._models[doubt]

    def _doubting(self, doubt: float) -> TrainedModel:
        counts, popularity = np.diff(self.train.indptr), item_popularity(self.train)
        vae, device, k_anonymity = self.vae, self.vae.device, self.config.privacy.k_anonymity
        publishable = publishable_items(popularity, k_anonymity=k_anonymity)
        if doubt:
            with one_thread():  # the number of threads must not change a sum
                factor = self.denoiser.latent_factor
                vae = shrink_by_direction(vae, popularity, latent_factor=factor, doubt=doubt * k_anonymity)
        model = SdrmModel(
            vae=vae,
            denoiser=self.denoiser,
            activity=publishable_activity(counts, k_anonymity=k_anonymity, n_publishable=len(publishable)),
            publishable=publishable,
            offsets=Offsets.none(len(publishable), device=device),
            temperature=OWN,
        )
        fit_offsets = OffsetFit(
            target_popularity(popularity[publishable], k_anonymity=k_anonymity),
            k_anonymity=k_anonymity,
            config=self.config.sampling,
            seed=self.config.seed,
            on_epoch=self.on_epoch,
        )
        return TrainedModel(model, fit_offsets.find_pairs(model, self.train[:, publishable]), fit_offsets, doubt)


def train_on_latents(
    vae: MultiVAE,
    train: csr_matrix,
    validation: csr_matrix,
    *,
    config: PipelineConfig,
    device: torch.device,
    on_epoch: OnEpoch,
) -> TrainedDiffusion:
    """Train the diffusion on the latents of a trained VAE.

    Args:
        vae: trained, frozen.
        train: (n_train_users, n_items) binary, no user without items; the only source of target statistics.
        validation: (n_validation_users, n_items) binary; used for early stopping.
        config: the run's configuration.
        device: where to train.
        on_epoch: called after each epoch of the diffusion, and later after each round of offset fitting.

    Raises:
        TrainingError: a loss is not finite.
        DataError: no item may be published.
    """
    counts, popularity, k_anonymity = np.diff(train.indptr), item_popularity(train), config.privacy.k_anonymity
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
    return TrainedDiffusion(
        vae, denoiser, train, config=config, reports=reports, is_sparse=sparsity > _MOSTLY, on_epoch=on_epoch
    )
