import hashlib
import hmac

import numpy as np
import pyarrow as pa
import pytest

from sdrm_core.config import RolesConfig
from sdrm_core.data.roles import Role, assign_roles, derive_key
from sdrm_core.errors import ConfigError

SHARES = (0.7, 0.1, 0.1, 0.1)


def test_a_role_is_where_the_keyed_hash_falls_among_the_shares():
    ids = [1, -7, 2**63 - 1]
    for identifier, role in zip(ids, assign_roles(pa.array(ids), key=b"secret", shares=SHARES), strict=True):
        digest = hmac.new(b"secret", str(identifier).encode(), hashlib.sha256).digest()
        position = int.from_bytes(digest[:8], "big") / 2**64
        assert role == sum(position >= cut for cut in (0.7, 0.8, 0.9))


def test_shares_are_met_within_chance():
    counts = np.bincount(assign_roles(pa.array(range(100_000)), key=derive_key(0), shares=SHARES), minlength=4)
    standard_errors = np.sqrt(100_000 * np.array(SHARES) * (1 - np.array(SHARES)))
    assert (np.abs(counts - 100_000 * np.array(SHARES)) < 4 * standard_errors).all()


def test_each_role_has_the_share_that_is_configured_under_its_name():
    config = RolesConfig(train=0.4, validation=0.3, holdout=0.2, evaluation=0.1)
    roles = assign_roles(pa.array(range(10_000)), key=b"k", shares=config.shares)
    for role in Role:
        assert (roles == role).mean() == pytest.approx(getattr(config, role.name.lower()), abs=0.02)


def test_a_user_keeps_the_role_when_ids_turn_from_integers_to_text():
    numbers = assign_roles(pa.array(range(500)), key=b"k", shares=SHARES)
    texts = assign_roles(pa.array([str(number) for number in range(500)] + ["new"]), key=b"k", shares=SHARES)
    assert numbers.tolist() == texts[:-1].tolist()


def test_another_key_gives_other_roles():
    ids = pa.array(range(500))
    first, second = (assign_roles(ids, key=derive_key(seed), shares=SHARES) for seed in (0, 1))
    assert (first != second).mean() > 0.3
    assert len(derive_key(0)) == 32


def test_an_empty_key_is_refused():
    with pytest.raises(ConfigError, match="key of the role hash is empty"):
        assign_roles(pa.array([1]), key=b"", shares=SHARES)
