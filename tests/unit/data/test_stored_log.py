"""The log's file: plain text and numbers whatever the table kept in dictionaries, in row groups of fixed size."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sdrm_core.data import stored_log
from sdrm_core.data.stored_log import StoredLog, write_log

PLAIN = pa.table({"user_id": ["u", "v", "u", "w", "v"], "item_id": [3, 1, 2, 2, 3], "rating": [1.0, 2, 3, 4, 5]})


@pytest.fixture
def in_dictionaries():
    parts = [PLAIN["user_id"].slice(start, 3).dictionary_encode() for start in (0, 3)]
    return PLAIN.set_column(0, "user_id", pa.chunked_array([chunk for part in parts for chunk in part.chunks]))


def test_the_bytes_are_those_of_a_plain_table_written_at_once(tmp_path, in_dictionaries):
    write_log(in_dictionaries, tmp_path / "log.parquet")
    pq.write_table(PLAIN, tmp_path / "plain.parquet", compression="zstd")
    assert (tmp_path / "log.parquet").read_bytes() == (tmp_path / "plain.parquet").read_bytes()


def test_row_groups_do_not_follow_the_tables_chunks(tmp_path, monkeypatch, in_dictionaries):
    monkeypatch.setattr(stored_log, "CHUNK_ROWS", 2)
    path = tmp_path / "log.parquet"
    write_log(in_dictionaries, path)
    with pq.ParquetFile(path) as file:
        assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [2, 2, 1]
    assert pq.read_table(path).equals(PLAIN)


def test_columns_are_read_by_name(tmp_path, in_dictionaries):
    write_log(in_dictionaries, tmp_path / "log.parquet")
    log = StoredLog(tmp_path / "log.parquet")
    assert log.column_names == PLAIN.column_names
    assert log.schema == PLAIN.schema
    assert all(log[name].equals(PLAIN[name]) for name in log.column_names)
