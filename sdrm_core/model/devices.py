"""The device of tensors, and the threads that compute on the CPU."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Literal, Self, TypeVar

import torch

from sdrm_core.errors import ConfigError
from sdrm_core.threads import granted_threads, one_thread

Result = TypeVar("Result")
_MAX_THREADS = 8  # each thread holds its own block: more threads need more memory and gain little


def resolve_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device for the setting ``compute.device``; ``auto`` is the GPU if there is one.

    Raises:
        ConfigError: ``cuda`` is set and this machine has no GPU.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("compute.device: cuda was asked for, but no GPU is visible here. Use auto or cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


class Workers(ExitStack):
    """Threads that share a list of pieces of work, while each tensor operation uses a single thread.

    The order of a parallel sum depends on the number of threads, and training soon amplifies a difference in the last
    bit: weights and users would depend on the machine's number of cores. A fixed division into pieces, each computed by
    one thread, gives the same bytes on any number of cores.

    Inside ``with``, torch uses one thread per tensor operation; on a GPU one thread computes all pieces.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        n_threads = min(granted_threads(), _MAX_THREADS) if device.type == "cpu" else 1
        self._pool = ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,))

    def __enter__(self) -> Self:
        self.enter_context(one_thread())
        self.callback(self._pool.shutdown, cancel_futures=True)
        return self

    def map(self, function: Callable[[int], Result], numbers: Sequence[int]) -> list[Result]:
        """Return the function's result for each number, in order."""
        return list(self._pool.map(function, numbers))
