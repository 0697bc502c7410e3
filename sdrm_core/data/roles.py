"""The role of each user (train, validation, holdout, evaluation): a keyed hash of the id, the same in every run."""

import hmac
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sdrm_core.errors import ConfigError
from sdrm_core.randomness import numpy_stream

_KEY_BYTES = 32


class Role(IntEnum):
    """What a user's data may be used for; the order is that of ``RolesConfig.shares``."""

    TRAIN = 0
    VALIDATION = 1
    HOLDOUT = 2
    EVALUATION = 3


def assign_roles(user_ids: pa.Array, *, key: bytes, shares: tuple[float, float, float, float]) -> np.ndarray:
    """Return each user's role from HMAC-SHA256(key, id), independent of the other users and of their order.

    An integer id counts as its decimal digits: a log whose ids turn from integers to text, because one id with
    a letter came in, keeps every other user's role.

    Args:
        user_ids: (n_users,) int64 or string, no nulls.
        key: the secret; whoever has it can tell who was held out.
        shares: expected share of each role, in the order of ``Role``, adding up to 1.

    Returns:
        (n_users,) int8 values of ``Role``.

    Raises:
        ConfigError: the key is empty.
    """
    if not key:
        raise ConfigError("the key of the role hash is empty: give a secret, or none to derive it from the seed")
    texts = pc.cast(user_ids, pa.string()).to_pylist()
    digests = b"".join(hmac.digest(key, text.encode(), "sha256")[:8] for text in texts)
    position = (np.frombuffer(digests, dtype=">u8") >> np.uint64(11)) * 2.0**-53  # uniform on [0, 1)
    return role_at(position, shares)


def role_at(position: np.ndarray, shares: tuple[float, float, float, float]) -> np.ndarray:
    """Return the role of each position in [0, 1), which the shares cut in the order of ``Role``; int8."""
    role = np.searchsorted(np.cumsum(shares)[:-1], position, side="right")
    last = int(np.flatnonzero(shares)[-1])  # sums of shares may round to less than 1: no role for a share of 0
    return np.minimum(role, last).astype(np.int8)


def derive_key(seed: int) -> bytes:
    """Return a key made from the run's seed: repeatable, for trying, not secret."""
    return numpy_stream(seed, "role-key").bytes(_KEY_BYTES)
