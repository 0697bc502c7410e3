from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from sdrm_core.arms import ctgan, published
from sdrm_core.arms.blocks import highest, users_of_mask
from sdrm_core.arms.item_vectors import Descent
from sdrm_core.arms.published import _highest_cells
from sdrm_core.arms.registry import ARMS
from sdrm_core.config import ArmName, FilterConfig, SourceConfig
from sdrm_core.config.file import load_config
from sdrm_core.data.interactions import index_interactions
from sdrm_core.data.kcore import k_core
from sdrm_core.data.matrix import to_user_items
from sdrm_core.data.simulate import simulate_interactions
from sdrm_core.errors import ArtifactError, DataError
from sdrm_core.storage import sha256_of
from tests.unit.model.conftest import taught

CPU = torch.device("cpu")
NAMES = list(ArmName.__args__)
SETTINGS = (
    "seed=3",
    "vae.hidden_units=32",
    "vae.latent_dim=8",
    "vae.max_epochs=10",
    "diffusion.hidden_units=32",
    "diffusion.depth=1",
    "diffusion.max_epochs=2",
    "diffusion.epoch_steps=20",
    "diffusion.reverse_steps=4",
    "sampling.margin_rounds=4",
    "sampling.margin_users=256",
)


@pytest.fixture(scope="session")
def roles():
    log = k_core(
        index_interactions(simulate_interactions(seed=0, n_users=260, n_items=90), source=SourceConfig()),
        FilterConfig(),
    )
    users = to_user_items(log)
    return users[:200], users[200:]


def quick(name):
    """Return the arm, trained for a few epochs where it has a network of its own."""
    arm = ARMS[name]
    if isinstance(getattr(arm, "learn", None), Descent):
        return replace(arm, learn=arm.learn._replace(max_epochs=8))
    return arm


@pytest.fixture(scope="session", autouse=True)
def _short_epochs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctgan, "_EPOCH_STEPS", 4)
        patch.setattr(published, "_VAE_MAX_EPOCHS", 10)
        patch.setattr(published, "_ELSEWHERE", published._ELSEWHERE._replace(epochs=40))
        yield


def fit(name, roles):
    reports = []
    fitted = quick(name).fit(*roles, config=load_config(None, SETTINGS), device=CPU, on_epoch=reports.append)
    return fitted, reports


@pytest.fixture(scope="session")
def fitted(roles):
    """Each arm, fitted once, when first asked for."""
    known = {}

    def get(name):
        if name not in known:
            known[name] = fit(name, roles)
        return known[name]

    return get


def same(left, right):
    return all(
        getattr(left, part).tobytes() == getattr(right, part).tobytes() for part in ("data", "indices", "indptr")
    )


def test_every_name_has_its_arm():
    assert set(ARMS) == set(NAMES)
    assert all(arm.name == name for name, arm in ARMS.items())


@pytest.mark.parametrize("name", NAMES)
def test_users_are_binary_and_canonical_and_of_about_the_real_density(name, fitted, roles):
    users = fitted(name)[0].sample(150, seed=1)
    assert users.shape == (150, roles[0].shape[1])
    assert users.dtype == np.float32
    assert (users.data == 1).all()
    again = users.copy()
    again.has_canonical_format = again.has_sorted_indices = False  # look again, whatever the flags say
    again.sum_duplicates()
    assert np.array_equal(again.indices, users.indices)
    limits = (0, 10) if name in {"ctgan", "tvae"} else (0.8, 1.25)
    assert limits[0] <= (users.nnz / 150) / (roles[0].nnz / 200) < limits[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_its_users_again_and_another_seed_others(name, fitted):
    arm = fitted(name)[0]
    users = arm.sample(60, seed=1)
    assert same(users, arm.sample(60, seed=1))
    assert not same(users, arm.sample(60, seed=2))
    assert arm.sample(0, seed=1).shape == (0, users.shape[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_arm_makes_the_same_users(name, fitted, tmp_path):
    arm = fitted(name)[0]
    arm.save(tmp_path / "one")
    arm.save(tmp_path / "two")
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert "model.json" in files
    assert all(path.endswith((".safetensors", ".json", ".parquet")) for path in files)
    assert [sha256_of(tmp_path / "one" / file) for file in files] == [
        sha256_of(tmp_path / "two" / file) for file in files
    ]
    loaded = ARMS[name].load(tmp_path / "one", device=CPU)
    assert same(arm.sample(70, seed=4), loaded.sample(70, seed=4))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"sdrm_full", "sdrm_multi"}])
