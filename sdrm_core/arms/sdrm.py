"""The pipeline's own model as an arm, at both resolutions: one fit, sampled in two ways."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import torch
from scipy.sparse import csr_matrix

from sdrm_core.arms.arm import require_users
from sdrm_core.config import ArmName, ComputeConfig, PipelineConfig, Resolution
from sdrm_core.model.fitting import fit_sdrm
from sdrm_core.model.pretraining import train_vae
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.model.training import OnEpoch
from sdrm_core.privacy.leak import leak_against
from sdrm_core.quality.usefulness import usefulness_for


@dataclass(frozen=True, eq=False)
class FittedSdrm:
    """A fitted model and the resolution for sampling."""

    model: SdrmModel
    resolution: Resolution
    batch_users: int

    def sample(self, n_users: int, *, seed: int) -> csr_matrix:
        """Return (n_users, n_items) users of k-anonymous items; none is empty."""
        return self.model.sample(0, n_users, seed=seed, resolution=self.resolution, batch_users=self.batch_users)

    def save(self, folder: Path) -> None:
        """Write the model with its column numbers as item ids, because the caller keeps the real ids."""
        columns = [f"column {number}" for number in range(self.model.vae.n_items)]
        self.model.save(folder, item_ids=pa.array(columns, pa.string()))


@dataclass(frozen=True)
class SdrmArm:
    """MultiVAE, latent diffusion and the fitted item draw, at one resolution."""

    name: ArmName
    resolution: Resolution
    family: ClassVar[str] = "sdrm"

    def fit(
        self,
        train: csr_matrix,
        validation: csr_matrix,
        *,
        config: PipelineConfig,
        device: torch.device,
        on_epoch: OnEpoch,
    ) -> FittedSdrm:
        """Train the VAE, then the diffusion and the item draw."""
        require_users(train=train, validation=validation)
        vae, _ = train_vae(train, validation, config=config.vae, seed=config.seed, device=device, on_epoch=on_epoch)
        fitted = fit_sdrm(
            vae,
            train,
            validation,
            config=config,
            device=device,
            leak=leak_against,
            usefulness=usefulness_for,
            on_epoch=on_epoch,
        )
        return FittedSdrm(fitted.model, self.resolution, config.compute.batch_users)

    def load(self, folder: Path, *, device: torch.device) -> FittedSdrm:
        """Return the saved model, with this arm's resolution for sampling."""
        return FittedSdrm(SdrmModel.load(folder, device=device), self.resolution, ComputeConfig().batch_users)
