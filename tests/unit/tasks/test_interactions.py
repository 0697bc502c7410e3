"""Parquet from synthetic users: the same rows and bytes however the users were cut."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix, random_array

from sdrm_core.errors import ArtifactError, SdrmError
from sdrm_core.storage import sha256_of
from tasks.release import interactions
from tasks.release.interactions import new_user_ids, write_interactions, written_files

NASTY_IDS = ["007", "🎬", 'a "quoted", id', "line\nbreak", "18446744073709551617", "", " padded ", "7"]


@pytest.fixture
def users():
    rng = np.random.default_rng(0)
    return csr_matrix(random_array((500, 8), density=0.4, rng=rng) > 0, dtype=np.float32)


def cut(users, size):
    return (users[start : start + size] for start in range(0, users.shape[0], size))


def rows_of(folder):
    return pq.read_table(folder).to_pylist()


def test_rows_are_the_matrix_under_new_user_ids(tmp_path, users):
    ids = np.arange(0, 5000, 10)
    files = write_interactions(tmp_path / "out", [users], user_ids=ids, item_ids=pa.array(NASTY_IDS))
    coo = users.tocoo()
    expected = [{"user_id": 10 * int(u), "item_id": NASTY_IDS[i]} for u, i in zip(coo.row, coo.col, strict=True)]
    assert rows_of(tmp_path / "out") == expected
    assert [(str(f.path), f.rows) for f in files] == [("out/part-00000.parquet", users.nnz)]


def test_a_published_file_that_was_damaged_is_made_again_by_no_command(tmp_path, users):
    files = write_interactions(tmp_path / "out", [users], user_ids=np.arange(500), item_ids=pa.array(range(8)))
    part, listed = tmp_path / files[0].path, [file.model_dump(mode="json") for file in files]
    assert written_files(tmp_path, listed) == [part]
    part.write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match=r"was changed or damaged$"):
        written_files(tmp_path, listed)
    part.unlink()
    with pytest.raises(ArtifactError, match=r"is missing$"):
        written_files(tmp_path, listed)


@pytest.mark.parametrize("size", [1, 7, 250, 499])
def test_the_cut_changes_no_byte(tmp_path, monkeypatch, users, size):
    monkeypatch.setattr(interactions, "ROW_GROUP_ROWS", 100)
    monkeypatch.setattr(interactions, "PART_ROWS", 300)
    arguments = {"user_ids": np.arange(500), "item_ids": pa.array(range(8))}
    whole = write_interactions(tmp_path / "whole", [users], **arguments)
    parts = write_interactions(tmp_path / "cut", cut(users, size), **arguments)
    assert [f.sha256 for f in whole] == [f.sha256 for f in parts]
    assert len(whole) == -(-users.nnz // 300)
    assert all(f.sha256 == sha256_of(tmp_path / f.path) for f in parts)


def test_a_missing_shard_is_noticed(tmp_path, users):
    with pytest.raises(SdrmError, match="500"):
        write_interactions(tmp_path / "o", [users[:250]], user_ids=np.arange(500), item_ids=pa.array(range(8)))


def test_user_ids_are_distinct_ascending_and_of_their_seed():
    first, again, other = (new_user_ids(10_000, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert (np.diff(first) > 0).all()
    assert not np.intersect1d(first, other).size


def test_ids_that_chance_drew_twice_are_drawn_again():
    class Unlucky:
        drawn = iter(([7, 3, 7, 7], [3, 9], [5]))

        def integers(self, *_, size, **__):
            ids = np.array(next(self.drawn))
            assert len(ids) == size
            return ids

    assert new_user_ids(4, Unlucky()).tolist() == [3, 5, 7, 9]
