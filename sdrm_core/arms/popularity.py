"""The baseline arm: independent items by popularity, as many per user as a random training user has."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_matrix

from sdrm_core.arms.arm import require_users
from sdrm_core.arms.blocks import activity_of
from sdrm_core.arms.storing import load_arm, save_arm
from sdrm_core.config import ArmName, PipelineConfig
from sdrm_core.data.matrix import item_popularity
from sdrm_core.model.training import OnEpoch
from sdrm_core.quality.baselines import sample_by_counts


@dataclass(frozen=True, eq=False)
class FittedPopularity:
    """The statistics of the training users that the sampler uses.

    Attributes:
        popularity: (n_items,) int64, number of training users that have an item.
        activity: (n_train,) int64 sorted, number of items of a training user; it has the same sum as ``popularity``.
    """

    popularity: np.ndarray
    activity: np.ndarray

    def sample(self, n_users: int, *, seed: int) -> csr_matrix:
        """Return (n_users, n_items) users; none is empty."""
        if not n_users:
            return csr_matrix(np.empty((0, len(self.popularity)), dtype=np.float32))
        return sample_by_counts(self.popularity, self.activity, users=n_users, seed=seed)

    def save(self, folder: Path) -> None:
        """Write both vectors."""
        arrays = {"popularity": torch.from_numpy(self.popularity), "activity": torch.from_numpy(self.activity)}
        save_arm(folder, PopularityArm.name, arrays=arrays)


class PopularityArm:
    """``sdrm_core.quality.baselines.sample_by_counts`` as an arm."""

    name: ClassVar[ArmName] = "popularity"
    family: ClassVar[str] = name

    def fit(
        self,
        train: csr_matrix,
        validation: csr_matrix,  # noqa: ARG002 - there is no early stopping
        *,
        config: PipelineConfig,  # noqa: ARG002 - there are no settings
        device: torch.device,  # noqa: ARG002 - always on the CPU
        on_epoch: OnEpoch,  # noqa: ARG002 - there are no epochs
    ) -> FittedPopularity:
        """Count users per item and items per user."""
        require_users(train=train)
        return FittedPopularity(item_popularity(train).astype(np.int64), activity_of(train))

    def load(self, folder: Path, *, device: torch.device) -> FittedPopularity:  # noqa: ARG002 - always on the CPU
        """Return what ``save`` wrote."""
        arrays, *_ = load_arm(folder, self.name)
        return FittedPopularity(arrays["popularity"].numpy(), arrays["activity"].numpy())
