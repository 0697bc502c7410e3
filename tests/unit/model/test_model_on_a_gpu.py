"""Training, fitting and drawing where there really is a GPU."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_matrix, random_array

from sdrm_core.data.matrix import item_popularity
from sdrm_core.model.fitting import fit_sdrm
from sdrm_core.model.pretraining import train_vae
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.model.selection import best_items
from sdrm_core.model.temperature import LADDER, LAST_RESORT
from sdrm_core.privacy.leak import leak_against
from sdrm_core.privacy.similarity import nearest
from sdrm_core.quality.usefulness import usefulness_for
from tests.unit.model.conftest import CPU, N_ITEMS, UNJUDGED, two_communities

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
GPU = torch.device("cuda")
N_USERS = 4000


@pytest.fixture(scope="module")
def people():
    return two_communities(N_USERS, seed=1), two_communities(600, seed=2)


@pytest.fixture(scope="module")
def on_gpu(people, config):
    where = {"device": GPU, "on_epoch": lambda _: None}
    vae, _ = train_vae(*people, config=config.vae, seed=config.seed, **where)
    return fit_sdrm(vae, *people, config=config, **UNJUDGED, **where).model


def drawn(model, start=0, stop=N_USERS, *, resolution="full", batch_users=4096):
    return model.sample(start, stop, seed=5, resolution=resolution, batch_users=batch_users)


def share_alike(left, right):
    """Share of the interactions that both have."""
    return left.multiply(right).nnz / max(left.nnz, right.nnz)


def test_drawn_users_like_what_training_users_like(on_gpu, people):
    popularity, wanted = item_popularity(drawn(on_gpu)), item_popularity(people[0])
    likely = on_gpu.publishable
    assert np.corrcoef(popularity[likely], wanted[likely])[0, 1] > 0.99
    assert set(drawn(on_gpu).indices) <= set(likely)


@pytest.mark.parametrize("resolution", ["full", "multi"])
def test_users_hardly_depend_on_the_batch(on_gpu, resolution):
    whole = drawn(on_gpu, resolution=resolution)
    one_by_one = drawn(on_gpu, 1500, 2500, resolution=resolution, batch_users=1)
    assert share_alike(whole[1500:2500], one_by_one) > 0.99


def test_the_same_users_again(on_gpu):
    assert (drawn(on_gpu) != drawn(on_gpu)).nnz == 0


def test_a_model_from_the_gpu_draws_on_the_cpu_and_back(on_gpu, tmp_path):
    on_gpu.save(tmp_path / "model", item_ids=pa.array([f"item-{number}" for number in range(N_ITEMS)]))
    there, here = (SdrmModel.load(tmp_path / "model", device=device) for device in (GPU, CPU))
    assert there.vae.device.type == "cuda"
    assert share_alike(drawn(on_gpu), drawn(there)) > 0.99
    popularity = [item_popularity(drawn(model))[model.publishable] for model in (there, here)]
    assert np.corrcoef(popularity)[0, 1] > 0.99


def test_the_temperature_is_found_there(on_gpu, people, config):
    sampling = config.sampling.model_copy(update={"temperature": None})
    open_config = config.model_copy(update={"sampling": sampling})
    fit = partial(fit_sdrm, device=GPU, leak=leak_against, usefulness=usefulness_for, on_epoch=lambda _: None)
    model = fit(on_gpu.vae, *people, config=open_config).model
    assert model.temperature in (*LADDER, *LAST_RESORT)


def test_the_items_taken_are_those_of_the_loops():
    draw = np.random.default_rng(0)
    scores, counts = torch.from_numpy(draw.gumbel(size=(300, 400)).astype(np.float32)), draw.integers(0, 90, size=300)
    half = random_array((400, 400), density=0.01, rng=draw, dtype=np.float32)
    pairs = csr_matrix(half + half.T)
    there, here = (best_items(scores.to(device, copy=True), counts, pairs=pairs) for device in (GPU, CPU))
    assert there.has_canonical_format
    assert (there != here).nnz == 0


def test_neighbours_are_those_of_the_cpu_to_the_last_bit(people):
    there, here = (nearest(people[1], people[0], k=5, device=device) for device in (GPU, CPU))
    assert np.array_equal(there.index, here.index)
    assert np.array_equal(there.similarity, here.similarity)
