"""The temperature is found with people the model has not seen: where they are few, on a model of fewer users."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, vstack

from sdrm_core.model.rehearsal import rehearsals
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


@pytest.mark.parametrize(("n_train", "n_validation", "n_rehearsals", "looking_on"), [
    (1000, 140, 2, 200), (1004, 140, 2, 200), (3300, 470, 2, 660), (6000, 850, 2, 825), (8000, 1000, 1, 1500),
    (12_000, 2499, 1, 1), (5, 0, 2, 1),
])  # fmt: skip
def test_in_each_rehearsal_other_training_users_look_on_beside_the_validation_users(
    n_train, n_validation, n_rehearsals, looking_on
):
    train, validation = numbered(n_train, first=0), numbered(n_validation, first=n_train)
    rehearsed = rehearsals(train, validation, seed=1)
    assert len(rehearsed) == n_rehearsals
    before = set()
    for learners, onlookers in rehearsed:
        assert learners.shape[0] == n_train - looking_on
        assert (np.diff(numbers(learners)) > 0).all()
        assert sorted([*numbers(learners), *numbers(onlookers)]) == list(range(n_train + n_validation))
        spared = {number for number in numbers(onlookers) if number < n_train}
        assert len(spared) == looking_on
        assert not spared & before
        before |= spared


@pytest.mark.parametrize(("n_train", "n_validation"), [(9000, 2500), (9000, 3000), (4, 1)])
def test_enough_validation_users_need_nobody_and_too_few_training_users_spare_nobody(n_train, n_validation):
    assert rehearsals(numbered(n_train, first=0), numbered(n_validation, first=n_train), seed=1) == []


def test_who_looks_on_hangs_on_the_seed_alone():
    train, validation = numbered(500, first=0), numbered(50, first=500)
    first, again, other = (numbers(rehearsals(train, validation, seed=seed)[0].onlookers) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


class Watch:
    """A measure of leaks that remembers whom it was given, and has the users drawn in a rehearsal leak at first."""

    def __init__(self) -> None:
        self.sides = []
        self.drawn = []

    def __call__(self, sides, **_):
        self.sides += sides

        def leak_of(users_of_each):
            self.drawn.append(users_of_each)
            share = 1.0 if len(self.drawn) == 1 else 0.0
            return Leak(share=share, bound=share, rises_with_activity=False)

        return leak_of


def fit(vae, train, validation, config, *, leak, on_epoch=lambda _: None, **sampling):
    chosen = {"temperature_by_activity": False, **sampling}
    return fit_drawn(vae, train, validation, config, leak=leak, on_epoch=on_epoch, **chosen)


def test_a_temperature_is_found_on_a_model_of_the_learners_and_taken_for_the_model_of_all(
    vae, train, validation, config
):
    watch, reports, served = Watch(), [], []

    def usefulness(onlookers, **_):
        served.extend(onlookers)
        return lambda _: 0.0

    model, returned, is_found, *_ = fit(
        vae, train, validation, config, leak=watch, usefulness=usefulness, on_epoch=reports.append, temperature=None
    )
    rehearsed = rehearsals(train, validation, seed=config.seed)
    assert len(watch.sides) == len(rehearsed) == 2
    for (judged, judges), users, (learners, onlookers) in zip(watch.sides, served, rehearsed, strict=True):
        assert (judged != learners).nnz == (judges != onlookers).nnz == (users != onlookers).nnz == 0
    n_learners = rehearsed[0].learners.shape[0]
    assert {tuple(users.shape for users in each) for each in watch.drawn} == {((n_learners, N_ITEMS),) * 2}
    assert not any((each[0] != each[1]).nnz == 0 for each in watch.drawn)  # each from a model of its own
    assert is_found
    assert model.temperature == LADDER[len(LADDER) // 2 + 1]  # the middle leaks, all others do not
    assert len(model.activity) == train.shape[0]
    stages = list(dict.fromkeys(report.stage for report in reports))
    assert stages == [
        "diffusion",
        "rehearsal, vae",
        "rehearsal, diffusion",
        "rehearsal, margins",
        "margins",
        "refining",
    ]
    assert {report.stage for report in returned} == {"diffusion", "margins", "refining"}


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


def test_a_temperature_for_people_too_few_to_hide_counts_as_not_found(vae, train, validation, config):
    def leaks(*_, **__):
        return lambda _: Leak(share=2.0, bound=2.0, rises_with_activity=False)

    assert not fit(vae, train, validation, config, leak=leaks, temperature=None).temperature_is_found


def test_where_nobody_can_tell_nothing_is_rehearsed(vae, train, validation, config):
    reports = []
    nobody = {"leak": lambda *_, **__: None, "temperature": None}
    fitted = fit(vae, train, validation, config, on_epoch=reports.append, **nobody)
    assert not fitted.temperature_is_found
    assert not any("rehearsal" in report.stage for report in reports)
