"""The interface of an arm: a generator that is trained on users and then samples synthetic users.

The arms from the literature do not apply k-anonymity: they may publish any item of the catalogue. Their users may also
be empty; this is not repaired.
"""

from pathlib import Path
from typing import Protocol

import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import ArmName, PipelineConfig
from sdrm_core.errors import DataError, Problem
from sdrm_core.model.training import OnEpoch


class FittedArm(Protocol):
    """An arm after training."""

    def sample(self, n_users: int, *, seed: int) -> csr_matrix:
        """Return (n_users, n_items) synthetic users: canonical float32 ones; on the CPU equal for equal seeds."""
        ...

    def save(self, folder: Path) -> None:
        """Write the fitted arm as files without pickle; ``folder`` is created if needed."""
        ...


class Arm(Protocol):
    """A generator before training.

    Attributes:
        name: its name in the command line and the reports.
        family: arms of one family share a fit: an arm can load what another arm of its family saved.
    """

    @property
    def name(self) -> ArmName: ...  # noqa: D102 - described by the class

    @property
    def family(self) -> str: ...  # noqa: D102 - described by the class

    def fit(
        self,
        train: csr_matrix,
        validation: csr_matrix,
        *,
        config: PipelineConfig,
        device: torch.device,
        on_epoch: OnEpoch,
    ) -> FittedArm:
        """Train on the training users.

        Args:
            train: (n_train, n_items) binary, canonical, no user without items.
            validation: (n_validation, n_items), likewise; for early stopping and, in some arms, the randomness of the
                draw.
            config: the run's configuration; all randomness comes from ``config.seed``.
            device: where to fit and, later, to sample.
            on_epoch: called after each epoch of each stage.

        Raises:
            DataError: there is no interaction to learn from, a user is empty, or the two catalogues differ.
            TrainingError: a loss is not finite.
        """
        ...

    def load(self, folder: Path, *, device: torch.device) -> FittedArm:
        """Return the fitted arm that an arm of this family saved.

        Raises:
            ArtifactError: a file is missing, damaged, changed or of another arm.
        """
        ...


def require_users(**users: csr_matrix) -> None:
    """Raise an error if training is not possible with these users.

    Args:
        **users: (n_users, n_items) matrices by role; every user must have an item, and the catalogues must be equal.

    Raises:
        DataError: lists every problem found.
    """
    problems = []
    n_items = next(iter(users.values())).shape[1]
    for role, matrix in users.items():
        if not matrix.nnz:
            what = f"{matrix.shape[0]} users hold no interaction at all"
            problems.append(Problem(f"{role} users", what, "Check the filter and the shares of the roles"))
        elif without := int((matrix.indptr[1:] == matrix.indptr[:-1]).sum()):
            what = f"{without} of {matrix.shape[0]} users hold no interaction"
            first = int((matrix.indptr[1:] == matrix.indptr[:-1]).argmax())
            problems.append(Problem(f"{role} users", what, "Drop users without positives first", f"row {first}"))
        if matrix.shape[1] != n_items:
            what = f"{matrix.shape[1]} items, where others have {n_items}"
            problems.append(Problem(f"{role} users", what, "Use matrices over one and the same catalogue"))
    if problems:
        raise DataError(problems)
