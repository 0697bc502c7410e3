from unittest.mock import Mock

import pytest

from sdrm_core.config import RolesConfig
from sdrm_core.errors import ConfigError
from tasks.role_key import KEY_VARIABLE, mark_of, role_secret, sealed


@pytest.mark.parametrize("key", ["", "x", " ", "0123456789abcde", "0123456789abcdef "])
def test_a_key_that_can_be_guessed_is_none(monkeypatch, key):
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(ConfigError, match=r"SDRM_ROLE_KEY: .* openssl rand"):
        role_secret(RolesConfig())


def test_a_block_that_the_server_does_not_have_is_looked_for_elsewhere_and_not_done_without(monkeypatch):
    monkeypatch.setattr("tasks.role_key.Secret.load", Mock(side_effect=ValueError("no block named x")))
    told = r"roles.key_block: no block named x\. Set PREFECT_API_URL to the server that has .* or create it there$"
    with pytest.raises(ConfigError, match=told):
        role_secret(RolesConfig(key_block="x"))


def test_a_key_of_enough_characters_is_taken_as_it_is_and_without_one_there_is_none(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "0123456789abcdef")
    assert role_secret(RolesConfig()) == b"0123456789abcdef"
    monkeypatch.delenv(KEY_VARIABLE)
    assert role_secret(RolesConfig()) is None


def test_a_mark_tells_keys_apart_and_is_none_of_them():
    marks = [mark_of(key) for key in (b"0123456789abcdef", b"0123456789abcdef", b"0123456789abcdeg")]
    assert marks[0] == marks[1] != marks[2]
    assert len(marks[0]) == 16
    assert mark_of(None) is None


def test_a_sealed_digest_tells_logs_apart_and_confirms_no_guess():
    key, other = b"0123456789abcdef", b"0123456789abcdeg"
    assert sealed("a" * 64, key) == sealed("a" * 64, key)
    assert len({sealed(digest * 64, secret) for digest in "ab" for secret in (key, other, None)}) == 6
    assert sealed("a" * 64, None) == "a" * 64
    assert len(sealed("a" * 64, key)) == 64


def test_a_key_that_is_not_text_is_told_without_it(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "\udcff" * 20)
    with pytest.raises(ConfigError, match="SDRM_ROLE_KEY: the key is not text"):
        role_secret(RolesConfig())
