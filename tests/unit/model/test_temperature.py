from functools import partial
from itertools import pairwise
from math import inf

import numpy as np
import pytest
import torch

from sdrm_core.model.temperature import (
    LADDER,
    LAST_RESORT,
    LOW,
    TOLERATED,
    Randomness,
    choose_temperature,
    more_random,
    where_people_are_few,
)
from sdrm_core.records import Leak
from tests.unit.model.conftest import fit_drawn


def certain(share):
    return Leak(share=share, bound=share, rises_with_activity=False)


def test_the_ladder_rises_by_about_a_tenth_from_half_the_models_own_randomness_to_a_third_above_it():
    assert (LADDER[0], LADDER[-1]) == (0.51, 1.33)
    assert 1.0 in LADDER
    assert LAST_RESORT[-1] == 1.95
    assert LOW[0] == 0.29
    assert all(1.05 < above / below < 1.15 for below, above in pairwise(LOW + LADDER + LAST_RESORT))


@pytest.mark.parametrize("least", LADDER)
def test_the_lowest_temperature_that_leaks_little_is_found_in_four_tries(least):
    tried = []

    def leak_at(temperature):
        tried.append(temperature)
        return certain(TOLERATED if temperature >= least else TOLERATED + 0.01)

    assert choose_temperature(leak_at, doubt=0) == least
    assert len(tried) <= 4


@pytest.mark.parametrize("least", [*LOW, *LADDER])
def test_with_doubt_lower_ones_are_tried_too(least):
    assert choose_temperature(lambda temperature: certain(temperature < least), doubt=1) == least


@pytest.mark.parametrize("least", LAST_RESORT)
def test_above_the_ladder_it_is_the_lowest_that_leaks_little(least):
    assert (
        choose_temperature(lambda temperature: certain(0 if temperature >= least else TOLERATED + 0.01), doubt=0)
        == least
    )


def test_where_nothing_leaves_room_what_would_just_pass_is_taken():
    assert choose_temperature(lambda temperature: certain(0.95 if temperature >= 1.77 else 1.3), doubt=0) == 1.77


@pytest.mark.parametrize("leak", [float("inf"), float("nan")])
def test_where_every_temperature_leaks_without_bound_there_is_none(leak):
    assert choose_temperature(lambda _: certain(leak), doubt=0) is None


@pytest.mark.parametrize("slope", [7, 0.05])
def test_where_no_temperature_is_enough_there_is_none_however_much_a_higher_one_helps(slope):
    assert choose_temperature(lambda temperature: certain(14.7 - slope * temperature), doubt=0) is None


def test_people_too_few_to_be_sure_do_not_allow_less_than_the_models_own_randomness():
    assert choose_temperature(lambda _: Leak(share=0.0, bound=inf, rises_with_activity=False), doubt=0) == 1.0


def test_below_the_models_own_randomness_what_does_not_show_is_bounded_by_as_much():
    def leak_at(temperature):
        bound = TOLERATED if temperature >= LADDER[4] else 0.99
        return Leak(share=0.0, bound=bound, rises_with_activity=False)

    assert choose_temperature(leak_at, doubt=0) == LADDER[4] < 1


def test_people_too_few_to_be_sure_do_not_ask_for_more_than_the_ladder():
    out_of_sight = Leak(share=0.0, bound=inf, rises_with_activity=False)
    assert choose_temperature(lambda temperature: out_of_sight if temperature > 1.4 else certain(1.9), doubt=0) is None


@pytest.mark.parametrize(("refused", "then"), [(0.51, 1.61), (1.0, 1.61), (1.21, 1.61), (1.33, 1.77), (1.95, 2.6)])
def test_after_a_refusal_it_is_a_third_above_what_was_refused_and_one_at_which_hardly_any_gate_fails(refused, then):
    assert more_random(Randomness(refused, 0), may_doubt=False) == (then, 0)


@pytest.mark.parametrize(("refused", "then"), [(0.51, 1.21), (0.91, 1.21), (1.0, 1.33), (1.33, 1.77)])
def test_with_doubt_in_what_few_people_taught_it_may_be_lower(refused, then):
    assert more_random(Randomness(refused, 0), may_doubt=True) == (then, 2)
    assert more_random(Randomness(refused, 3), may_doubt=True) == (then, 3)


def fitted(vae, train, validation, config, leak, **settings):
    return fit_drawn(vae, train, validation, config, leak=lambda *_, **__: leak, users=70, **settings).model


