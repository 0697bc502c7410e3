"""Turn the log into the filtered binary user-item matrix, with a role for each user."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from sdrm_core.config import PipelineConfig
from sdrm_core.data.anonymity import publishable_items
from sdrm_core.data.interactions import index_interactions
from sdrm_core.data.kcore import k_core
from sdrm_core.data.matrix import item_popularity, to_user_items
from sdrm_core.data.roles import Role, assign_roles, derive_key
from sdrm_core.data.stored_log import StoredLog
from sdrm_core.errors import DataError, Problem, collected
from sdrm_core.quality.folds import MIN_USERS, rankable_users
from sdrm_core.quality.panel import require_possible
from sdrm_core.records import Counts
from sdrm_core.storage import checked, private_directory, read_user_items, write_artifact, write_user_items
from tasks.preflight import require_space
from tasks.records import Ingested, UserItemMatrix
from tasks.role_key import KEY_VARIABLE, role_secret
from tasks.stage import LOG, Meter, stage

_MORE_USERS = "Raise the share, or use more data"


@stage("matrix")
def build_matrix(ingested: Ingested) -> UserItemMatrix:
    """Merge repeated pairs, apply the k-core filter, assign the users' roles and write the matrix."""
    run, config = ingested.run, ingested.run.config
    with Meter("matrix") as meter:
        log = index_interactions(StoredLog(checked(ingested.interactions)), source=config.source)
        core = k_core(log, config.filter)
        _report_filtered(log.counts, core.counts)
        secret = role_secret(config.roles)
        if secret is None:
            LOG.warning(
                "no %s in the environment and no roles.key_block: roles are derived from the run's seed. "
                "Good for trying, not for production, where anyone with the seed could recompute who was held out",
                KEY_VARIABLE,
            )
        roles = assign_roles(
            core.users, key=derive_key(config.seed) if secret is None else secret, shares=config.roles.shares
        )
        user_items = to_user_items(core)
        folder = private_directory(run.directory / "matrix")
        items = pa.table({"item_id": core.items})
        matrix = UserItemMatrix(
            user_items=write_user_items(folder / "user_items.npz", user_items, roles=roles),
            items=write_artifact(folder / "items.parquet", lambda path: pq.write_table(items, path)),
            counts=core.counts,
            users_by_role={role.name.lower(): int(np.sum(roles == role)) for role in Role},
            has_secret_roles=secret is not None,
        )
    _require_measurable(config, matrix, user_items=user_items, roles=roles)
    mean_activity = core.counts.interactions / core.counts.users
    for folder in filter(Path.is_dir, (run.directory, config.paths.releases.expanduser())):  # comparing: no releases
        require_space(folder, users=users_wanted(config, matrix), interactions_per_user=mean_activity)
    meter.save(run)
    return matrix


def users_of(matrix: UserItemMatrix, role: Role) -> csr_matrix:
    """Return the (n_users_of_role, n_items) rows of the users with ``role``."""
    (users,) = users_of_roles(matrix, role)
    return users


def users_of_roles(matrix: UserItemMatrix, *roles: Role) -> tuple[csr_matrix, ...]:
    """Return one (n_users_of_role, n_items) matrix for each role; the file is read only once."""
    user_items, beside = read_user_items(matrix.user_items)
    return tuple(csr_matrix(user_items[beside["roles"] == role]) for role in roles)


def users_wanted(config: PipelineConfig, matrix: UserItemMatrix) -> int:
    """Return the configured number of synthetic users or, if none is configured, the number of training users."""
    return config.sampling.users or matrix.users_by_role["train"]


def _report_filtered(before: Counts, after: Counts) -> None:
    """Log how much the filter left; as a warning with a remedy if that is less than half of the users."""
    left = (
        f"{after.users:,} of {before.users:,} users, {after.items:,} of {before.items:,} items and "
        f"{after.interactions:,} of {before.interactions:,} positive interactions"
    )
    if 2 * after.users < before.users:
        keep = "lower filter.min_user_positives or filter.min_item_positives to keep more"
        LOG.warning("the filter left %s; %s", left, keep)
    else:
        LOG.info("the filter left %s", left)


def _require_measurable(
    config: PipelineConfig, matrix: UserItemMatrix, *, user_items: csr_matrix, roles: np.ndarray
) -> None:
    """Raise now the errors that would otherwise end the run after hours of training.

    Raises:
        DataError: there are no training, validation or holdout users, fewer than ``MIN_USERS`` evaluation users with
            enough positives to rank for, more items than a configured recommender can handle, or no item that may be
            published.
    """
    popularity = item_popularity(user_items[roles == Role.TRAIN])
    problems: list[Problem] = []
    with collected(problems):
        require_possible(config.utility.judges, n_items=matrix.counts.items)
    if matrix.users_by_role["train"]:
        with collected(problems):
            publishable_items(popularity, k_anonymity=config.privacy.k_anonymity)
    found = f"of {matrix.counts.users} users that the filter left"
    problems += [
        Problem(f"roles.{role}", f"0 {found} have this role", _MORE_USERS)
        for role in ("train", "validation", "holdout")
        if not matrix.users_by_role[role]
    ]
    rankable = rankable_users(user_items[roles == Role.EVALUATION], max_users=MIN_USERS, seed=config.seed)
    if rankable.shape[0] < MIN_USERS:
        what = (
            f"{rankable.shape[0]} {found} have this role and the five positives it takes to rank for them, "
            f"{MIN_USERS} are needed"
        )
        problems.append(Problem("roles.evaluation", what, _MORE_USERS))
    if problems:
        raise DataError(problems)
