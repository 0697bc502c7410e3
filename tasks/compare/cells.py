"""The cells of a comparison: where each result is stored, what it depends on, and whether it is finished.

A cell is one result of the comparison: a JSON file, sometimes with an ``.npz`` file of arrays. The JSON file is written
last and renamed into place, so it is either complete or missing. Its name contains a digest of everything that decides
the result, so a result of other settings or other code is never reused.
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
    digest_of,
    private_directory,
    read_arrays,
    read_sealed,
    read_user_items,
    write_arrays,
    write_sealed,
)
from sdrm_core.storage import write_user_items as write_matrix
from tasks.compare.plan import REAL, ArmChoice, Job
from tasks.matrix import users_of
from tasks.resumable import DAMAGE, UNDERLYING, code_digest
from tasks.stage import LOG

_STAGES = ("tasks/compare/stages.py", "tasks/measure.py")
_JUDGING = ("sdrm_core/quality", *UNDERLYING, *_STAGES)
_PRIVACY = ("sdrm_core/privacy", *UNDERLYING, *_STAGES)
# A fit measures how private and useful its users are.
_GENERATING = ("sdrm_core/arms", "sdrm_core/config", "sdrm_core/model", "sdrm_core/privacy", *_JUDGING)
for _rooms in (_JUDGING, _PRIVACY, _GENERATING):
    code_digest(*_rooms)  # kept from here on: the files may be replaced before a cell is written
_DIGITS = 16
_ARRAYS = "sha256 of arrays"  # in the JSON file
MODELS = "models"


@dataclass(frozen=True)
class Cell:
    """One result of the comparison and its files.

    Attributes:
        folder: folder of the arm.
        name: readable beginning of the file name.
        digest: digest of everything the result depends on.
        has_arrays: whether the cell also has an ``.npz`` file.
    """

    folder: Path
    name: str
    digest: str
    has_arrays: bool = False

    @property
    def report(self) -> Path:
        """Return the path of the JSON file."""
        return self.folder / f"{self.name}-{self.digest[:_DIGITS]}.json"

    @property
    def arrays(self) -> Path:
        """Return the path of the ``.npz`` file."""
        return self.report.with_suffix(".npz")

    @property
    def is_finished(self) -> bool:
        """Return whether all files of the cell exist."""
        return self.report.is_file() and (self.arrays.is_file() or not self.has_arrays)

    def discard_if_damaged(self) -> None:
        """Remove the JSON file if the cell's files were changed or damaged, so that the cell is computed again."""
        if not self.is_finished:
            return
        try:
            self.read()
            if self.has_arrays:
                checked(self._artifact(), remedy="")
        except DAMAGE as error:
            LOG.warning("%s is damaged (%s); it is made again", self.report, error)
            self.report.unlink()

    def read(self) -> dict[str, Any]:
        """Return the content of the JSON file after checking its digest."""
        return read_sealed(self.report)

    def write(self, content: Mapping[str, Any]) -> None:
        """Write the JSON file; after that the cell is finished."""
        private_directory(self.folder)
        write_sealed(self.report, content)

    def users(self) -> csr_matrix:
        """Return the (n_users, n_items) synthetic users after checking their digest."""
        return read_user_items(self._artifact())[0]

    def write_users(self, users: csr_matrix, content: Mapping[str, Any]) -> None:
        """Write the synthetic users, then the JSON file with ``content`` and their digest."""
        private_directory(self.folder)
        self.write({**content, _ARRAYS: write_matrix(self.arrays, users).sha256})

    def ranks(self) -> np.ndarray:
        """Return the (n_users, n_metrics) ranking metrics after checking their digest."""
        return read_arrays(self._artifact())["ranks"]

    def write_ranks(self, ranks: np.ndarray) -> None:
        """Write the ranking metrics, then the JSON file with their digest."""
        private_directory(self.folder)
        self.write({_ARRAYS: write_arrays(self.arrays, ranks=ranks).sha256})

    def _artifact(self) -> Artifact:
        return Artifact(path=self.arrays, sha256=self.read()[_ARRAYS])


def family_of(choice: ArmChoice) -> str:
    """Return the family of an arm; the arms of a family share one fitted model."""
    return ARMS[choice.arm].family


def families(job: Job) -> tuple[str, ...]:
    """Return the families of the comparison, in the order of their first arms."""
    return tuple(dict.fromkeys(family_of(choice) for choice in job.comparison.arms))


def fit_folder(job: Job, family: str, seed: int) -> Path:
    """Return the folder of a family's fitted model."""
    return job.comparison.out / MODELS / f"{family}-seed-{seed}-{_fit_digest(job, family, seed)[:_DIGITS]}"


def users_cell(job: Job, choice: ArmChoice, seed: int) -> Cell:
    """Return the cell with an arm's synthetic users and the seconds for fitting and sampling."""
    digest = digest_of(["users", _fit_digest(job, family_of(choice), seed), choice.label])
    return Cell(_folder(job, choice.label), f"users-seed-{seed}", digest, has_arrays=True)


def fidelity_cell(job: Job, choice: ArmChoice, seed: int) -> Cell:
    """Return the cell with an arm's fidelity report."""
    digest = digest_of(["fidelity", users_cell(job, choice, seed).digest, code_digest(*_JUDGING)])
    return Cell(_folder(job, choice.label), f"fidelity-seed-{seed}", digest)


def privacy_cell(job: Job, choice: ArmChoice, seed: int) -> Cell:
    """Return the cell with an arm's privacy report."""
    digest = digest_of(["privacy", users_cell(job, choice, seed).digest, code_digest(*_PRIVACY)])
    return Cell(_folder(job, choice.label), f"privacy-seed-{seed}", digest)


def ranks_cell(job: Job, judge: JudgeName, choice: ArmChoice | None, seed: int) -> Cell:
    """Return the cell with the ranking metrics of a judge trained on an arm's users; ``choice`` None: on real users.

    The judge's settings are chosen on the users of the first seed, so the cell depends on these users too.
    """
    first = job.comparison.seeds[0]
    sources = [users_cell(job, choice, one).digest for one in (first, seed)] if choice else [REAL]
    digest = digest_of(["ranks", job.digest, judge, sources, code_digest(*_JUDGING)])
    name = f"ranks-{judge}-seed-{seed}" if choice else f"ranks-{judge}"
    return Cell(_folder(job, choice.label if choice else REAL), name, digest, has_arrays=True)


def gain_cell(job: Job, judge: JudgeName, choice: ArmChoice) -> Cell:
    """Return the cell with the improvement of a judge if an arm's users, of all seeds, are added to the real users."""
    sources = [users_cell(job, choice, seed).digest for seed in job.comparison.seeds]
    digest = digest_of(["gain", job.digest, judge, sources, code_digest(*_JUDGING)])
    return Cell(_folder(job, choice.label), f"gain-{judge}", digest)


def all_cells(job: Job) -> list[Cell]:
    """Return all cells of the comparison."""
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
    """Return an arm's synthetic users; if ``choice`` is None, the real training users."""
    return users_cell(job, choice, seed).users() if choice else users_of(job.matrix, Role.TRAIN)


def _fit_digest(job: Job, family: str, seed: int) -> str:
    return digest_of(["fit", job.digest, family, seed, code_digest(*_GENERATING)])


def _folder(job: Job, label: str) -> Path:
    return job.comparison.out / "cells" / label
