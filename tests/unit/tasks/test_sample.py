"""An attempt's users are its own: a later one draws others from the same model, the same one draws them again."""

import numpy as np
import pyarrow as pa
import pytest

from sdrm_core.records import Counts
from tasks.records import FittedModel, Run, UserItemMatrix
from tasks.sample import sample, synthetic_users
from tests.conftest import small_night
from tests.unit.model.conftest import untrained_model

N_ITEMS = 12


@pytest.fixture
def fitted(tmp_path):
    """Return an untrained model as the night hands it on."""
    model = untrained_model(np.zeros((N_ITEMS, 2)), activity=[3, 4, 5])
    files = model.save(tmp_path / "model", item_ids=pa.array(range(N_ITEMS)))
    return FittedModel(
        folder=tmp_path / "model",
        files=files,
        curve=files[0],
        temperature=model.temperature,
        temperature_is_found=False,
        temperature_by_activity=False,
        doubt=0.0,
        is_sparse=False,
        item_pairs=0,
    )


def drawn(fitted, directory, *, attempt):
    """Return the 50 synthetic users of an attempt of a night in this directory."""
    config = small_night(directory, sampling={"users": 50}, compute={"device": "cpu"})
    nothing = fitted.curve
    matrix = UserItemMatrix(
        user_items=nothing,
        items=nothing,
        counts=Counts.of(users=50, items=N_ITEMS, interactions=200),
        users_by_role={"train": 50, "validation": 0, "holdout": 0, "evaluation": 0},
        has_secret_roles=False,
    )
    samples = sample.fn(Run(config=config, directory=directory, digest=""), matrix, fitted, attempt=attempt)
    return synthetic_users(samples)


def test_a_second_attempt_draws_other_users_at_the_same_temperature(fitted, tmp_path):
    first, second = (drawn(fitted, tmp_path, attempt=attempt) for attempt in range(2))
    assert first.shape == second.shape == (50, N_ITEMS)
    n_alike = (abs(first - second).sum(axis=1) == 0).sum()
    assert n_alike < 10


def test_the_same_attempt_of_another_run_draws_the_same_users(fitted, tmp_path):
    first, again = (drawn(fitted, tmp_path / run, attempt=1) for run in ("first", "again"))
    assert (first != again).nnz == 0
