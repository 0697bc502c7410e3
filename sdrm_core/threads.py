"""How many threads numerical code may use, where the answer would show in the result."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

_GRANTED = torch.get_num_threads()


def granted_threads() -> int:
    """Return how many threads this process may use at once.

    What torch says in a thread that began while another one held torch to one thread is 1, for good.
    """
    return max(torch.get_num_threads(), _GRANTED)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run each tensor operation of the block, or of the decorated function, on one thread.

    A sum spread over threads adds up in another order with each number of them and differs in the last bit,
    which training soon magnifies.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _BlasLimit:
    """Holds BLAS to one thread while anybody asks for it: the limit is the whole process's, its holders are threads.

    One thread of its own sets it for all: threadpoolctl lets the first thread that does be the only one who can.
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
"""Run the linear algebra of the block on one thread: on several the last bits differ, and waiting ones stall others."""
