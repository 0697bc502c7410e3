"""Files between stages: whole or absent, and read only if they are what was written."""

import json

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sdrm_core.errors import ArtifactError
from sdrm_core.storage import (
    parse_json,
    private_directory,
    read_json,
    read_sealed,
    read_user_items,
    remove_temporary,
    replacing,
    temporary_beside,
    write_json,
    write_sealed,
    write_text,
    write_user_items,
)


@pytest.fixture
def user_items():
    return csr_matrix(np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], dtype=np.float32))


def test_user_items_survive_writing_and_reading(tmp_path, user_items):
    roles = np.array([0, 1, 0], dtype=np.int8)
    read, beside = read_user_items(write_user_items(tmp_path / "m.npz", user_items, roles=roles))
    assert (read != user_items).nnz == 0
    assert read.shape == user_items.shape
    assert np.array_equal(beside["roles"], roles)


def test_the_same_matrix_has_the_same_bytes(tmp_path, user_items):
    first = write_user_items(tmp_path / "a.npz", user_items)
    second = write_user_items(tmp_path / "b.npz", user_items)
    assert first.sha256 == second.sha256


def test_a_flipped_byte_is_refused(tmp_path, user_items):
    artifact = write_user_items(tmp_path / "m.npz", user_items)
    content = bytearray(artifact.path.read_bytes())
    content[len(content) // 2] ^= 1
    artifact.path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match="changed or damaged"):
        read_user_items(artifact)


def test_json_that_may_not_be_read_is_told(tmp_path):
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ArtifactError, match="cannot be read: Is a directory"):
        parse_json(tmp_path / "folder.json")


def test_a_missing_file_is_not_an_os_error(tmp_path):
    artifact = write_json(tmp_path / "a.json", {})
    artifact.path.unlink()
    with pytest.raises(ArtifactError, match="missing") as caught:
        read_json(artifact)
    assert not isinstance(caught.value, OSError)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail_half_way():
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_what_a_killed_process_left_is_removed(tmp_path):
    folder = temporary_beside(tmp_path / "model")
    write_text(folder / "weights", "half")
    write_text(temporary_beside(folder / "weights"), "half")
    write_text(temporary_beside(tmp_path / "a.txt"), "half")
    others = [".hidden", ".a.tmp", "a.tmp", temporary_beside(tmp_path / "a.txt").name[1:]]
    for name in others:
        write_text(tmp_path / name, "whole")
    remove_temporary(tmp_path.rglob(".*"), idle_seconds=60)
    assert folder.is_dir()
    remove_temporary(tmp_path.rglob("*"))
    assert {path.name for path in tmp_path.iterdir()} == set(others)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_json_that_is_no_json_is_refused(tmp_path, value):
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", {"figure": value})
    assert not list(tmp_path.iterdir())


def test_json_is_readable_by_anyone(tmp_path):
    artifact = write_json(tmp_path / "a.json", {"b": 1, "a": "ü"})
    assert artifact.path.read_text(encoding="utf-8") == '{\n  "a": "ü",\n  "b": 1\n}\n'
    assert json.loads(artifact.path.read_text()) == {"a": "ü", "b": 1}


def test_a_private_directory_is_the_owners_alone(tmp_path):
    assert private_directory(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_directory_of_others_stays_as_it_was(tmp_path):
    tmp_path.chmod(0o775)
    assert private_directory(tmp_path).stat().st_mode & 0o777 == 0o775


class TestSealed:
    def test_what_was_written_is_read(self, tmp_path):
        write_sealed(tmp_path / "a.json", {"b": [1, None], "a": {"ü": 0.1}})
        assert read_sealed(tmp_path / "a.json") == {"a": {"ü": 0.1}, "b": [1, None]}
        assert parse_json(tmp_path / "a.json")["sha256"]

    def test_the_key_of_the_digest_is_kept_free(self, tmp_path):
        with pytest.raises(ValueError, match="sha256"):
            write_sealed(tmp_path / "a.json", {"sha256": "x"})

    @pytest.mark.parametrize("change", [
        lambda stored: stored | {"a": 2},
        lambda stored: {key: value for key, value in stored.items() if key != "sha256"},
        lambda stored: stored | {"sha256": "0" * 64},
        lambda stored: [stored],
        lambda _: {},
    ])  # fmt: skip
    def test_what_was_changed_is_refused(self, tmp_path, change):
        path = write_sealed(tmp_path / "a.json", {"a": 1}).path
        write_json(path, change(parse_json(path)))
        with pytest.raises(ArtifactError, match=r"a.json was changed after it was written"):
            read_sealed(path)

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff", None])
    def test_what_cannot_be_read_is_refused(self, tmp_path, content):
        if content is not None:
            (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(ArtifactError, match=r"a.json"):
            read_sealed(tmp_path / "a.json")
