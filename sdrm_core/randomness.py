"""All random numbers come from the single seed of the run, through named, independent streams."""

import hashlib

import numpy as np
import torch

_MASK_63 = (1 << 63) - 1


def stream_seed(seed: int, *path: str | int) -> int:
    """Return the 63-bit seed of the stream named ``path``, for the run's ``seed``.

    A stream depends only on ``seed`` and its name. So a new stream changes no other one, and results can be independent
    of the numbers of batches, shards and workers.
    """
    text = "/".join([str(seed), *(str(part) for part in path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & _MASK_63


def numpy_stream(seed: int, *path: str | int) -> np.random.Generator:
    """Return a NumPy generator (Philox, counter-based) for the named stream."""
    return np.random.Generator(np.random.Philox(stream_seed(seed, *path)))


def torch_stream(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator on ``device`` for the named stream.

    On a CPU torch uses only 32 bits of the seed: of 100,000 streams with different names, two may be the same stream.
    """
    return torch.Generator(device=device).manual_seed(stream_seed(seed, *path))
