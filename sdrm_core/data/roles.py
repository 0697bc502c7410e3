"""The role of each user (train, validation, holdout, evaluation), from a keyed hash of the id.

With the same key a user has the same role in every run.
"""

import hmac
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sdrm_core.errors import ConfigError
from sdrm_core.randomness import numpy_stream

_KEY_BYTES = 32


class Role(IntEnum):
    """What the data of a user may be used for; in the same order as ``RolesConfig.shares``."""

    TRAIN = 0
    VALIDATION = 1
    HOLDOUT = 2
    EVALUATION = 3


def assign_roles(user_ids: pa.Array, *, key: bytes, shares: tuple[float, float, float, float]) -> np.ndarray:
    """Return each user's role, computed from HMAC-SHA256(key, id); other users and their order have no influence.

    An integer id is hashed as its decimal digits. If one new id with a letter turns all ids of the log from integers
    into text, every other user keeps the same role.

    Args:
        user_ids: (n_users,) int64 or string, no nulls.
        key: the secret; a person who has it can find out which users were held out.
        shares: expected share of each role, above 0, in the order of ``Role``; the sum is 1.

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
    return np.searchsorted(np.cumsum(shares)[:-1], position, side="right").astype(np.int8)


def derive_key(seed: int) -> bytes:
    """Return a key computed from the seed of the run. It is repeatable but not secret: use it only for trials."""
    return numpy_stream(seed, "role-key").bytes(_KEY_BYTES)
