"""The stages of ``sdrm tune``: each trial trains a model with one set of settings and judges it on validation users.

The holdout and evaluation users are not used, so that the privacy verdict and the utility of a later release with the
settings found are not biased by the search.
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from scipy.sparse import csr_matrix

from sdrm_core.arms.sdrm import SdrmArm
from sdrm_core.config import JudgeName, PipelineConfig
from sdrm_core.data.roles import Role
from sdrm_core.errors import ArtifactError, DataError, Problem, TrainingError
from sdrm_core.model.devices import resolve_device
from sdrm_core.model.training import EpochReport
from sdrm_core.privacy.verdicts import GateVerdict, Verdict
from sdrm_core.quality.ease import MAX_ITEMS
from sdrm_core.quality.folds import MIN_USERS
from sdrm_core.quality.ranking import METRICS
from sdrm_core.quality.utility import make_folds, rank_arm
from sdrm_core.randomness import numpy_stream, stream_seed
from sdrm_core.records import Record
from sdrm_core.storage import digest_of
from tasks.claims import bind_input
from tasks.matrix import users_of_roles
from tasks.measure import privacy_of
from tasks.records import Ingested, UserItemMatrix
from tasks.release.interactions import new_user_ids
from tasks.resumable import UNDERLYING, code_digest
from tasks.settings import deciding_settings
from tasks.stage import LOG, Meter, stage
from tasks.train import report_epoch
from tasks.tune.space import SPACE, space_around, values_of, with_concrete_values, with_values

METRIC = "recall@10"
_COLUMN = METRICS.index(METRIC)
_STARTUP_TRIALS, _PRUNING_TRIALS, _PRUNING_EPOCHS = 8, 5, 10
_LEAST_EXCESS = 0.01
_MOST_EXCESS = 1.0  # also used for a gate that fails without a measured excess
_PRUNED_STAGE = "vae"
_CODE = (
    "sdrm_core/arms/sdrm.py",
    "sdrm_core/config",
    "sdrm_core/model",
    "sdrm_core/quality",
    "sdrm_core/privacy",
    *UNDERLYING,
    "tasks/measure.py",
    "tasks/tune/stages.py",
)


class Tuning(Record):
    """The settings and options of one ``sdrm tune`` command; ``minutes`` limits this call, not the whole search."""

    config: PipelineConfig
    minutes: float
    out: Path

    def question(self) -> dict[str, Any]:
        """Return what all trials of a search have in common: settings, search space and code."""
        return {
            **deciding_settings(self.config),
            "search space": {path: str(bounds) for path, bounds in SPACE.items()},
            "code": code_digest(*_CODE),
        }


class Search(Record):
    """A search whose input has been read.

    Attributes:
        tuning: settings and options of the command.
        matrix: the user-item matrix with the users' roles.
        input_digest: digest of the data and the roles.
        real: recall@10 of each judge (recommender) trained on the real users; utility is the ratio to it.
    """

    tuning: Tuning
    matrix: UserItemMatrix
    input_digest: str
    real: dict[JudgeName, float]


@stage("open search")
def open_search(tuning: Tuning, ingested: Ingested, matrix: UserItemMatrix) -> Search:
    """Bind the output directory to the data, measure the real users, and make the given settings the first trial."""
    input_digest = digest_of([ingested.source.sha256, matrix.user_items.sha256])
    bind_input(tuning.out, command="tune", input_digest=input_digest, run=ingested.run)
    with Meter("judge the real users"):
        train, validation = users_of_roles(matrix, Role.TRAIN, Role.VALIDATION)
        real = _recall(train, validation, tuning.config)
    if useless := [judge for judge, recall in real.items() if not recall]:
        what = f"{' and '.join(useless)} rank nothing right for them after learning from the real users"
        raise DataError(Problem("validation users", what, "Use more data, or raise roles.validation"))
    config = with_concrete_values(tuning.config, n_train_users=matrix.users_by_role["train"])
    tuning = tuning.model_copy(update={"config": config})
    study = open_study(tuning)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):  # left by a killed process
        study.tell(trial.number, state=TrialState.FAIL)
    given = values_of(tuning.config)
    tried = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))  # left by a killed process
    if not waiting and not any(trial.params == given for trial in tried):
        study.enqueue_trial(given, skip_if_exists=False)
    LOG.info("tune: %d trials are there already", len(tried))
    return Search(tuning=tuning, matrix=matrix, input_digest=input_digest, real=real)


@stage("trial")
def try_settings(search: Search) -> float:
    """Try one set of settings and return the seconds it took; if training fails, the trial is recorded as failed."""
    study = open_study(search.tuning)
    trial = study.ask(space_around(search.tuning.config))
    started = time.perf_counter()
    config = with_values(search.tuning.config, trial.params)
    with Meter(f"trial {trial.number}"):
        try:
            study.tell(trial, _evaluate(search, config, trial))
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except TrainingError as error:
            LOG.warning("trial %d failed: %s", trial.number, error)
            study.tell(trial, state=TrialState.FAIL)
    return time.perf_counter() - started


def open_study(tuning: Tuning) -> optuna.Study:
    """Return the Optuna study in the output directory; create it if it is missing.

    The next trial depends only on the earlier trials and the seed of the run, not on the number of calls.

    Raises:
        ArtifactError: the database of the study is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=_storage(tuning.out.resolve() / "study.db"),
        study_name="tune",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_PRUNING_TRIALS, n_warmup_steps=_PRUNING_EPOCHS),
    )
    seed = stream_seed(tuning.config.seed, "tune", len(study.get_trials(deepcopy=False))) % (1 << 32)
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)
    return study


