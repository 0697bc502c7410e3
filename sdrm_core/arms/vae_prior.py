"""The prior of the paper's MultiVAE (Liang et al. 2018), decoded: in effect the published system."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_matrix

from sdrm_core.arms.arm import require_users
from sdrm_core.arms.blocks import activity_of, sample_in_blocks
from sdrm_core.arms.storing import load_arm, save_arm
from sdrm_core.config import ArmName, PipelineConfig, VaeConfig
from sdrm_core.data.anonymity import publishable_items
from sdrm_core.data.matrix import item_popularity
from sdrm_core.model.draw import ItemDraw, Offsets
from sdrm_core.model.pretraining import REPEAT_INPUT, train_vae
from sdrm_core.model.training import OnEpoch
from sdrm_core.model.vae import MultiVAE
from sdrm_core.model.weights import explained, load_into
from sdrm_core.threads import one_thread

_TEMPERATURE = 1.0
_SETTINGS = VaeConfig(
    hidden_units=600,
    decoder_units=600,
    latent_dim=200,
    beta=0.2,
    item_precision=0.0,
    anneal_epochs=30,
    learning_rate=1e-3,
)


@dataclass(frozen=True, eq=False)
class FittedVaePrior:
    """A trained VAE and the statistics that the item draw needs.

    Attributes:
        vae: frozen.
        activity: (n_train,) int64 sorted, at most ``len(publishable)``.
        publishable: (n_publishable,) columns that may be drawn, ascending.
    """

    vae: MultiVAE
    activity: np.ndarray
    publishable: np.ndarray

    @one_thread()
    @torch.no_grad()
    def sample(self, n_users: int, *, seed: int) -> csr_matrix:
        """Return (n_users, n_items) users of k-anonymous items, drawn from the decoder's logits; no user is empty."""
        device = self.vae.device
        item_draw = ItemDraw(self.vae, self.publishable, temperature=_TEMPERATURE)
        offsets = Offsets.none(len(self.publishable), device=device)

        def draw(counts: np.ndarray, generator: torch.Generator) -> csr_matrix:
            latents = torch.randn(len(counts), self.vae.latent_dim, generator=generator, device=device)
            features = self.vae.decoder_features(latents)
            return item_draw(features, counts=counts, offsets=offsets, generator=generator)

        return sample_in_blocks(
            draw,
            n_users,
            activity=self.activity,
            n_items=self.vae.n_items,
            seed=seed,
            stream=VaePriorArm.name,
            device=device,
        )

    def save(self, folder: Path) -> None:
        """Write weights and statistics."""
        arrays = {"activity": torch.from_numpy(self.activity), "publishable": torch.from_numpy(self.publishable)}
        about = {"n_items": self.vae.n_items, "config": self.vae.config.model_dump(mode="json")}
        save_arm(folder, VaePriorArm.name, arrays=arrays, network=self.vae.state_dict(), **about)


class VaePriorArm:
    """The paper's MultiVAE with latents drawn from N(0, I): no diffusion and no offsets for item popularity."""

    name: ClassVar[ArmName] = "vae_prior"
    family: ClassVar[str] = name

    def fit(
        self,
        train: csr_matrix,
        validation: csr_matrix,
        *,
        config: PipelineConfig,
        device: torch.device,
        on_epoch: OnEpoch,
    ) -> FittedVaePrior:
        """Train the VAE with the paper's settings, the same for all data sets; the run sets the maximum of epochs."""
        require_users(train=train, validation=validation)
        publishable = publishable_items(item_popularity(train), k_anonymity=config.privacy.k_anonymity)
        vae, _ = train_vae(
            train,
            validation,
            config=_SETTINGS.model_copy(update={"max_epochs": config.vae.max_epochs}),
            seed=config.seed,
            device=device,
            on_epoch=on_epoch,
            objective=REPEAT_INPUT,
        )
        return FittedVaePrior(vae, np.minimum(activity_of(train), len(publishable)), publishable)

    def load(self, folder: Path, *, device: torch.device) -> FittedVaePrior:
        """Return what ``save`` wrote."""
        arrays, weights, about, path = load_arm(folder, self.name)
        with explained(path):
            vae = MultiVAE(about["n_items"], config=VaeConfig.model_validate(about["config"]))
        load_into(vae, weights, path=path)
        return FittedVaePrior(vae.to(device), arrays["activity"].numpy(), arrays["publishable"].numpy())
