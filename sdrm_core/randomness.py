"""All randomness comes from the run's one seed, through named streams that never overlap."""

import hashlib

import numpy as np
import torch

_MASK_63 = (1 << 63) - 1


def stream_seed(seed: int, *path: str | int) -> int:
    """Return the 63-bit seed of the stream that ``path`` names under the run's ``seed``.

    Adding a stream never shifts another, and a stream of a shard depends on the shard's number alone:
    that is what makes results independent of batch, shard and worker counts.
    """
    text = "/".join([str(seed), *(str(part) for part in path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & _MASK_63


def numpy_stream(seed: int, *path: str | int) -> np.random.Generator:
    """Return NumPy's counter-based Philox generator for the named stream."""
    return np.random.Generator(np.random.Philox(stream_seed(seed, *path)))


def torch_stream(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator on ``device`` for the named stream."""
    return torch.Generator(device=device).manual_seed(stream_seed(seed, *path))
