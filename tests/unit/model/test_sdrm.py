import errno
import resource

import numpy as np
import pyarrow as pa
import pytest
import torch

from sdrm_core.config.file import load_config
from sdrm_core.errors import ArtifactError, TrainingError
from sdrm_core.model.draw import ItemDraw, Offsets
from sdrm_core.model.fitting import fit_sdrm
from sdrm_core.model.folder import load_item_ids, read_description, write_description
from sdrm_core.model.sdrm import SdrmModel
from sdrm_core.model.users import block_users
from sdrm_core.model.weights import load_vae, load_weights, save_vae, save_weights
from sdrm_core.records import Artifact
from sdrm_core.storage import sha256_of
from tests.unit.model.conftest import CPU, N_ITEMS, SETTINGS, UNJUDGED, taught

ITEM_IDS = pa.array([f"item-{number}" for number in range(N_ITEMS)])
ITEM_DIGEST = "0" * 64
FILES = ["items.parquet", "vae.safetensors", "diffusion.safetensors", "draw.safetensors", "model.json"]


def sample(model, start, stop, *, seed=5, resolution="full", batch_users=64):
    return model.sample(start, stop, seed=seed, resolution=resolution, batch_users=batch_users)


def same(left, right):
    return left.shape == right.shape and (left != right).nnz == 0


@pytest.fixture
def folder(model, tmp_path):
    model.save(tmp_path / "model", item_ids=ITEM_IDS)
    return tmp_path / "model"


@pytest.mark.parametrize("resolution", ["full", "multi"])
def test_users_do_not_depend_on_the_range_or_batch_they_are_asked_in(model, resolution):
    n_users = model.source.users_per_block + 500
    whole = sample(model, 0, n_users, resolution=resolution)
    assert same(whole[:700], sample(model, 0, 700, resolution=resolution, batch_users=1))
    across_blocks = sample(model, 900, 1100, resolution=resolution, batch_users=5000)
    assert same(whole[900:1100], across_blocks)


def test_users_do_not_depend_on_the_number_of_threads(model):
    whole = sample(model, 0, 3000)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert same(whole, sample(model, 0, 3000))
    finally:
        torch.set_num_threads(threads)


def test_seeds_and_resolutions_give_other_users(model):
    users = sample(model, 0, 200)
    assert not same(users, sample(model, 0, 200, seed=6))
    learned = taught(model)
    assert not same(sample(learned, 0, 200), sample(learned, 0, 200, resolution="multi"))


@pytest.mark.parametrize("resolution", ["full", "multi"])
def test_users_are_canonical_never_empty_and_hold_publishable_items_alone(model, train, config, resolution):
    users = sample(model, 0, 2000, resolution=resolution)
    assert users.has_canonical_format
    assert users.dtype == np.float32
    assert (users.data == 1).all()
    assert np.diff(users.indptr).min() >= 1
    popularity = np.bincount(train.indices, minlength=N_ITEMS)
    assert popularity[users.indices].min() >= config.privacy.k_anonymity
    assert popularity.min() < config.privacy.k_anonymity, "the data must hold an item that may not be published"


def test_activity_and_density_are_those_of_the_training_users(model, train):
    counts = np.diff(sample(model, 0, 300).indptr)
    assert counts.mean() == pytest.approx(np.diff(train.indptr).mean(), rel=0.02)
    assert np.abs(np.sort(counts) - np.sort(np.diff(train.indptr))).max() <= 1


def loyalty(user_items):
    """Mean share of a user's items that are of the community most of them are of."""
    users = np.repeat(np.arange(user_items.shape[0]), np.diff(user_items.indptr))
    odd = np.bincount(users, weights=user_items.indices % 2) / np.diff(user_items.indptr)
    return np.maximum(odd, 1 - odd).mean()


def test_users_have_the_tastes_of_the_source(model, train):
    tasteless = train.copy()
    tasteless.indices = np.random.default_rng(0).permutation(train.indices)
    assert loyalty(sample(model, 0, 1000)) > (loyalty(train) + loyalty(tasteless)) / 2


def test_the_order_of_the_users_says_nothing_about_their_tastes(model):
    """Von Neumann's ratio is 2 if the users are shuffled."""
    for seed in range(30):
        (block,) = model.source.blocks(range(1), seed=seed, resolution="full")
        latents = block.latents.numpy()
        ratio = np.square(np.diff(latents, axis=0)).sum(axis=0) / (len(latents) * latents.var(axis=0))
        assert np.abs(ratio - 2).max() < 6 * 2 / np.sqrt(len(latents))


