"""The secret that decides which user has which role."""

import os

from prefect.blocks.system import Secret

from sdrm_core.config import RolesConfig
from sdrm_core.errors import ConfigError

KEY_VARIABLE = "SDRM_ROLE_KEY"


def role_secret(config: RolesConfig) -> bytes | None:
    """Return the secret key of the role hash, from the named Secret block or the environment; None: there is none.

    Raises:
        ConfigError: there is no block of that name.
    """
    if config.key_block:
        try:
            return str(Secret.load(config.key_block).get()).encode()  # type: ignore[union-attr]
        except ValueError as error:
            raise ConfigError(f"roles.key_block: {error}. Create the Secret block, or unset the setting") from None
    key = os.environ.get(KEY_VARIABLE)
    return key.encode() if key else None
