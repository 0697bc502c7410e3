from functools import partial
from itertools import pairwise
from math import inf

import numpy as np
import pytest
import torch

from sdrm_core.model import fitting
from sdrm_core.model.pretraining import train_vae
from sdrm_core.model.temperature import (
    LADDER,
    LAST_RESORT,
    TOLERATED,
    choose_temperature,
    more_random,
    where_people_are_few,
)
from sdrm_core.model.trained import train_on_latents
from sdrm_core.records import Leak
from tests.unit.model.conftest import CPU, fit_drawn, no_leak


def certain(share):
    return Leak(share=share, bound=share, rises_with_activity=False)


def test_the_ladder_rises_by_about_a_tenth_from_a_third_of_the_models_own_randomness_to_a_third_above_it():
    assert (LADDER[0], LADDER[-1]) == (0.29, 1.33)
    assert 1.0 in LADDER
    assert LAST_RESORT[-1] == 1.95
    assert all(1.05 < above / below < 1.15 for below, above in pairwise(LADDER + LAST_RESORT))


@pytest.mark.parametrize("least", LADDER)
def test_the_lowest_temperature_that_leaks_little_is_found_in_five_tries(least):
    tried = []

    def leak_at(temperature):
        tried.append(temperature)
        return certain(TOLERATED if temperature >= least else TOLERATED + 0.01)

    assert choose_temperature(leak_at) == least
    assert len(tried) <= 5


@pytest.mark.parametrize("least", LAST_RESORT)
def test_above_the_ladder_it_is_the_lowest_that_leaks_little(least):
    assert choose_temperature(lambda temperature: certain(0 if temperature >= least else TOLERATED + 0.01)) == least


def test_where_nothing_leaves_room_what_would_just_pass_is_taken():
    assert choose_temperature(lambda temperature: certain(0.95 if temperature >= 1.77 else 1.3)) == 1.77


@pytest.mark.parametrize("leak", [float("inf"), float("nan")])
def test_where_every_temperature_leaks_without_bound_there_is_none(leak):
    assert choose_temperature(lambda _: certain(leak)) is None


@pytest.mark.parametrize("slope", [7, 0.05])
def test_where_no_temperature_is_enough_there_is_none_however_much_a_higher_one_helps(slope):
    assert choose_temperature(lambda temperature: certain(14.7 - slope * temperature)) is None


def test_people_too_few_to_be_sure_do_not_allow_less_than_the_models_own_randomness():
    assert choose_temperature(lambda _: Leak(share=0.0, bound=inf, rises_with_activity=False)) == 1.0


def test_below_the_models_own_randomness_what_does_not_show_is_bounded_by_as_much():
    def leak_at(temperature):
        bound = TOLERATED if temperature >= LADDER[4] else 0.99
        return Leak(share=0.0, bound=bound, rises_with_activity=False)

    assert choose_temperature(leak_at) == LADDER[4] < 1


def test_people_too_few_to_be_sure_do_not_ask_for_more_than_the_ladder():
    out_of_sight = Leak(share=0.0, bound=inf, rises_with_activity=False)
    assert choose_temperature(lambda temperature: out_of_sight if temperature > 1.4 else certain(1.9)) is None


@pytest.mark.parametrize(("refused", "then"), [(0.51, 1.61), (1.0, 1.61), (1.21, 1.61), (1.33, 1.77), (1.95, 2.6)])
def test_after_a_refusal_it_is_a_third_above_what_was_refused_and_one_at_which_hardly_any_gate_fails(refused, then):
    assert more_random(refused, doubts=False) == then


@pytest.mark.parametrize(("refused", "then"), [(0.51, 1.21), (0.91, 1.21), (1.0, 1.33), (1.33, 1.77)])
def test_with_doubt_in_what_few_people_taught_it_may_be_lower(refused, then):
    assert more_random(refused, doubts=True) == then


def anonymous(config, k_anonymity, **sections):
    """With k-anonymity 5 the data count as dense; with 20 as sparse, as most items have fewer than 40 people."""
    privacy = config.privacy.model_copy(update={"k_anonymity": k_anonymity})
    return config.model_copy(update={"privacy": privacy, **sections})


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

    settings = anonymous(config, k_anonymity)
    model = fitted(vae, train, validation, settings, leak_of, temperature=0.9, temperature_by_activity=given)
    assert model.usual_count == (np.median(model.activity) if is_by_activity else None)
    assert len(asked) == (given is None and k_anonymity == 5)


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


@pytest.mark.parametrize(("k_anonymity", "decoder_units", "given", "doubt"), [
    (5, 0, None, 2), (5, 0, 0, 0), (5, 0, 3, 3), (20, 0, None, 0), (20, 0, 1, 1), (5, 8, None, 0),
])  # fmt: skip
def test_what_few_people_taught_is_doubted_unless_data_are_sparse(  # noqa: PLR0917
    train, validation, config, k_anonymity, decoder_units, given, doubt
):
    linear_or_not = config.vae.model_copy(update={"decoder_units": decoder_units, "max_epochs": 1})
    config = anonymous(config, k_anonymity, vae=linear_or_not)
    vae, _ = train_vae(train, validation, config=config.vae, seed=0, device=CPU, on_epoch=lambda _: None)
    fit = partial(fit_drawn, vae, train, validation, config, leak=no_leak, temperature=1.0)
    fitted, without = fit(doubt=given), fit(doubt=0)
    assert fitted.doubt == doubt
    assert torch.equal(fitted.model.vae.output.weight, without.model.vae.output.weight) == (doubt == 0)


@pytest.mark.parametrize(("doubt", "temperature"), [(None, 1.0), (0, 1.33)])
def test_where_people_are_too_few_to_hide_doubt_allows_the_models_own_temperature(  # noqa: PLR0917
    vae, train, validation, config, doubt, temperature
):
    leak = {"leak": lambda *_, **__: lambda _: certain(9), "users": 70}
    fitted = fit_drawn(vae, train, validation, anonymous(config, 5), temperature=None, doubt=doubt, **leak)
    assert fitted.model.temperature == temperature == where_people_are_few(doubts=doubt is None)


def test_rehearsals_doubt_as_much_as_the_model(vae, train, validation, config, monkeypatch):
    """Whether data are sparse is asked of all training users, not of those of a rehearsal."""
    told = []

    def tell(*args, config, **settings):
        told.append(config.sampling.doubt)
        return train_on_latents(*args, config=config, **settings)

    monkeypatch.setattr(fitting, "train_on_latents", tell)
    fit_drawn(vae, train, validation, anonymous(config, 5), leak=no_leak, temperature=None)
    assert told == [None, 2, 2]
