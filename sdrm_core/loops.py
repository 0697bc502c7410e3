"""Compile loops with Numba, without Python's interpreter lock, and run blocks of rows on all cores."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # container limit: microseconds of CPU time per period, e.g. 200000 100000


def usable_cores() -> int:
    """Return how many cores this process may use: its CPU affinity, limited by the CPU quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no such file, or no limit ("max 100000")
        work, time = _QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(work) / int(time)))
    return cores


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that releases the interpreter lock; store the machine code on disk if possible.

    The function may call only compiled functions of its own file. The stored code is renewed when that file changes,
    but not when another one does, although it contains the code of all that it calls.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no directory for the cache: read-only installation, no home directory
        return numba.njit(nogil=True)(function)


def in_blocks(
    work: Callable[..., None], n_rows: int, *arguments: Any, block_rows: int, workers: int | None = None
) -> None:
    """Call ``work(start, stop, *arguments)`` for blocks of rows, several at the same time; the first error is raised.

    The result depends on neither the block size nor the order, as long as each call writes only its own rows.

    Args:
        work: must release the interpreter lock; otherwise nothing runs in parallel.
        n_rows: number of rows of all blocks together.
        arguments: further arguments of every call.
        block_rows: rows per block: few enough to keep all cores busy, enough to outweigh the cost of a call.
        workers: number of threads; None: one for each core that this process may use.
    """
    starts = range(0, n_rows, block_rows)
    pool = _threads(workers or usable_cores())
    for _ in pool.map(lambda start: work(start, min(start + block_rows, n_rows), *arguments), starts):
        pass  # waits, and raises what a block raised


@cache
def _threads(n_threads: int) -> ThreadPoolExecutor:
    """Return the same threads each time: to start them can take longer than what they are to do."""
    return ThreadPoolExecutor(n_threads, thread_name_prefix="compiled-loops")


os.register_at_fork(after_in_child=_threads.cache_clear)  # a forked process has none of the threads
