"""The secret key that decides the role of each user."""

import hmac
import os

from prefect.blocks.system import Secret

from sdrm_core.config import RolesConfig
from sdrm_core.errors import ConfigError

KEY_VARIABLE = "SDRM_ROLE_KEY"
ROLES_OF_KEY = "by a secret key"  # in the manifest of a release
ROLES_OF_SEED = "by the seed"
_LEAST_CHARACTERS = 16
_MARKED = b"the key of the users' roles"
_MARK_DIGITS = 16
_SEALING = b"the key of published digests"


def role_secret(config: RolesConfig) -> bytes | None:
    """Return the secret key of the role hash, from the configured Secret block or else the environment; None if unset.

    Raises:
        ConfigError: the block does not exist, or the key is too short or has spaces around it.
    """
    if config.key_block is not None:
        try:
            key = str(Secret.load(config.key_block).get())  # type: ignore[union-attr]
        except ValueError as error:
            remedy = "Set PREFECT_API_URL to the server that has the Secret block, or create it there"
            raise ConfigError(f"roles.key_block: {error}. {remedy}") from None
        return _hard_to_guess(key, name="roles.key_block")
    if KEY_VARIABLE not in os.environ:
        return None
    return _hard_to_guess(os.environ[KEY_VARIABLE], name=KEY_VARIABLE)  # refused if empty: somebody wanted a key


def mark_of(secret: bytes | None) -> str | None:
    """Return a text that identifies the key without revealing it; None if there is no key."""
    return None if secret is None else hmac.new(secret, _MARKED, "sha256").hexdigest()[:_MARK_DIGITS]


def sealed(digest: str, secret: bytes | None) -> str:
    """Return the HMAC of ``digest`` (of private data) with the key; without a key, the digest itself.

    An attacker who has all rows of the data except those of one person could try rows for this person until the plain
    digest is the same. Against an HMAC this is possible only with the key.
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
    try:
        return key.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name}: the key is not text in UTF-8. Make one of letters: openssl rand -hex 32") from None
