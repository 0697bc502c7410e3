"""The temperature is found with people the model has not seen: where they are few, on a model of fewer users."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, vstack

from sdrm_core.model.rehearsal import learners_and_onlookers
from sdrm_core.model.temperature import LADDER
from sdrm_core.records import Leak
from tests.unit.model.conftest import N_ITEMS, fit_drawn


def numbered(n_users: int, *, first: int) -> csr_matrix:
    """Users who can be told apart: user i has item i."""
    rows = np.arange(n_users)
    return csr_matrix((np.ones(n_users, np.float32), (rows, rows + first)), shape=(n_users, 20_000))


def numbers(users):
    assert np.array_equal(np.diff(users.indptr), np.ones(users.shape[0]))
    return users.indices


@pytest.mark.parametrize(("n_train", "n_validation", "looking_on"), [
    (1000, 140, 200), (1004, 140, 200), (8000, 1000, 1500), (12_000, 2000, 500), (5, 0, 1), (12_000, 2499, 1),
])  # fmt: skip
def test_training_users_look_on_beside_few_validation_users(n_train, n_validation, looking_on):
    train, validation = numbered(n_train, first=0), numbered(n_validation, first=n_train)
    learners, onlookers = learners_and_onlookers(train, validation, seed=1)
    assert learners.shape[0] == n_train - looking_on
    assert (np.diff(numbers(learners)) > 0).all()
    assert sorted([*numbers(learners), *numbers(onlookers)]) == list(range(n_train + n_validation))
    assert set(range(n_train, n_train + n_validation)) <= set(numbers(onlookers))


@pytest.mark.parametrize(("n_train", "n_validation"), [(9000, 2500), (9000, 3000), (4, 1)])
def test_enough_validation_users_need_nobody_and_too_few_training_users_spare_nobody(n_train, n_validation):
    train, validation = numbered(n_train, first=0), numbered(n_validation, first=n_train)
    learners, onlookers = learners_and_onlookers(train, validation, seed=1)
    assert learners is train
    assert onlookers is validation


def test_who_looks_on_hangs_on_the_seed_alone():
    train, validation = numbered(500, first=0), numbered(50, first=500)
    first, again, other = (numbers(learners_and_onlookers(train, validation, seed=seed)[1]) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


class Watch:
    """A measure of leaks that remembers whom it was given, and has the users drawn in a rehearsal leak at first."""

    def __init__(self) -> None:
        self.sides = []
        self.drawn = []

    def __call__(self, train, onlookers, **_):
        self.sides.append((train, onlookers))

        def leak_of(users):
            self.drawn.append(users)
            share = 1.0 if len(self.drawn) == 1 else 0.0
            return Leak(share=share, bound=share, rises_with_activity=False)

        return leak_of


def fit(vae, train, validation, config, *, leak, on_epoch=lambda _: None, **sampling):
    chosen = {"temperature_by_activity": False, **sampling}
    return fit_drawn(vae, train, validation, config, leak=leak, on_epoch=on_epoch, **chosen)


def test_a_temperature_is_found_on_a_model_of_the_learners_and_taken_for_the_model_of_all(
    vae, train, validation, config
):
    watch, reports = Watch(), []
    model, returned, is_found = fit(
        vae, train, validation, config, leak=watch, on_epoch=reports.append, temperature=None
    )
    learners, onlookers = learners_and_onlookers(train, validation, seed=config.seed)
    ((judged, judges),) = watch.sides
    assert (judged != learners).nnz == (judges != onlookers).nnz == 0
    assert {users.shape for users in watch.drawn} == {(learners.shape[0], N_ITEMS)}
    assert is_found
    assert model.temperature == LADDER[len(LADDER) // 2 + 1]  # the middle leaks, all others do not
    assert len(model.activity) == train.shape[0]
    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages == ["diffusion", "rehearsal, vae", "rehearsal, diffusion", "rehearsal, margins", "margins"]
    assert {report.stage for report in returned} == {"diffusion", "margins"}


def test_the_model_is_the_one_that_the_temperature_found_would_have_given(vae, train, validation, config):
    found = fit(vae, train, validation, config, leak=Watch(), temperature=None).model
    given = fit(vae, train, validation, config, leak=Watch(), temperature=found.temperature).model
    users = [model.sample(0, 90, seed=1, resolution="full", batch_users=64) for model in (found, given)]
    assert (users[0] != users[1]).nnz == 0


def test_a_temperature_that_is_given_is_not_rehearsed(vae, train, validation, config):
    watch, reports = Watch(), []
    dense = config.model_copy(update={"privacy": config.privacy.model_copy(update={"k_anonymity": 5})})
    settings = {"temperature": 1, "temperature_by_activity": None}
    fitted = fit(vae, train, validation, dense, leak=watch, on_epoch=reports.append, **settings)
    assert not fitted.temperature_is_found
    ((judged, judges),) = watch.sides
    assert judged is train
    assert judges is validation
    assert not any("rehearsal" in report.stage for report in reports)


def test_enough_validation_users_judge_the_model_of_all(vae, train, validation, config):
    many = vstack([validation] * 42).tocsr()
    watch, reports = Watch(), []
    fit(vae, train, many, config, leak=watch, on_epoch=reports.append, temperature=None)
    assert watch.sides[0][0] is train
    assert not any("rehearsal" in report.stage for report in reports)


def test_where_nobody_can_tell_nothing_is_rehearsed(vae, train, validation, config):
    reports = []
    nobody = {"leak": lambda *_, **__: None, "temperature": None}
    fitted = fit(vae, train, validation, config, on_epoch=reports.append, **nobody)
    assert not fitted.temperature_is_found
    assert not any("rehearsal" in report.stage for report in reports)
