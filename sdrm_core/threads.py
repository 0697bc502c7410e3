"""Limit the threads of numerical code where their number would change the result."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from sdrm_core.loops import usable_cores

_GRANTED = torch.get_num_threads()


def granted_threads() -> int:
    """Return how many threads this process may use at the same time.

    The answer of torch can be wrong: in a thread that was started while torch was limited to one thread, it stays 1.
    Also, torch does not know the CPU quota of a container.
    """
    return min(max(torch.get_num_threads(), _GRANTED), usable_cores())


@contextmanager
def one_thread() -> Iterator[None]:
    """Run each tensor operation of the block, or of the decorated function, on one thread.

    The order of a parallel sum depends on the number of threads, and so does its last bit; training soon magnifies such
    differences.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _BlasLimit:
    """Limits BLAS to one thread while at least one thread is in the block.

    The limit holds for the whole process, so the threads in the block are counted. A separate thread sets and removes
    the limit, because threadpoolctl accepts changes only from the thread that first set one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._setter = ThreadPoolExecutor(1, thread_name_prefix="blas-limit")
        self._n_holders = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if not self._n_holders:
                self._limits = self._setter.submit(threadpool_limits, 1, "blas").result()
            self._n_holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_holders -= 1
                if not self._n_holders:
                    self._setter.submit(self._limits.restore_original_limits).result()


one_blas_thread = _BlasLimit()
"""Run the linear algebra of the block on one thread.

With several threads, the last bits differ, and idle threads slow down the others.
"""
