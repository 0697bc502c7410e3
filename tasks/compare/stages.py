"""The stages of a comparison. Each computes only the results that are missing, and writes every result as a cell.

A cell is one result with its file (``tasks.compare.cells``); an arm is a generator of synthetic users; a judge is a
recommender.
"""

import shutil
import time
from pathlib import Path

from sdrm_core.arms.arm import FittedArm
from sdrm_core.arms.registry import ARMS
from sdrm_core.config import JudgeName
from sdrm_core.data.roles import Role
from sdrm_core.model.devices import resolve_device
from sdrm_core.quality.augmentation import measure_augmentation
from sdrm_core.quality.checks import require_comparable
from sdrm_core.quality.panel import choose_judge, rank_folds, require_possible
from sdrm_core.quality.utility import make_folds
from sdrm_core.randomness import numpy_stream, stream_seed
from sdrm_core.records import Artifact
from sdrm_core.storage import (
    checked,
    digest_of,
    private_directory,
    read_sealed,
    sha256_of,
    sync,
    temporary_beside,
    write_sealed,
)
from tasks.claims import bind_input
from tasks.compare.cells import (
    all_cells,
    family_of,
    fidelity_cell,
    fit_folder,
    gain_cell,
    privacy_cell,
    ranks_cell,
    users_cell,
    users_from,
)
from tasks.compare.plan import REAL, ArmChoice, Comparison, Job
from tasks.matrix import users_of_roles
from tasks.measure import fidelity_of, privacy_of
from tasks.records import Ingested, UserItemMatrix
from tasks.release.interactions import new_user_ids
from tasks.resumable import DAMAGE
from tasks.stage import LOG, Meter, stage
from tasks.train import report_epoch

FIT_REPORT = "fit.json"


@stage("open comparison")
def open_comparison(comparison: Comparison, ingested: Ingested, matrix: UserItemMatrix) -> Job:
    """Bind the output directory to the data, remove damaged results, and log how many results exist already."""
    input_digest = digest_of([ingested.source.sha256, matrix.user_items.sha256])
    bind_input(comparison.out, command="compare", input_digest=input_digest, run=ingested.run)
    digest = digest_of([comparison.question(), input_digest])
    job = Job(comparison=comparison, matrix=matrix, digest=digest)
    require_possible(comparison.judges, n_items=matrix.counts.items)
    cells = all_cells(job)
    for cell in cells:
        cell.discard_if_damaged()
    LOG.info(
        "compare: %d arms, %d seeds, %d judges: %d of %d pieces are there already",
        len(comparison.arms),
        len(comparison.seeds),
        len(comparison.judges),
        sum(cell.is_finished for cell in cells),
        len(cells),
    )
    return job


def labels_of(job: Job, family: str) -> tuple[str, ...]:
    """Return the labels of the arms that use the fitted model of ``family``."""
    return tuple(choice.label for choice in job.comparison.arms if family_of(choice) == family)


@stage("fit and sample")
def fit_and_sample(job: Job, family: str, seed: int) -> None:
    """Fit the model that the arms of a family share, and let each of these arms make its synthetic users."""
    choices = [choice for choice in job.comparison.arms if family_of(choice) == family]
    missing = [choice for choice in choices if not users_cell(job, choice, seed).is_finished]
    if not missing:
        return
    folder = _fitted(job, missing[0], seed)
    device = resolve_device(job.comparison.config.compute.device)
    for choice in missing:
        with Meter(f"sample {choice.label}, seed {seed}"):
            arm = ARMS[choice.arm].load(folder, device=device)
            n_users = choice.times * job.matrix.users_by_role["train"]
            started = time.perf_counter()
            users = arm.sample(n_users, seed=stream_seed(seed, "sample", 0))
            seconds = time.perf_counter() - started
            fit_seconds = read_sealed(folder / FIT_REPORT)["seconds"]
            report = {"fit_seconds": fit_seconds, "sample_seconds": seconds, "interactions": int(users.nnz)}
            users_cell(job, choice, seed).write_users(users, report)


@stage("measure arm")
def measure_arm(job: Job, choice: ArmChoice, seed: int) -> None:
    """Measure the fidelity and the privacy of an arm's synthetic users."""
    _measure_fidelity(job, choice, seed)
    _measure_privacy(job, choice, seed)