def test_the_more_items_a_user_has_the_less_they_tell_of_the_taste(model):
    (block,) = model.source.blocks(range(1), seed=0, resolution="full")
    features = model.vae.decoder_features(block.latents)
    tastes = (features @ model.vae.output.weight[model.publishable].T).numpy()
    alike = ItemDraw(model.vae, model.publishable, temperature=model.temperature)

    def typical(draw):
        users = draw(features, counts=block.counts, offsets=model.offsets, generator=torch.Generator().manual_seed(0))
        return (users[:, model.publishable].multiply(tastes)).sum(axis=1).A1 / block.counts

    gained = typical(model.draw) - typical(alike)
    usual = np.median(model.activity)
    assert gained[block.counts < usual].mean() > 0.05
    assert gained[block.counts > usual].mean() < -0.05


def test_an_empty_range_gives_no_users(model):
    assert sample(model, 7, 7).shape == (0, N_ITEMS)


def test_nobody_gets_more_items_than_may_be_published(vae, train, validation):
    strict = load_config(None, [*SETTINGS, "privacy.k_anonymity=60", "sampling.margin_rounds=2"])
    strict = strict.model_copy(update={"diffusion": strict.diffusion.model_copy(update={"max_epochs": 1})})
    model = fit_sdrm(vae, train, validation, config=strict, device=CPU, **UNJUDGED, on_epoch=lambda _: None).model
    n_publishable = len(model.publishable)
    assert n_publishable < np.diff(train.indptr).max()
    counts = np.diff(sample(model, 0, 500).indptr)
    most = min(n_publishable, np.sort(np.diff(train.indptr))[-60])
    assert (counts.min() >= 1, counts.max()) == (True, most)


def test_blocks_shrink_as_the_catalogue_grows():
    assert block_users(100) == block_users(4096) == 1024
    assert block_users(100_000) * 100_000 * 4 <= 16 * 2**20
    assert block_users(10**9) == 1


def test_fitting_reports_every_stage_and_repeats_to_the_byte(  # noqa: PLR0917 - fixtures
    vae, model, train, validation, config, tmp_path
):
    reports = []
    again, returned, is_found, *_ = fit_sdrm(
        vae, train, validation, config=config, device=CPU, **UNJUDGED, on_epoch=reports.append
    )
    assert not is_found  # it is given
    assert [report for report in reports if report in returned] == list(returned)  # without those of finding pairs
    assert list(dict.fromkeys(report.stage for report in reports)) == ["diffusion", "margins", "refining"]
    first = model.save(tmp_path / "first", item_ids=ITEM_IDS)
    second = again.save(tmp_path / "second", item_ids=ITEM_IDS)
    assert [file.sha256 for file in first] == [file.sha256 for file in second]


def test_a_diverging_diffusion_stops_at_once(vae, train, validation, config):
    diverging = config.model_copy(
        update={"diffusion": config.diffusion.model_copy(update={"learning_rate": 1e30, "max_epochs": 50})}
    )
    with pytest.raises(TrainingError, match=r"diffusion: the training loss is (nan|inf) in epoch 1;"):
        fit_sdrm(vae, train, validation, config=diverging, device=CPU, **UNJUDGED, on_epoch=lambda _: None)


def test_a_loaded_model_makes_the_same_users(model, folder):
    loaded = SdrmModel.load(folder, device=CPU)
    for resolution in ("full", "multi"):
        assert same(sample(model, 0, 1500, resolution=resolution), sample(loaded, 0, 1500, resolution=resolution))


def test_saved_files_are_recorded_with_their_digests(model, tmp_path):
    written = model.save(tmp_path, item_ids=ITEM_IDS)
    assert [file.path.name for file in written] == FILES
    assert all(sha256_of(file.path) == file.sha256 for file in written)


@pytest.mark.parametrize("ids", [ITEM_IDS, pa.array(range(N_ITEMS), pa.int64())], ids=["text", "integer"])
def test_item_ids_keep_value_and_type(model, tmp_path, ids):
    model.save(tmp_path, item_ids=ids)
    assert load_item_ids(tmp_path).equals(ids)


