"""Each stage looks at the users of the roles it is meant for, and at nobody else."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix, vstack

from sdrm_core.data.roles import Role
from sdrm_core.records import Counts
from sdrm_core.storage import read_json, write_artifact, write_user_items
from tasks.measure import measure_fidelity, measure_privacy, measure_utility
from tasks.records import Run, Samples, UserItemMatrix
from tasks.train import diffuse, pretrain
from tests.conftest import small_night
from tests.unit.tasks.example_release import simulated_users

USERS_BY_ROLE = {Role.TRAIN: 120, Role.VALIDATION: 31, Role.HOLDOUT: 33, Role.EVALUATION: 36}
TINY = {
    "vae": {"hidden_units": 16, "latent_dim": 4, "max_epochs": 2},
    "diffusion": {"max_epochs": 1, "epoch_steps": 2},
    "sampling": {"margin_rounds": 1, "margin_users": 64, "pair_rounds": 0},
    "utility": {"judges": ["svd"], "fold_seeds": 1, "bootstrap_draws": 100},
}


@pytest.fixture
def matrix_of(tmp_path):
    """Return what writes a matrix of users by role."""

    def write(name: str, users: dict[Role, csr_matrix]) -> UserItemMatrix:
        together = csr_matrix(vstack(list(users.values())))
        roles = np.repeat(list(users), [some.shape[0] for some in users.values()]).astype(np.int8)
        items = pa.table({"item_id": np.arange(together.shape[1])})
        return UserItemMatrix(
            user_items=write_user_items(tmp_path / f"{name}.npz", together, roles=roles),
            items=write_artifact(tmp_path / "items.parquet", lambda path: pq.write_table(items, path)),
            counts=counts_of(together),
            users_by_role={role.name.lower(): some.shape[0] for role, some in users.items()},
            has_secret_roles=True,
        )

    return write


def users_by_role(users: csr_matrix) -> dict[Role, csr_matrix]:
    ends = np.cumsum(list(USERS_BY_ROLE.values()))
    return {role: users[end - n : end] for (role, n), end in zip(USERS_BY_ROLE.items(), ends, strict=True)}


def counts_of(users: csr_matrix) -> Counts:
    return Counts.of(users=users.shape[0], items=users.shape[1], interactions=users.nnz)


def test_whoever_is_held_out_the_model_and_its_curves_are_the_same(tmp_path, matrix_of):
    users = users_by_role(simulated_users(220))
    others = {role: some[:, ::-1] for role, some in users.items()}  # what was popular is rare

    def fitted(name, *changed):
        run = Run(config=small_night(tmp_path / name, **TINY), directory=tmp_path / name, digest=name)
        matrix = matrix_of(name, {role: others[role] if role in changed else users[role] for role in Role})
        vae = pretrain.fn(run, matrix)
        model = diffuse.fn(run, matrix, vae)
        return vae.curve.sha256, model.curve.sha256, model.sha256  # the curves tell on whom training was stopped

    assert fitted("unseen", Role.HOLDOUT, Role.EVALUATION) == fitted("as before")


def test_each_measure_is_of_the_users_of_its_role(tmp_path, matrix_of):
    run = Run(config=small_night(tmp_path, **TINY), directory=tmp_path / "run", digest="a night")
    users = users_by_role(simulated_users(220))
    matrix, released = matrix_of("matrix", users), users[Role.TRAIN][::-1]
    shard = write_user_items(tmp_path / "shard.npz", released)
    samples = Samples(attempt=0, model="a model", shards=(shard,), counts=counts_of(released))
    fidelity, utility, privacy = (
        read_json(measure.fn(run, matrix, samples)) for measure in (measure_fidelity, measure_utility, measure_privacy)
    )
    assert (fidelity["train_users"], fidelity["holdout_users"]) == (120, 33)
    assert utility["evaluation_users"] == 36
    assert utility["judges"]["svd"]["synthetic"]["recall@10"]["ratio"]["value"] == pytest.approx(1)
    assert (privacy["n_synthetic"], privacy["n_train"], privacy["n_holdout"]) == (120, 120, 33)
