"""That the comparisons go to the GPU, and what comes back, with the CPU's tensors in its place."""

from functools import partial

import numpy as np
import pytest
import torch

from sdrm_core.config import PrivacyConfig
from sdrm_core.privacy import tensors
from sdrm_core.privacy.judge import judge_privacy
from sdrm_core.privacy.leak import leak_against
from sdrm_core.privacy.similarity import nearest

GPU = torch.device("cuda")


@pytest.fixture
def calls(monkeypatch):
    """Let the CPU stand in for the GPU, and list the shapes it is given."""
    on_cpu, shapes = tensors.nearest_rows, []

    def stand_in(left, right, *, device, **settings):
        assert device == GPU
        shapes.append((left.shape[0], right.shape[0]))
        return on_cpu(left, right, device=torch.device("cpu"), **settings)

    monkeypatch.setattr(tensors, "nearest_rows", stand_in)
    return shapes


@pytest.fixture(scope="module")
def people(simulate):
    users = simulate(900, seed=31, n_items=100)
    return users[:500], users[500:650], users[650:]


def test_neighbours_are_those_of_the_cpu(people, calls):
    train, holdout, _ = people
    on_gpu, on_cpu = (nearest(holdout, train, k=5, device=device) for device in (GPU, torch.device("cpu")))
    assert calls == [(150, 500)]
    assert np.array_equal(on_gpu.index, on_cpu.index)
    assert np.array_equal(on_gpu.similarity, on_cpu.similarity)
    assert on_gpu.mean == pytest.approx(on_cpu.mean)
    assert on_gpu.density == pytest.approx(on_cpu.density)


def test_sets_so_sparse_that_most_pairs_share_nothing_stay_on_the_cpu(people, calls):
    train, holdout, _ = people
    nearest(holdout[:, :5], train[:, :5], device=GPU)
    assert not calls


def test_every_comparison_of_a_verdict_is_made_there_and_the_verdict_is_the_same(people, calls):
    train, holdout, fresh = people
    judge = partial(
        judge_privacy,
        fresh,
        train,
        holdout,
        user_ids=np.arange(fresh.shape[0]),
        previous_ids=None,
        config=PrivacyConfig(k_anonymity=2),
        seed=0,
    )
    on_gpu, on_cpu = judge(device=GPU), judge()
    assert len(calls) == 11  # eight of the gates, three of the histograms
    assert on_gpu.public() == on_cpu.public()


def test_what_leaks_is_looked_for_there(people, calls):
    train, holdout, fresh = people
    settings = {"n_train": train.shape[0], "config": PrivacyConfig(), "seed": 0}
    on_gpu, on_cpu = (leak_against([(train, holdout)], **settings, **where)([fresh]) for where in ({"device": GPU}, {}))
    assert len(calls) == 7
    assert on_gpu.share == pytest.approx(on_cpu.share)
