"""Compiled loops, and blocks of rows on all cores; both release the interpreter lock."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container, microseconds of work and of time, e.g. 200000 100000


def usable_cores() -> int:
    """Return how many cores this process may use, by its affinity and by its container's share of the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # there is no such file, or no limit: max 100000
        work, time = _QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(work) / int(time)))
    return cores


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile without the interpreter lock; keep the machine code on disk where a directory is writable."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba finds no place for its cache: a read-only installation without a home
        return numba.njit(nogil=True)(function)


def in_blocks(
    work: Callable[..., None], n_rows: int, *arguments: Any, block_rows: int, workers: int | None = None
) -> None:
    """Call ``work(start, stop, *arguments)`` for blocks of the rows, several at a time; the first error is raised.

    The result depends on neither the block size nor the order, as long as each call writes only its own rows.

    Args:
        work: must release the interpreter lock; otherwise nothing runs in parallel.
        n_rows: of all blocks together.
        arguments: of every call.
        block_rows: rows of one block: few enough to balance the cores, enough to outweigh the cost of a call.
        workers: threads; None: one a core this process may use.
    """
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        starts = range(0, n_rows, block_rows)
        for _ in pool.map(lambda start: work(start, min(start + block_rows, n_rows), *arguments), starts):
            pass  # waits, and raises what a block raised