def test_fitting_again_gives_the_same_bytes(name, fitted, roles):
    torch.manual_seed(99)  # nothing may come from the global generator
    assert same(fitted(name)[0].sample(50, seed=1), fit(name, roles)[0].sample(50, seed=1))


@pytest.mark.parametrize("name", NAMES)
def test_no_users_to_learn_from_are_refused(name, roles):
    nobody = csr_matrix(roles[0].shape, dtype=np.float32)
    with pytest.raises(DataError, match="train users: 200 users hold no interaction at all"):
        ARMS[name].fit(nobody, roles[1], config=load_config(None, SETTINGS), device=CPU, on_epoch=print)


def test_a_user_without_items_and_another_catalogue_are_refused(roles):
    train = csr_matrix(np.vstack([roles[0].toarray(), np.zeros((1, roles[0].shape[1]), np.float32)]))
    with pytest.raises(DataError, match=r"train users: 1 of 201 .*row 200") as error:
        ARMS["tvae"].fit(train, roles[1][:, :-1], config=load_config(None), device=CPU, on_epoch=print)
    assert len(error.value.problems) == 2


def test_both_resolutions_share_one_fit(fitted, tmp_path):
    full, multi = ARMS["sdrm_full"], ARMS["sdrm_multi"]
    assert full.family == multi.family
    arm = fitted("sdrm_full")[0]
    arm = replace(arm, model=taught(arm.model))
    arm.save(tmp_path)
    assert same(full.load(tmp_path, device=CPU).sample(60, seed=1), arm.sample(60, seed=1))
    assert not same(multi.load(tmp_path, device=CPU).sample(60, seed=1), arm.sample(60, seed=1))


def test_an_arm_of_another_family_is_refused(fitted, tmp_path):
    fitted("tvae")[0].save(tmp_path)
    with pytest.raises(ArtifactError, match="'tvae'; the arm 'diffrec' was expected"):
        ARMS["diffrec"].load(tmp_path, device=CPU)


@pytest.mark.parametrize("name", ["vae_prior", "published", "diffrec", "codigem", "ctgan", "tvae"])
def test_every_epoch_is_reported(name, fitted):
    reports = fitted(name)[1]
    assert reports
    assert all(report.best <= report.validation or report.stage == "vae" for report in reports)


@pytest.mark.parametrize("name", ["diffrec", "codigem"])
def test_a_longer_sample_begins_with_a_shorter_one(name, fitted):
    arm = fitted(name)[0]
    assert same(arm.sample(1100, seed=1)[:40], arm.sample(40, seed=1))


def test_the_published_network_tells_nothing_of_the_noise(fitted, roles):
    network = fitted("published")[0].network
    generator = torch.Generator().manual_seed(0)
    latents, noise = (torch.randn(2000, network.settings.latent_dim, generator=generator) for _ in range(2))
    steps = torch.full((2000,), network.settings.steps)
    signal = network.signal[-1]
    output = network(signal.sqrt() * latents + (1 - signal) * noise, steps, generator=generator)
    correlation = np.corrcoef(output.flatten().numpy(), noise.flatten().numpy())[0, 1]
    assert abs(correlation) < 0.1


def test_the_highest_cells_are_those_of_a_quantile_over_everything():
    logits = np.random.default_rng(0).normal(size=(90, 40)).astype(np.float32)
    cells = _highest_cells(iter(np.array_split(logits, 7)), n_cells=300)
    threshold = np.sort(logits, axis=None)[-300]
    assert np.array_equal(cells, np.flatnonzero(logits.ravel() >= threshold))


def test_the_highest_items_are_as_many_as_asked_for():
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1], [1.0, 2.0, 3.0]])
    users = users_of_mask(highest(scores, counts=torch.tensor([2, 0, 1])))
    assert users.toarray().tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 1]]