@stage("judge utility")
def judge_utility(job: Job, judge: JudgeName) -> None:
    """Train one recommender on each arm's users and on the real users, and let it rank for the evaluation users.

    Works like ``sdrm_core.quality.utility.rank_arm``, but the recommender's settings are chosen on the users of the
    arm's first seed and used for all seeds.
    """
    config, run_seed = job.comparison.config.utility, job.comparison.config.seed
    train, validation, evaluation = users_of_roles(job.matrix, Role.TRAIN, Role.VALIDATION, Role.EVALUATION)
    choosing, folds = (make_folds(users, config=config, seed=run_seed) for users in (validation, evaluation))
    first = job.comparison.seeds[0]
    arms: tuple[ArmChoice | None, ...] = (None, *job.comparison.arms)
    for choice in arms:
        seeds = job.comparison.seeds if choice else (first,)
        missing = [seed for seed in seeds if not ranks_cell(job, judge, choice, seed).is_finished]
        if not missing:
            continue
        label = choice.label if choice else REAL
        with Meter(f"judge {label} by {judge}"):
            learned_from = users_from(job, choice, first)
            made = {f"synthetic ({label})": learned_from}
            require_comparable(train=train, validation=validation, evaluation=evaluation, made=made)
            chosen = choose_judge(judge, learned_from, validation=choosing, seed=run_seed)
            for seed in missing:
                fitted = chosen.judge() if seed == first else chosen.fit(users_from(job, choice, seed))
                ranks_cell(job, judge, choice, seed).write_ranks(rank_folds(fitted, folds))


@stage("judge augmentation")
def judge_augmentation(job: Job, judge: JudgeName) -> None:
    """Measure how much one recommender improves if the users of an SDRM arm are added to the real users."""
    config = job.comparison.config.utility.model_copy(update={"judges": (judge,)})
    train, validation, evaluation = users_of_roles(job.matrix, Role.TRAIN, Role.VALIDATION, Role.EVALUATION)
    for choice in job.comparison.arms:
        cell = gain_cell(job, judge, choice)
        if not choice.is_ours or cell.is_finished:
            continue
        with Meter(f"add {choice.label} for {judge}"):
            report = measure_augmentation(
                [users_from(job, choice, seed) for seed in job.comparison.seeds],
                train=train,
                validation=validation,
                evaluation=evaluation,
                config=config,
                seed=job.comparison.config.seed,
            )
            cell.write(report.model_dump(mode="json"))


def _fitted(job: Job, choice: ArmChoice, seed: int) -> Path:
    """Return the folder of the fitted model; fit now if it is missing or damaged. The folder appears only complete."""
    folder = fit_folder(job, family_of(choice), seed)
    if folder.is_dir():
        if _is_intact(folder):
            return folder
        shutil.rmtree(folder)
    arm, config = ARMS[choice.arm], job.comparison.config
    sampling = config.sampling.model_copy(update={"users": None})  # means: as many as training users
    config = config.model_copy(update={"seed": seed, "sampling": sampling})
    aside = private_directory(temporary_beside(folder))
    with Meter(f"fit {arm.family}, seed {seed}"):
        started = time.perf_counter()
        fitted: FittedArm = arm.fit(
            *users_of_roles(job.matrix, Role.TRAIN, Role.VALIDATION),
            config=config,
            device=resolve_device(config.compute.device),
            on_epoch=report_epoch,
        )
        seconds = time.perf_counter() - started
        fitted.save(aside)
    files = {path.name: sha256_of(path) for path in aside.iterdir()}
    write_sealed(aside / FIT_REPORT, {"seconds": seconds, "files": files})
    aside.rename(folder)
    sync(folder.parent)
    return folder


def _is_intact(folder: Path) -> bool:
    """Return whether the files of a fitted model are unchanged."""
    try:
        for name, digest in read_sealed(folder / FIT_REPORT)["files"].items():
            checked(Artifact(path=folder / name, sha256=digest), remedy="")
    except DAMAGE as error:
        LOG.warning("%s is damaged (%s); it is fitted again", folder, error)
        return False
    return True


def _measure_fidelity(job: Job, choice: ArmChoice, seed: int) -> None:
    cell = fidelity_cell(job, choice, seed)
    if cell.is_finished:
        return
    with Meter(f"fidelity of {choice.label}, seed {seed}"):
        report = fidelity_of(users_from(job, choice, seed), job.matrix, config=job.comparison.config)
        cell.write(report.model_dump(mode="json"))


def _measure_privacy(job: Job, choice: ArmChoice, seed: int) -> None:
    cell = privacy_cell(job, choice, seed)
    if cell.is_finished:
        return
    with Meter(f"privacy of {choice.label}, seed {seed}"):
        users = users_from(job, choice, seed)
        user_ids = new_user_ids(users.shape[0], numpy_stream(seed, "user_ids", choice.label))
        report = privacy_of(users, job.matrix, config=job.comparison.config, user_ids=user_ids)
        cell.write(report.model_dump(mode="json"))
