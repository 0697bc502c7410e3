"""Offsets: drawn items are as popular as they are to be, and pairs that training users share come as often."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from sdrm_core.config import SamplingConfig
from sdrm_core.data.matrix import binary_matrix, item_popularity
from sdrm_core.model import offsets
from sdrm_core.model.draw import Offsets, target_popularity
from sdrm_core.model.fitting import fit_sdrm
from sdrm_core.model.offsets import OffsetFit, _later_mean
from sdrm_core.model.pairs import Pairs
from sdrm_core.model.sdrm import SdrmModel
from tests.unit.model.conftest import CPU, UNJUDGED, fit_drawn, no_leak, two_communities, untrained_model

K_ANONYMITY = 20  # of the configuration
BUNDLE = (41, 52)  # rare items of different communities


def popularity_distance(model, train, *, resolution, n_users=4000):
    drawn = item_popularity(model.sample(0, n_users, seed=11, resolution=resolution, batch_users=1))[model.publishable]
    target = target_popularity(item_popularity(train)[model.publishable], k_anonymity=K_ANONYMITY)
    return np.abs(drawn / drawn.sum() - target / target.sum()).sum() / 2


def test_margins_give_drawn_items_the_training_users_popularity(model, train):
    for resolution in ("full", "multi"):
        assert popularity_distance(model, train, resolution=resolution) < 0.03


def test_without_margins_popularity_is_further_off(model, train):
    none = Offsets.none(len(model.publishable), device=CPU)
    bare = replace(model, offsets=none)
    assert popularity_distance(bare, train, resolution="full") > 2 * popularity_distance(
        model, train, resolution="full"
    )


def test_refining_brings_popularity_nearer_than_a_fit_to_few_users(vae, validation, config):
    train = two_communities(3000, seed=0)

    def distance(refining_rounds):
        few = {"margin_users": 64, "margin_rounds": 8, "refining_rounds": refining_rounds}
        model = fit_drawn(vae, train, validation, config, leak=no_leak, **few).model
        return popularity_distance(model, train, resolution="full", n_users=40_000)

    assert distance(4) < 0.6 * distance(0)


@pytest.mark.parametrize(("margin_users", "cells", "n_users"), [(100, 2e9, 2400), (5000, 2e9, 5000), (100, 6e4, 1000)])
def test_each_round_of_refining_has_new_users_and_counts_less(monkeypatch, margin_users, cells, n_users):
    asked = []

    def the_same(self, start, stop, **_):
        asked.append((start, stop))
        return binary_matrix(np.zeros(stop - start, np.int32), np.ones(stop - start, np.int64), n_items=60)

    monkeypatch.setattr(SdrmModel, "sample", the_same)
    monkeypatch.setattr(offsets, "_REFINING_CELLS", cells)
    model = untrained_model(np.zeros((60, 2)), activity=[1] * 300)

    def after(rounds):
        config = SamplingConfig(margin_users=margin_users, refining_rounds=rounds)
        refined, _ = replace(offset_fit(np.ones(60)), config=config).refine(model, batch_users=64)
        return refined.offsets.items.numpy()

    one = after(1)
    asked.clear()
    assert np.abs(one).max() > 0
    assert after(3) == pytest.approx((1 + 1 / 2 + 1 / 3) * one, rel=1e-5)
    assert asked == [(0, n_users), (n_users, 2 * n_users), (2 * n_users, 3 * n_users)]


def test_without_margins_there_is_nothing_to_refine(model):
    unfitted = replace(offset_fit(model.activity), config=SamplingConfig(margin_rounds=0, refining_rounds=4))
    refined, reports = unfitted.refine(model, batch_users=64)
    assert torch.equal(refined.offsets.items, model.offsets.items)
    assert not reports


def test_what_everybody_has_nearly_everybody_gets(vae, train, validation, config):
    everybodys = train.tolil()
    everybodys[:, 30] = 1
    model, *_ = fit_drawn(vae, everybodys.tocsr(), validation, config, leak=no_leak, margin_rounds=8, margin_users=4096)
    drawn = model.sample(0, 2000, seed=1, resolution="full", batch_users=64)
    assert drawn[:, 30].mean() > 0.94  # the VAE does not know that they have it


def with_bundle(user_items, n_users):
    """The same users, the first of whom have both items of a pair that the two communities do not explain."""
    bundled = user_items.tolil()
    for user in range(n_users):
        bundled[user, list(BUNDLE)] = 1
    return bundled.tocsr()


def both(user_items):
    return (user_items[:, BUNDLE[0]].multiply(user_items[:, BUNDLE[1]])).nnz / user_items.shape[0]


@pytest.mark.parametrize(("temperature", "least", "most"), [(0.7, 0.8, 1.25), (1.3, 0.1, 0.7)])
def test_a_pair_of_a_small_group_is_as_frequent_as_in_training_and_less_so_at_high_temperatures(  # noqa: PLR0917
    vae, validation, config, temperature, least, most
):
    train = with_bundle(two_communities(300, seed=0), 30)
    sampling = config.sampling.model_copy(update={"temperature": temperature})
    settings = config.model_copy(update={"sampling": sampling})

    def share(pair_rounds):
        rounds = settings.model_copy(update={"sampling": sampling.model_copy(update={"pair_rounds": pair_rounds})})
        fitted = fit_sdrm(vae, train, validation, config=rounds, device=CPU, **UNJUDGED, on_epoch=lambda _: None)
        return both(fitted.model.sample(0, 4000, seed=1, resolution="full", batch_users=64)) / both(train)

    assert least < share(8) < most
    assert share(0) < share(8) / 1.5


def test_a_pair_too_few_people_have_is_not_learnt(vae, validation, config):
    few = config.privacy.k_anonymity - 1
    train = with_bundle(two_communities(300, seed=0), few)
    model = fit_sdrm(vae, train, validation, config=config, device=CPU, **UNJUDGED, on_epoch=lambda _: None).model
    place = [np.searchsorted(model.publishable, item) for item in BUNDLE]
    assert model.offsets.pairs[place[0], place[1]] == 0


def test_many_pairs_of_popular_items_do_not_make_popularity_swing(vae, validation, config):
    tasteless = copy.deepcopy(vae)
    torch.nn.init.zeros_(tasteless.output.weight)  # so that pairs alone have to make the communities
    train, privacy = two_communities(3000, seed=0), config.privacy.model_copy(update={"k_anonymity": 5})
    settings = config.model_copy(update={"privacy": privacy})
    model, reports, *_ = fit_sdrm(
        tasteless, train, validation, config=settings, device=CPU, **UNJUDGED, on_epoch=lambda _: None
    )
    assert model.offsets.n_pairs > 500
    of_pairs = [report for report in reports if report.stage == "pairs"]
    assert of_pairs[-1].loss < 0.03


def offset_fit(popularity):
    config = SamplingConfig(margin_rounds=4, margin_users=1024, pair_rounds=8)
    return OffsetFit(np.asarray(popularity), k_anonymity=5, config=config, seed=0, on_epoch=lambda _: None)


def fitted_to_a_pair(*, log_odds):
    """Return the offsets of pairs where two of 20 items, all alike to users of two, are to come at these odds."""
    pairs = Pairs(np.array([0]), np.array([1]), users=np.array([1000]), log_odds=np.array([log_odds]))
    offsets, _ = offset_fit(np.ones(20))(untrained_model(np.zeros((20, 2)), activity=[2]), pairs)
    return offsets.pairs


def test_items_that_always_come_together_get_no_offset_without_bounds():
    always = fitted_to_a_pair(log_odds=7.0)  # out of reach: the second of two items comes too late to bring its partner
    assert always.data.tolist() == [6.0, 6.0]


def test_items_that_come_together_too_often_are_not_kept_apart():
    assert fitted_to_a_pair(log_odds=-7.0).nnz == 0


@pytest.mark.parametrize(("rounds", "mean"), [(0, 0.0), (1, 1.0), (2, 1.5), (5, 4.0), (8, 6.0)])
def test_the_offsets_are_the_mean_of_those_after_the_later_rounds(rounds, mean):
    fits, reports = offset_fit(np.ones(1))._iterate(
        lambda _, earlier, __: (np.ones(1), 1 / (1 + len(earlier))), np.zeros(1), stage="margins", rounds=rounds
    )
    assert _later_mean(fits) == pytest.approx(mean)  # of 1, 2, 3, ... after the first, second, third, ... round
    assert [report.epoch for report in reports] == list(range(1, rounds + 1))


def test_a_step_that_ruins_popularity_is_halved_until_it_does_not():
    def step(offsets, earlier, n_halved):
        return np.full(1, 0.5**n_halved), 0.9 if offsets[0] > 0.3 else 0.1

    fits, reports = offset_fit(np.ones(1))._iterate(step, np.zeros(1), stage="pairs", rounds=3)
    assert [float(offsets[0]) for offsets in fits[:-1]] == [0.0, 0.25, 0.28125]
    assert [report.epoch for report in reports] == list(range(1, 9))
    assert reports[-1].of_epochs == 8
    assert {report.best for report in reports} == {0.1}


@pytest.mark.parametrize(("distance", "n_reports", "n_accepted"), [(0.24, 5, 5), (0.26, 9, 1)])
def test_a_step_that_stays_too_large_ends_the_fit(distance, n_reports, n_accepted):
    def step(_, earlier, __):
        return np.ones(1), distance if earlier else 0.1

    fits, reports = offset_fit(np.ones(1))._iterate(step, np.zeros(1), stage="pairs", rounds=5)
    assert len(reports) == n_reports
    assert len(fits) == n_accepted + 1
