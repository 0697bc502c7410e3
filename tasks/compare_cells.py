"""The finished pieces of a comparison: where each lies, what it depends on, and whether it is there.

A piece is a JSON file, some with arrays beside it, written last and renamed into place: it is there or it is not.
Its name carries a digest of all that decides it, so that a piece of other settings or other code is never taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.arms.registry import ARMS
from sdrm_core.config import JudgeName
from sdrm_core.data.roles import Role
from sdrm_core.records import Artifact
from sdrm_core.storage import (
    checked,
    parse_json,
    private_directory,
    read_arrays,
    read_user_items,
    write_arrays,
    write_json,
)
from sdrm_core.storage import write_user_items as write_matrix
from tasks.compare_plan import REAL, ArmChoice, Job
from tasks.matrix import users_of
from tasks.resumable import DAMAGE, UNDERLYING, code_digest, digest_of
from tasks.stage import LOG

_GENERATING = ("arms", "config.py", "model", "privacy", "quality/baselines.py", *UNDERLYING)
_JUDGING = ("quality", *UNDERLYING)
_DIGITS = 16
MODELS = "models"


@dataclass(frozen=True)
class Cell:
    """One piece.

    Attributes:
        folder: of the arm.
        name: of the piece, for the reader.
        digest: of all it depends on.
        has_arrays: whether an ``.npz`` belongs to it.
    """

    folder: Path
    name: str
    digest: str
    has_arrays: bool = False

    @property
    def report(self) -> Path:
        """Return the path of its JSON."""
        return self.folder / f"{self.name}-{self.digest[:_DIGITS]}.json"

    @property
    def arrays(self) -> Path:
        """Return the path of its arrays."""
        return self.report.with_suffix(".npz")

    @property
    def is_finished(self) -> bool:
        """Say whether there is nothing left to do."""
        return self.report.is_file() and (self.arrays.is_file() or not self.has_arrays)

    def discard_if_damaged(self) -> None:
        """Remove it if it is not what was written, so that it is made again."""
        if not self.is_finished:
            return
        try:
            self.read()
            if self.has_arrays:
                checked(self._artifact(), remedy="")
        except DAMAGE as error:
            LOG.warning("%s is damaged (%s); it is made again", self.report, error)
            self.report.unlink()

    def read(self) -> Any:
        """Return the content of its JSON file."""
        return parse_json(self.report)

    def write(self, content: Mapping[str, Any]) -> None:
        """Write its JSON file, which finishes it."""
        private_directory(self.folder)
        write_json(self.report, content)

    def users(self) -> csr_matrix:
        """Return its (n_users, n_items) synthetic users, their digest checked."""
        return read_user_items(self._artifact())[0]

    def write_users(self, users: csr_matrix, content: Mapping[str, Any]) -> None:
        """Write synthetic users, then the JSON file with their digest, which finishes it."""
        private_directory(self.folder)
        self.write({**content, "sha256": write_matrix(self.arrays, users).sha256})

    def ranks(self) -> np.ndarray:
        """Return its (n_users, n_metrics) ranking metrics, their digest checked."""
        return read_arrays(self._artifact())["ranks"]

    def write_ranks(self, ranks: np.ndarray) -> None:
        """Write ranking metrics, then the JSON file with their digest, which finishes it."""
        private_directory(self.folder)
        self.write({"sha256": write_arrays(self.arrays, ranks=ranks).sha256})

    def _artifact(self) -> Artifact:
        return Artifact(path=self.arrays, sha256=self.read()["sha256"])


def family_of(choice: ArmChoice) -> str:
    """Return the name that arms of one fit share."""
    return ARMS[choice.arm].family


def families(job: Job) -> tuple[str, ...]:
    """Return the families of the comparison, in the order in which its arms first name them."""
    return tuple(dict.fromkeys(family_of(choice) for choice in job.comparison.arms))


def fit_folder(job: Job, family: str, seed: int) -> Path:
    """Return the folder of a family's fitted model."""
    return job.comparison.out / MODELS / f"{family}-seed-{seed}-{_fit_digest(job, family, seed)[:_DIGITS]}"


def users_cell(job: Job, choice: ArmChoice, seed: int) -> Cell:
    """Return the piece with an arm's synthetic users and the seconds they took."""
    digest = digest_of("users", _fit_digest(job, family_of(choice), seed), choice.label)
    return Cell(_folder(job, choice.label), f"users-seed-{seed}", digest, has_arrays=True)


def fidelity_cell(job: Job, choice: ArmChoice, seed: int) -> Cell:
    """Return the piece with an arm's fidelity report."""
    digest = digest_of("fidelity", users_cell(job, choice, seed).digest, code_digest(*_JUDGING))
    return Cell(_folder(job, choice.label), f"fidelity-seed-{seed}", digest)


def privacy_cell(job: Job, choice: ArmChoice, seed: int) -> Cell:
    """Return the piece with an arm's privacy report."""
    digest = digest_of("privacy", users_cell(job, choice, seed).digest, code_digest("privacy", *UNDERLYING))
    return Cell(_folder(job, choice.label), f"privacy-seed-{seed}", digest)


def ranks_cell(job: Job, judge: JudgeName, choice: ArmChoice | None, seed: int) -> Cell:
    """Return the piece with what a judge achieves after learning from an arm; None: from the real users.

    A judge's settings are chosen on the first seed's users, so it depends on those too.
    """
    first = job.comparison.seeds[0]
    sources = [users_cell(job, choice, one).digest for one in (first, seed)] if choice else [REAL]
    digest = digest_of("ranks", job.digest, judge, sources, code_digest(*_JUDGING))
    name = f"ranks-{judge}-seed-{seed}" if choice else f"ranks-{judge}"
    return Cell(_folder(job, choice.label if choice else REAL), name, digest, has_arrays=True)


def gain_cell(job: Job, judge: JudgeName, choice: ArmChoice) -> Cell:
    """Return the piece with what adding an arm's users, of all seeds, to the real ones gains a judge."""
    sources = [users_cell(job, choice, seed).digest for seed in job.comparison.seeds]
    digest = digest_of("gain", job.digest, judge, sources, code_digest(*_JUDGING))
    return Cell(_folder(job, choice.label), f"gain-{judge}", digest)


def all_cells(job: Job) -> list[Cell]:
    """Return every piece the comparison is made of."""
    asked = job.comparison
    cells = [ranks_cell(job, judge, None, asked.seeds[0]) for judge in asked.judges]
    for choice in asked.arms:
        for seed in asked.seeds:
            cells += [users_cell(job, choice, seed), fidelity_cell(job, choice, seed), privacy_cell(job, choice, seed)]
            cells += [ranks_cell(job, judge, choice, seed) for judge in asked.judges]
        if choice.is_ours:
            cells += [gain_cell(job, judge, choice) for judge in asked.judges]
    return cells


def users_from(job: Job, choice: ArmChoice | None, seed: int) -> csr_matrix:
    """Return an arm's users, or the real training users."""
    return users_cell(job, choice, seed).users() if choice else users_of(job.matrix, Role.TRAIN)


def _fit_digest(job: Job, family: str, seed: int) -> str:
    return digest_of("fit", job.digest, family, seed, code_digest(*_GENERATING))


def _folder(job: Job, label: str) -> Path:
    return job.comparison.out / "cells" / label
