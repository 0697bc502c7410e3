"""The secret that decides which user has which role."""

import hmac
import os

from prefect.blocks.system import Secret

from sdrm_core.config import RolesConfig
from sdrm_core.errors import ConfigError

KEY_VARIABLE = "SDRM_ROLE_KEY"
ROLES_OF_KEY = "by a secret key"  # as a release says
ROLES_OF_SEED = "by the seed"
_LEAST_CHARACTERS = 16
_MARKED = b"the key of the users' roles"
_MARK_DIGITS = 16
_SEALING = b"the key of published digests"


def role_secret(config: RolesConfig) -> bytes | None:
    """Return the secret key of the role hash, from the named Secret block or the environment; None: there is none.

    Raises:
        ConfigError: there is no block of that name, or the key can be guessed.
    """
    if config.key_block:
        try:
            key = str(Secret.load(config.key_block).get())  # type: ignore[union-attr]
        except ValueError as error:
            raise ConfigError(f"roles.key_block: {error}. Create the Secret block, or remove the setting") from None
        return _hard_to_guess(key, name="roles.key_block")
    key = os.environ.get(KEY_VARIABLE, "")
    return _hard_to_guess(key, name=KEY_VARIABLE) if key else None


def mark_of(secret: bytes | None) -> str | None:
    """Return a mark that differs from key to key and from which no key can be found; None: there is no key."""
    return None if secret is None else hmac.new(secret, _MARKED, "sha256").hexdigest()[:_MARK_DIGITS]


def sealed(digest: str, secret: bytes | None) -> str:
    """Return the digest of private data as an HMAC under the key; without a key, the digest as it is.

    Whoever has all rows of the data but one person's could try rows for that person until their digest is the plain
    one. Only who has the key can try so against an HMAC.
    """
    if secret is None:
        return digest
    key = hmac.digest(secret, _SEALING, "sha256")
    return hmac.new(key, digest.encode(), "sha256").hexdigest()


def _hard_to_guess(key: str, *, name: str) -> bytes:
    if len(key.strip()) < _LEAST_CHARACTERS or key != key.strip():
        raise ConfigError(
            f"{name}: the key has fewer than {_LEAST_CHARACTERS} characters, or spaces before or after them. "
            "Make one that nobody can guess: openssl rand -hex 32"
        )
    return key.encode()
