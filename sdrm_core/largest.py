"""The largest values of an array, for compiled loops."""

import numpy as np

from sdrm_core.loops import compiled


@compiled
def largest(values: np.ndarray, n: int) -> np.ndarray:
    """Return the ``n`` largest values (or all) as a heap, the smallest of them first; fast if ``n`` is small."""
    n = min(n, len(values))
    heap = values[:n].copy()
    for place in range(n // 2 - 1, -1, -1):
        _sift_down(heap, place)
    for value in values[n:]:
        if value > heap[0]:
            heap[0] = value
            _sift_down(heap, 0)
    return heap


@compiled
def _sift_down(heap: np.ndarray, place: int) -> None:
    value, child = heap[place], 2 * place + 1
    while child < len(heap):
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= value:
            break
        heap[place] = heap[child]
        place, child = child, 2 * child + 1
    heap[place] = value