@pytest.mark.parametrize(("rises", "given", "k_anonymity", "is_by_activity"), [
    (True, None, 5, True), (False, None, 5, False), (True, False, 5, False), (False, True, 5, True),
    (True, None, 20, False), (False, True, 20, True),
])  # fmt: skip
def test_people_with_many_items_are_drawn_more_randomly_where_they_leak_more_or_it_is_asked_for(  # noqa: PLR0917
    vae, train, validation, config, rises, given, k_anonymity, is_by_activity
):
    asked = []

    def leak_of(users_of_each):
        asked.append(users_of_each)
        return Leak(share=0.0, bound=0.0, rises_with_activity=rises)

    settings = config.model_copy(update={"privacy": config.privacy.model_copy(update={"k_anonymity": k_anonymity})})
    model = fitted(vae, train, validation, settings, leak_of, temperature=0.9, temperature_by_activity=given)
    assert model.usual_count == (np.median(model.activity) if is_by_activity else None)
    is_sparse = k_anonymity == 20  # most items have fewer than twice as many people
    assert len(asked) == (given is None and not is_sparse)


def test_where_nobody_can_tell_all_are_drawn_alike(vae, train, validation, config):
    unsaid = {"temperature": None, "temperature_by_activity": None}
    assert fitted(vae, train, validation, config, None, **unsaid).usual_count is None


def test_fitting_asks_what_leaks_only_where_no_temperature_is_given(vae, train, validation, config):
    asked = []

    def leak_of(users_of_each):
        asked.append(users_of_each)
        return certain(1.0 if len(asked) == 1 else 0.0)

    def fit(temperature, leak=leak_of):
        return fitted(vae, train, validation, config, leak, temperature=temperature, temperature_by_activity=False)

    assert fit(0.9).temperature == 0.9
    assert asked == []
    assert fit(None).temperature == LADDER[len(LADDER) // 2 + 1]  # the middle leaks, all others do not
    assert {users.shape for each in asked for users in each} == {
        (70, train.shape[1])
    }  # as many as the release will have
    assert fit(None, leak=None).temperature == LADDER[-1]  # the data are sparse


@pytest.mark.parametrize(("k_anonymity", "given", "may_doubt"), [
    (5, None, True), (5, 0, False), (5, 3, True), (20, None, False), (20, 1, True),
])  # fmt: skip
def test_where_people_are_too_few_to_hide_what_few_taught_is_doubted_unless_data_are_sparse(  # noqa: PLR0917
    vae, train, validation, config, k_anonymity, given, may_doubt
):
    settings = config.model_copy(update={"privacy": config.privacy.model_copy(update={"k_anonymity": k_anonymity})})
    fit = partial(fit_drawn, vae, train, validation, settings, leak=lambda *_, **__: lambda _: certain(9), users=70)
    epochs = []
    found = fit(temperature=None, temperature_by_activity=False, doubt=given, on_epoch=epochs.append)
    assert [(one.stage, one.epoch) for one in epochs].count(("diffusion", 1)) == 1, "doubt needs no second training"
    few = where_people_are_few(may_doubt=may_doubt)
    assert (found.model.temperature, found.doubt) == (few.temperature, few.doubt if given is None else given)
    said = fit(temperature=few.temperature, temperature_by_activity=False, doubt=found.doubt)
    assert torch.equal(found.model.vae.output.weight, said.model.vae.output.weight)
    assert torch.equal(found.model.offsets.items, said.model.offsets.items)


def test_a_temperature_that_is_given_or_found_needs_no_doubt(vae, train, validation, config):
    for leak, temperature in ((lambda _: certain(9), 0.9), (lambda _: certain(0), None)):
        fit = fit_drawn(
            vae, train, validation, config, leak=lambda *_, leak=leak, **__: leak, users=70, temperature=temperature
        )
        assert fit.doubt == 0


@pytest.mark.parametrize(("given", "useful", "doubt"), [(None, (1, 2), 4), (None, (2, 1), 0), (0, (), 0), (3, (), 3)])
def test_in_dense_data_the_model_doubts_where_its_users_are_more_useful_then(  # noqa: PLR0917
    vae, train, validation, config, given, useful, doubt
):
    dense = config.model_copy(update={"privacy": config.privacy.model_copy(update={"k_anonymity": 5})})
    answers, narrowly = iter(useful), lambda *_, **__: lambda _: certain(0.9)  # nowhere much room, but everywhere some
    fit = partial(fit_drawn, vae, train, validation, dense, users=70, temperature_by_activity=False, leak=narrowly)
    found = fit(temperature=None, doubt=given, usefulness=lambda *_, **__: lambda _: next(answers))
    assert (found.doubt, list(answers)) == (doubt, [])
    said = fit(temperature=found.model.temperature, doubt=doubt)
    assert torch.equal(found.model.vae.output.weight, said.model.vae.output.weight)
    assert torch.equal(found.model.offsets.items, said.model.offsets.items)
