"""A small log with two communities of taste, a model fitted to it once, and one that is not trained."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from sdrm_core.config import DiffusionConfig, PipelineConfig, VaeConfig
from sdrm_core.config.file import load_config
from sdrm_core.model.denoiser import Denoiser
from sdrm_core.model.draw import Offsets
from sdrm_core.model.fitting import fit_sdrm
from sdrm_core.model.pretraining import train_vae
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.model.vae import MultiVAE
from sdrm_core.records import Leak

CPU = torch.device("cpu")
N_ITEMS = 60
SETTINGS = (
    "seed=3",
    "vae.hidden_units=24",
    "vae.latent_dim=6",
    "vae.max_epochs=25",
    "vae.anneal_epochs=5",
    "vae.batch_users=64",
    "vae.learning_rate=0.01",
    "diffusion.hidden_units=24",
    "diffusion.depth=1",
    "diffusion.batch_users=64",
    "diffusion.max_epochs=10",
    "diffusion.learning_rate=0.01",
    "diffusion.ema_decay=0.98",
    "privacy.k_anonymity=20",
    "diffusion.epoch_steps=20",
    "diffusion.reverse_steps=8",
    "sampling.margin_users=4096",
    "sampling.margin_rounds=20",
    "sampling.temperature=0.7",
    "sampling.temperature_by_activity=true",
)


def taught(model: SdrmModel) -> SdrmModel:
    """Return the model with a denoiser that knows something: one that learned nothing leads nowhere, in any steps."""
    denoiser = deepcopy(model.denoiser)
    torch.nn.init.normal_(denoiser.exit.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    return replace(model, denoiser=denoiser)


def untrained_model(item_vectors, *, activity, usual_count=None) -> SdrmModel:
    """Return a model whose users have standard normal tastes for items of these vectors (n_items, 2)."""
    start, (n_items, _) = torch.Generator().manual_seed(0), np.shape(item_vectors)
    vae = MultiVAE.untrained(n_items, config=VaeConfig(hidden_units=2, latent_dim=2), generator=start)
    vae.requires_grad_(False)
    vae.output.weight.copy_(torch.from_numpy(item_vectors))
    return SdrmModel(
        vae=vae,
        denoiser=Denoiser.untrained(2, config=DiffusionConfig(hidden_units=2, reverse_steps=2), generator=start),
        activity=np.asarray(activity),
        publishable=np.arange(n_items),
        offsets=Offsets.none(n_items, device=CPU),
        temperature=1.0,
        usual_count=usual_count,
    )


def no_leak(*_, **__):
    return lambda _: Leak(share=0.0, bound=0.0, rises_with_activity=False)


def as_useful(*_, **__):
    return lambda _: 0.0


UNJUDGED = {"leak": no_leak, "usefulness": as_useful}


def fit_drawn(vae, train, validation, config, *, leak, usefulness=as_useful, on_epoch=lambda _: None, **sampling):
    """Fit a model whose draw is as ``sampling`` says; whatever else it learns, it learns in haste."""
    hasty = {"margin_rounds": 2, "margin_users": 256, "refining_rounds": 1}
    changed = {
        "vae": config.vae.model_copy(update={"max_epochs": 5}),
        "diffusion": config.diffusion.model_copy(update={"max_epochs": 2}),
        "sampling": config.sampling.model_copy(update=hasty | sampling),
    }
    config = config.model_copy(update=changed)
    measures = {"leak": leak, "usefulness": usefulness}
    return fit_sdrm(vae, train, validation, config=config, device=CPU, **measures, on_epoch=on_epoch)


def two_communities(n_users: int, *, seed: int) -> csr_matrix:
    """Users of the first community like even items, the others odd ones; item j's popularity falls with j."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 16, n_users)
    rows = []
    for user, count in enumerate(counts):
        weights = np.where(np.arange(N_ITEMS) % 2 == user % 2, 1.0, 0.05) / (2 + np.arange(N_ITEMS))
        rows.append(rng.choice(N_ITEMS, count, replace=False, p=weights / weights.sum()))
    indptr = np.concatenate([[0], np.cumsum(counts)])
    ones = np.ones(indptr[-1], dtype=np.float32)
    user_items = csr_matrix((ones, np.concatenate(rows), indptr), shape=(n_users, N_ITEMS))
    user_items.sort_indices()
    return user_items


@pytest.fixture(scope="session")
def train():
    return two_communities(300, seed=0)


@pytest.fixture(scope="session")
def validation():
    return two_communities(60, seed=1)


@pytest.fixture(scope="session")
def config() -> PipelineConfig:
    return load_config(None, SETTINGS)


@pytest.fixture(scope="session")
def vae(train, validation, config):
    return train_vae(train, validation, config=config.vae, seed=config.seed, device=CPU, on_epoch=lambda _: None)[0]


@pytest.fixture(scope="session")
def model(vae, train, validation, config) -> SdrmModel:
    return fit_sdrm(vae, train, validation, config=config, device=CPU, **UNJUDGED, on_epoch=lambda _: None).model
