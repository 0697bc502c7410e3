"""Measure the fidelity, utility and privacy of synthetic users; each is a separate task with its own file."""

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.config import PipelineConfig
from sdrm_core.data.roles import Role
from sdrm_core.model.devices import resolve_device
from sdrm_core.privacy.judge import judge_privacy
from sdrm_core.privacy.verdicts import PrivacyReport
from sdrm_core.quality import fidelity, utility
from sdrm_core.records import Artifact, Record
from sdrm_core.storage import write_json, write_text
from tasks.matrix import users_of_roles
from tasks.records import Run, Samples, UserItemMatrix
from tasks.release.history import previous_user_ids
from tasks.release.report import render_operator_report
from tasks.resumable import finished_once
from tasks.sample import synthetic_user_ids, synthetic_users
from tasks.stage import Meter, stage
from tasks.working_directory import measures_directory


@stage("measure fidelity")
@finished_once
def measure_fidelity(run: Run, matrix: UserItemMatrix, samples: Samples) -> Artifact:
    """Compare the synthetic users with the real users: popularity, activity, co-occurrence, density."""
    with Meter("measure_fidelity", attempt=samples.attempt) as meter:
        report = fidelity_of(synthetic_users(samples), matrix, config=run.config)
        artifact = _write(report, run, samples, "fidelity")
    meter.save(run)
    return artifact


@stage("measure utility")
@finished_once
def measure_utility(run: Run, matrix: UserItemMatrix, samples: Samples) -> Artifact:
    """Train recommenders on the synthetic users and test them on real users."""
    with Meter("measure_utility", attempt=samples.attempt) as meter:
        train, validation, evaluation = users_of_roles(matrix, Role.TRAIN, Role.VALIDATION, Role.EVALUATION)
        report = utility.measure_utility(
            synthetic_users(samples),
            train=train,
            validation=validation,
            evaluation=evaluation,
            config=run.config.utility,
            seed=run.config.seed,
        )
        artifact = _write(report, run, samples, "utility")
    meter.save(run)
    return artifact


@stage("measure privacy")
def measure_privacy(run: Run, matrix: UserItemMatrix, samples: Samples) -> Artifact:
    """Run every privacy gate; the complete report stays in the working directory and is not published."""
    with Meter("measure_privacy", attempt=samples.attempt) as meter:
        report = privacy_of(
            synthetic_users(samples),
            matrix,
            config=run.config,
            user_ids=synthetic_user_ids(run, samples),
            previous_ids=previous_user_ids(run, samples),
        )
        artifact = _write(report, run, samples, "privacy")
        page = render_operator_report(
            report.model_dump(mode="json"),
            dataset=run.config.dataset,
            run=run.digest,
            attempt=samples.attempt,
            report_only=run.config.privacy.report_only,
        )
        write_text(run.directory / "privacy.html", page)
    meter.save(run)
    return artifact


def fidelity_of(users: csr_matrix, matrix: UserItemMatrix, *, config: PipelineConfig) -> fidelity.FidelityReport:
    """Compare ``users`` (n_users, n_items) with the training users and with the holdout users."""
    train, holdout = users_of_roles(matrix, Role.TRAIN, Role.HOLDOUT)
    return fidelity.measure_fidelity(
        users, train=train, holdout=holdout, k_anonymity=config.privacy.k_anonymity, seed=config.seed
    )


def privacy_of(
    users: csr_matrix,
    matrix: UserItemMatrix,
    *,
    config: PipelineConfig,
    user_ids: np.ndarray,
    previous_ids: np.ndarray | None = None,
    unseen: Role = Role.HOLDOUT,
) -> PrivacyReport:
    """Judge what ``users`` (n_users, n_items) reveal of the training users, compared with users of role ``unseen``."""
    train, others = users_of_roles(matrix, Role.TRAIN, unseen)
    return judge_privacy(
        users,
        train=train,
        holdout=others,
        user_ids=user_ids,
        previous_ids=previous_ids,
        config=config.privacy,
        seed=config.seed,
        device=resolve_device(config.compute.device),
    )


def _write(report: Record, run: Run, samples: Samples, name: str) -> Artifact:
    folder = measures_directory(run.directory, attempt=samples.attempt)
    return write_json(folder / f"{name}.json", report.model_dump(mode="json"))
