import numpy as np
import torch

from sdrm_core.model.draw import item_popularity


def popularity_distance(model, train, *, resolution):
    drawn = item_popularity(model.sample(0, 4000, seed=11, resolution=resolution, batch_users=1))[model.publishable]
    target = item_popularity(train)[model.publishable]
    return np.abs(drawn / drawn.sum() - target / target.sum()).sum() / 2


def test_margins_give_drawn_items_the_training_users_popularity(model, train):
    for resolution in ("full", "multi"):
        assert popularity_distance(model, train, resolution=resolution) < 0.03


def test_without_margins_popularity_is_further_off(model, train):
    unfitted = {resolution: torch.zeros_like(margins) for resolution, margins in model.margins.items()}
    bare = type(model)(
        vae=model.vae,
        denoiser=model.denoiser,
        activity=model.activity,
        publishable=model.publishable,
        margins=unfitted,
        temperature=model.temperature,
    )
    assert popularity_distance(bare, train, resolution="full") > 2 * popularity_distance(
        model, train, resolution="full"
    )
