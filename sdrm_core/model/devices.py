"""Where tensors live and how many threads may touch them: the one place that looks at the machine."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch

from sdrm_core.errors import ConfigError

Result = TypeVar("Result")
_MAX_THREADS = 8  # each holds a block of its own: more would trade memory for little


def resolve_device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device that ``compute.device`` names; ``auto`` is the GPU where there is one.

    Raises:
        ConfigError: ``cuda`` was asked for and this machine has none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("compute.device: cuda was asked for, but no GPU is visible here. Use auto or cpu")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


@contextmanager
def single_threaded() -> Iterator[None]:
    """Run each tensor operation of the block, or of the decorated function, on one thread.

    A sum spread over threads adds up in another order with each number of them and differs in the last bit,
    which training soon magnifies: weights and users would depend on the machine's cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def ordered_map(function: Callable[[int], Result], numbers: Sequence[int], *, device: torch.device) -> list[Result]:
    """Return the function's result for each number, in order; on the CPU the threads share the numbers."""
    if device.type != "cpu":
        return [function(number) for number in numbers]
    n_threads = min(torch.get_num_threads(), _MAX_THREADS)
    with single_threaded(), ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(function, numbers))
