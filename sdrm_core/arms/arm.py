"""What an arm is: a generator that learns from users and then makes users, whatever is inside.

The arms from the literature know no k-anonymity: they may publish any item of the catalogue. Their users may also
be empty; nothing here repairs that.
"""

from pathlib import Path
from typing import Protocol

import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import ArmName, PipelineConfig
from sdrm_core.errors import DataError, Problem
from sdrm_core.model.training import OnEpoch


class FittedArm(Protocol):
    """An arm that has learned from the training users."""

    def sample(self, n_users: int, *, seed: int) -> csr_matrix:
        """Return (n_users, n_items) synthetic users: canonical float32 ones, the same for the same seed on the CPU."""
        ...

    def save(self, folder: Path) -> None:
        """Write the fitted arm as files that need no pickle; ``folder`` is created if need be."""
        ...


class Arm(Protocol):
    """A generator before it has learned anything.

    Attributes:
        name: what the command line and the reports call it.
        family: arms of one family share a fit: what one of them saved, the others can load.
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
        """Learn from the training users.

        Args:
            train: (n_train, n_items) binary, canonical, no user without items.
            validation: (n_validation, n_items), the same; decides when to stop and, for some, how random to draw.
            config: the run's; all randomness comes from ``config.seed``.
            device: where to fit and, later, to sample.
            on_epoch: called after each epoch of each stage.

        Raises:
            DataError: there is nothing to learn from, or the two catalogues differ.
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
    """Refuse users that nothing can be learned from.

    Args:
        **users: (n_users, n_items) matrices by role; all must hold interactions over the same items.

    Raises:
        DataError: every problem found, at once.
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
