"""Which nights are one run, and share its working directory."""

import pytest

from sdrm_core.config import ComputeConfig
from tasks.ingest import open_run
from tests.conftest import small_night


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Return what opens a run by its ``compute.device``, on a machine with a GPU or without."""

    def opened(device, *, has_gpu=True):
        monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
        config = small_night(tmp_path).model_copy(update={"compute": ComputeConfig(device=device)})
        return open_run(config, source_sha256="0" * 64)

    return opened


def test_a_night_on_a_gpu_is_another_run_than_one_on_the_cpu(opened):
    on_gpu, on_cpu = opened("cuda"), opened("cpu")
    assert on_gpu.digest != on_cpu.digest
    assert on_gpu.directory != on_cpu.directory


def test_what_counts_is_where_it_runs_and_not_how_that_was_said(opened):
    assert opened("auto").digest == opened("cuda").digest
    assert opened("auto", has_gpu=False).digest == opened("cpu").digest == opened("cpu", has_gpu=False).digest
