"""Compiled loops, and blocks of rows on all cores; both release the interpreter lock."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba


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
        workers: threads; None: one a core.
    """
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        starts = range(0, n_rows, block_rows)
        for _ in pool.map(lambda start: work(start, min(start + block_rows, n_rows), *arguments), starts):
            pass  # waits, and raises what a block raised
