"""How many threads a tensor operation may use, where the answer would show in the result."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
