"""Limits on the threads of numerical code, where their number would change the result."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from sdrm_core.loops import usable_cores

_GRANTED = torch.get_num_threads()


def granted_threads() -> int:
    """Return how many threads this process may use at once.

    torch's own answer can be wrong: in a thread that was started while torch was limited to one thread, it stays 1, and
    of a container's share of the cores it knows nothing.
    """
    return min(max(torch.get_num_threads(), _GRANTED), usable_cores())


@contextmanager
def one_thread() -> Iterator[None]:
    """Run each tensor operation of the block, or of the decorated function, on one thread.

    The order of a parallel sum depends on the number of threads, so its last bit does too, and training soon
    magnifies that.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _BlasLimit:
    """Limits BLAS to one thread while any thread holds the limit; it is process-wide, so holders are counted.

    A dedicated thread sets and lifts it: threadpoolctl only obeys the thread that set a limit first.
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
"""Run the block's linear algebra on one thread: with several, last bits differ and idle threads slow others down."""
