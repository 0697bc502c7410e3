"""Where tensors live and how many threads may touch them: the one place that looks at the machine."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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


def ordered_map(function: Callable[[int], Result], numbers: Sequence[int], *, device: torch.device) -> list[Result]:
    """Return the function's result for each number, in order; on the CPU one number a thread at a time.

    A sum spread over threads adds in another order with each number of threads and differs in the last bit.
    So the threads share the blocks among them and each tensor operation stays on one.
    """
    if device.type != "cpu":
        return [function(number) for number in numbers]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(min(threads, _MAX_THREADS), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, numbers))
    finally:
        torch.set_num_threads(threads)