def load_whole(folder):
    return SdrmModel.load(folder, device=CPU), load_item_ids(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.02, 0.5, 0.98])
def test_a_flipped_byte_is_refused(folder, name, place):
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError):
        load_whole(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(folder, name):
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        load_whole(folder)


def test_a_model_of_another_version_says_so(folder, monkeypatch):
    monkeypatch.setattr(Offsets, "TENSORS", (*Offsets.TENSORS, "triples"))
    with pytest.raises(ArtifactError, match=r"no tensor 'triples'.*Train the model again"):
        SdrmModel.load(folder, device=CPU)


def test_a_vae_of_another_version_says_so(vae, tmp_path):
    artifact = save_vae(vae, tmp_path / "vae.safetensors", item_digest=ITEM_DIGEST)
    tensors, about = load_weights(artifact.path)
    for config in ({**about["config"], "gone": 1}, {**about["config"], "beta": "much"}):
        save_weights(artifact.path, tensors, about={**about, "config": config})
        with pytest.raises(ArtifactError, match=r"settings this version does not know.*Train the model again"):
            load_vae(artifact.path, item_digest=ITEM_DIGEST)
    save_weights(artifact.path, tensors, about={"kind": "vae", "config": about["config"]})
    with pytest.raises(ArtifactError, match=r"no setting 'n_items'.*Train the model again"):
        load_vae(artifact.path, item_digest=ITEM_DIGEST)


def test_a_vae_is_the_same_after_writing_and_reading(vae, tmp_path):
    artifact = save_vae(vae, tmp_path / "vae.safetensors", item_digest=ITEM_DIGEST)
    loaded = load_vae(artifact.path, item_digest=ITEM_DIGEST)
    assert loaded.config == vae.config
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), vae.parameters(), strict=True))


def test_weights_that_the_disk_has_no_room_for_are_an_error_of_the_operating_system(vae, tmp_path):
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is what counts
            save_vae(vae, tmp_path / "vae.safetensors", item_digest=ITEM_DIGEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    assert caught.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_a_vae_of_another_catalogue_is_refused(vae, tmp_path):
    artifact = save_vae(vae, tmp_path / "vae.safetensors", item_digest=ITEM_DIGEST)
    with pytest.raises(ArtifactError, match=r"of another catalogue.*Train the model again"):
        load_vae(artifact.path, item_digest="1" * 64)


@pytest.mark.parametrize("name", ["vae.safetensors", "diffusion.safetensors", "draw.safetensors"])
def test_a_file_from_the_model_of_another_catalogue_is_refused(model, folder, tmp_path, name):
    other = tmp_path / "other"
    model.save(other, item_ids=ITEM_IDS[::-1])  # as many items
    (folder / name).write_bytes((other / name).read_bytes())
    about = {key: value for key, value in read_description(folder).items() if key != "files"}
    write_description(
        folder, [Artifact(path=folder / file, sha256=sha256_of(folder / file)) for file in FILES[:-1]], about=about
    )
    with pytest.raises(ArtifactError, match=rf"{name} .*of another catalogue"):
        SdrmModel.load(folder, device=CPU)


def test_what_is_no_vae_is_refused(model, folder, tmp_path):
    with pytest.raises(ArtifactError, match="not a VAE"):
        load_vae(folder / "diffusion.safetensors", item_digest=ITEM_DIGEST)
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(ArtifactError, match="does not hold weights"):
        load_vae(tmp_path / "text", item_digest=ITEM_DIGEST)
    with pytest.raises(ArtifactError, match="is missing"):
        load_vae(tmp_path / "absent", item_digest=ITEM_DIGEST)


def test_shards_end_where_blocks_end_unless_those_are_larger(model):
    block = model.source.users_per_block
    for about in (block - 1, block, 2 * block + 7):
        shards = model.shards(5 * block + 3, about=about)
        assert [start for start, _ in shards[1:]] == [stop for _, stop in shards[:-1]]
        assert (shards[0][0], shards[-1][1]) == (0, 5 * block + 3)
        assert all(stop - start <= about for start, stop in shards)
        assert about < block or all(start % block == 0 for start, _ in shards)


def test_a_model_of_an_arm_is_named(tmp_path):
    write_description(tmp_path, [], about={"arm": "popularity"})
    with pytest.raises(ArtifactError, match="'popularity'; 'sdrm' was expected"):
        SdrmModel.load(tmp_path, device=CPU)
