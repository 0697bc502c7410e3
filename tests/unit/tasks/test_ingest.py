"""Which nights are one run, and share its working directory; its digest is published."""

import hashlib
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sdrm_core.config import ComputeConfig, PipelineConfig
from sdrm_core.errors import DataError, SdrmError
from sdrm_core.storage import checked, digest_of
from tasks.claims import exclusive_lock
from tasks.ingest import open_run, store_log
from tests.conftest import small_night


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Return what opens a run by its ``compute.device``, on a machine with a GPU or without."""

    def opened(device, *, has_gpu=True):
        monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
        config = small_night(tmp_path).model_copy(update={"compute": ComputeConfig(device=device)})
        return open_run(config, source_sha256="0" * 64, secret=None)

    return opened


def test_a_night_on_a_gpu_is_another_run_than_one_on_the_cpu(opened):
    on_gpu, on_cpu = opened("cuda"), opened("cpu")
    assert on_gpu.digest != on_cpu.digest
    assert on_gpu.directory != on_cpu.directory


def test_what_counts_is_where_it_runs_and_not_how_that_was_said(opened):
    assert opened("auto").digest == opened("cuda").digest
    assert opened("auto", has_gpu=False).digest == opened("cpu").digest == opened("cpu", has_gpu=False).digest


def test_the_digest_of_a_run_with_secret_roles_confirms_no_guess_at_its_log(tmp_path):
    config = PipelineConfig.model_validate({"paths": {"work": tmp_path / "work", "releases": tmp_path / "releases"}})
    secrets = (None, b"0123456789abcdef", b"0123456789abcdeg")
    runs = [open_run(config, source_sha256="a" * 64, secret=secret) for secret in secrets]
    assert runs[0].digest == hashlib.sha256(f"{digest_of(config.result_settings())} {'a' * 64}".encode()).hexdigest()
    assert len({run.digest for run in runs}) == len({run.directory for run in runs}) == 3
    assert open_run(config, source_sha256="a" * 64, secret=secrets[1]) == runs[1]


def test_what_a_killed_process_left_of_the_log_is_removed(opened):
    run, table = opened("cpu"), pa.table({"user_id": [1, 2], "item_id": [1, 2]})
    left = run.directory / "ingest" / f".interactions.parquet.{'0' * 32}.tmp"
    left.parent.mkdir()
    left.write_bytes(b"real ids")
    with exclusive_lock(run.directory), pytest.raises(SdrmError, match="another process is at work"):
        store_log(table, run)
    assert left.exists()
    artifact = store_log(table, run)
    assert [path.name for path in left.parent.iterdir()] == ["interactions.parquet"]
    assert pq.read_table(checked(artifact)).equals(table)


def test_a_file_in_place_of_the_working_directory_is_told(opened, tmp_path):
    taken = opened("cpu", has_gpu=False).directory
    shutil.rmtree(taken)
    taken.touch()
    with pytest.raises(DataError, match=rf"{taken.name} .*cannot be written"):
        opened("cpu", has_gpu=False)
