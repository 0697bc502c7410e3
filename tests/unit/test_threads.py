import threading

import pytest
import torch
from threadpoolctl import threadpool_info

from sdrm_core import loops
from sdrm_core.model.devices import Workers
from sdrm_core.threads import granted_threads, one_blas_thread


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_is_held_to_one_thread_whichever_thread_asks():
    found = []

    def ask():
        with one_blas_thread():
            found.append(blas_threads())

    ask()
    for _ in range(2):
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join()
    assert found == [{1}] * 3


def test_blas_stays_on_one_thread_until_the_last_who_asked_leaves():
    before, entered, leave = blas_threads(), threading.Event(), threading.Event()

    def hold():
        with one_blas_thread():
            entered.set()
            leave.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(10)
    with one_blas_thread():
        leave.set()
        holder.join()
        assert blas_threads() == {1}
    assert blas_threads() == before


@pytest.mark.parametrize(("quota", "cores"), [("50000 100000\n", 1), ("max 100000\n", 8), (None, 8)])
def test_no_more_cores_are_used_than_the_container_has(tmp_path, monkeypatch, quota, cores):
    monkeypatch.setattr(loops, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(loops.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    if quota:
        (tmp_path / "cpu.max").write_text(quota)
    assert loops.usable_cores() == cores
    assert granted_threads() <= cores


def test_a_thread_that_begins_while_another_is_held_to_one_has_all_threads_later():
    granted, found = granted_threads(), []
    with Workers(torch.device("cpu")):
        beginner = threading.Thread(target=lambda: found.append((torch.get_num_threads(), granted_threads())))
        beginner.start()
        beginner.join()
    assert found == [(1, granted)]
