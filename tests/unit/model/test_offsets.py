import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from sdrm_core.data.matrix import item_popularity
from sdrm_core.model.draw import Offsets, target_popularity
from sdrm_core.model.fitting import fit_sdrm
from tests.unit.model.conftest import CPU, fit_drawn, no_leak, two_communities

K_ANONYMITY = 20  # of the configuration
BUNDLE = (41, 52)  # rare items of different communities


def popularity_distance(model, train, *, resolution):
    drawn = item_popularity(model.sample(0, 4000, seed=11, resolution=resolution, batch_users=1))[model.publishable]
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


def test_what_everybody_has_nearly_everybody_gets(vae, train, validation, config):
    everybodys = train.tolil()
    everybodys[:, 30] = 1
    model, *_ = fit_drawn(vae, everybodys.tocsr(), validation, config, leak=no_leak, margin_rounds=8)
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
        fitted = fit_sdrm(vae, train, validation, config=rounds, device=CPU, leak=no_leak, on_epoch=lambda _: None)
        return both(fitted.model.sample(0, 4000, seed=1, resolution="full", batch_users=64)) / both(train)

    assert least < share(8) < most
    assert share(0) < share(8) / 1.5


def test_a_pair_too_few_people_have_is_not_learnt(vae, validation, config):
    few = config.privacy.k_anonymity - 1
    train = with_bundle(two_communities(300, seed=0), few)
    model = fit_sdrm(vae, train, validation, config=config, device=CPU, leak=no_leak, on_epoch=lambda _: None).model
    place = [np.searchsorted(model.publishable, item) for item in BUNDLE]
    assert model.offsets.pairs[place[0], place[1]] == 0


def test_many_pairs_of_popular_items_do_not_make_popularity_swing(vae, validation, config):
    tasteless = copy.deepcopy(vae)
    torch.nn.init.zeros_(tasteless.output.weight)  # so that pairs alone have to make the communities
    train, privacy = two_communities(3000, seed=0), config.privacy.model_copy(update={"k_anonymity": 5})
    settings = config.model_copy(update={"privacy": privacy})
    model, reports, _ = fit_sdrm(
        tasteless, train, validation, config=settings, device=CPU, leak=no_leak, on_epoch=lambda _: None
    )
    assert model.offsets.n_pairs > 500
    assert reports[-1].stage == "pairs"
    assert reports[-1].loss < 0.03