def excess_of(trial: FrozenTrial) -> float:
    """Return the sum of ``gate_excess`` over the privacy gates; 0 if every gate passes or is accepted."""
    return float(sum(trial.constraints.values()))


def gate_excess(gate: GateVerdict, *, accepted: bool) -> float:
    """Return by how much a gate's margin is exceeded, as a multiple of the margin, from 0.01 to 1; 0 if it passes.

    Args:
        gate: the verdict, measured with validation users instead of holdout users.
        accepted: whether the configuration accepts an inconclusive verdict of this gate; then it counts as passed.
    """
    if gate.verdict == Verdict.PASS or (accepted and gate.verdict == Verdict.INCONCLUSIVE):
        return 0.0
    missed = [figure for figure in gate.figures if figure.verdict != Verdict.PASS]
    excess = max((figure.share_of_tolerance for figure in missed), default=0.0) - 1
    if excess <= 0 and gate.verdict == Verdict.FAIL:  # e.g. proven copies, or a figure that could not be computed
        return _MOST_EXCESS
    return min(max(_LEAST_EXCESS, excess), _MOST_EXCESS)


def _evaluate(search: Search, config: PipelineConfig, trial: Trial) -> float:
    train, validation = users_of_roles(search.matrix, Role.TRAIN, Role.VALIDATION)
    fitted = SdrmArm("sdrm_full", config.sampling.resolution).fit(
        train, validation, config=config, device=resolve_device(config.compute.device), on_epoch=_pruning(trial)
    )
    n_users = config.sampling.users or train.shape[0]
    users = fitted.sample(n_users, seed=stream_seed(config.seed, "tune", "sample"))
    recall = _recall(users, validation, config)
    ratios = {judge: recall[judge] / search.real[judge] for judge in recall}
    user_ids = new_user_ids(n_users, numpy_stream(config.seed, "user_ids", "tune"))
    privacy = privacy_of(users, search.matrix, config=config, user_ids=user_ids, unseen=Role.VALIDATION)
    for gate in privacy.gates:
        trial.set_constraint(gate.gate, gate_excess(gate, accepted=gate.gate in config.privacy.accept_inconclusive))
    trial.set_user_attr("ratios", ratios)
    trial.set_user_attr("gates", {gate.gate: gate.verdict.value for gate in privacy.gates})
    utility = float(np.mean(list(ratios.values())))
    missed = [gate.gate for gate in privacy.gates if gate.verdict != Verdict.PASS]
    LOG.info("trial %d: utility %.4f, gates not passed: %s", trial.number, utility, ", ".join(missed) or "none")
    return utility


def _pruning(trial: Trial) -> Callable[[EpochReport], None]:
    """Return a callback that reports each epoch and ends a bad trial early.

    A trial is bad if its VAE's validation log-likelihood is below the median of the other trials at the same epoch.
    """

    def on_epoch(report: EpochReport) -> None:
        report_epoch(report)
        if report.stage == _PRUNED_STAGE:
            trial.report(report.validation, report.epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

    return on_epoch


def _recall(users: csr_matrix, validation: csr_matrix, config: PipelineConfig) -> dict[JudgeName, float]:
    """Return the recall@10 of each judge, trained on ``users``, for the validation users.

    Raises:
        DataError: too few validation users have enough items to rank for.
    """
    judges: tuple[JudgeName, ...] = ("svd", "ease") if users.shape[1] <= MAX_ITEMS else ("svd",)
    folds = make_folds(validation, config=config.utility, seed=config.seed)
    n_users = folds[0].inputs.shape[0]
    if n_users < MIN_USERS:
        what = f"{n_users} users have the five positives it takes to rank for them, {MIN_USERS} are needed"
        raise DataError(Problem("validation users", what, "Use more data, or raise roles.validation"))
    return {
        judge: float(rank_arm(judge, users, folds=folds, validation=folds, seed=config.seed)[:, _COLUMN].mean())
        for judge in judges
    }


def _require_intact(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        try:
            found = [row[0] for row in connection.execute("PRAGMA quick_check")]
        except sqlite3.DatabaseError as error:
            found = [str(error)]
    if found != ["ok"]:
        remedy = "Restore it from a backup, or name a new directory: the trials in it are lost"
        raise ArtifactError(f"{database} is damaged ({found[0]}). {remedy}")


@lru_cache
def _storage(path: Path) -> optuna.storages.RDBStorage:
    """Return the SQLite database of the study, which stays intact if the process is killed at any moment.

    Raises:
        ArtifactError: it is damaged.
    """
    _require_intact(path)
    return optuna.storages.RDBStorage(f"sqlite:///{path}")
