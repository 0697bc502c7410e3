import bz2
import gzip
import io
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .logs import HEADER, read_bytes, refused


def parquet_bytes() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"user_id": [1, 2], "item_id": [3, 4], "rating": [5.0, 1.0]}), sink)
    return sink.getvalue()


def zip_bytes() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("log.csv", "x")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "found", "expected"),
    [
        ("log.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG image", "csv"),
        ("log.csv", bytes(range(256)), "binary data", "csv"),
        ("log.csv", parquet_bytes(), "a Parquet file", "csv"),
        ("log.csv", b'{"user_id": 1}\n', "JSON lines", "csv"),
        ("log.tsv", zip_bytes(), "a ZIP archive", "tsv"),
        ("log.csv", HEADER.decode().encode("utf-16"), "text in UTF-16", "csv"),
        ("log.csv.gz", gzip.compress(gzip.compress(HEADER, mtime=0), mtime=0), "gzip inside gzip", "csv"),
        ("log.parquet", HEADER, "plain text", "parquet"),
        ("log.jsonl", HEADER, "plain text", "jsonl"),
        ("log.json", b'[\n {"user_id": 1}]', "a JSON array", "jsonl"),
    ],
)
def test_a_file_that_is_something_else_is_named(tmp_path, name, data, found, expected):
    [problem] = refused(tmp_path, name, data)
    assert f"{name}: this is {found}" in problem
    assert f"format {expected}" in problem


@pytest.mark.parametrize("level", range(1, 10))
def test_bzip2_is_named(tmp_path, level):
    [problem] = refused(tmp_path, "log.csv", bz2.compress(HEADER, level))
    assert "this is a bzip2 file" in problem


@pytest.mark.parametrize(
    "user", ["{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "BZhq3x", "BZh91", "PAR1", "GIF8", "%PDF", "[{a"]
)
def test_the_first_id_of_a_file_without_a_header_may_look_like_a_format(tmp_path, user):
    data = f"{user},1,5\nu2,2,4\n".encode()
    table = read_bytes(tmp_path, "log.csv", data, header=("user_id", "item_id", "rating"))
    assert table["user_id"].to_pylist() == [user, "u2"]


def test_a_character_cut_at_the_end_of_the_first_bytes_makes_no_other_format(tmp_path):
    for n_before in range(2):  # one of the two cuts a character of two bytes at 64 KiB
        user = "PAR1" + "x" * n_before + "é" * 40_000
        data = f"{user},1,5\nu2,2,4\n".encode()
        table = read_bytes(tmp_path, "log.csv", data, header=("user_id", "item_id", "rating"))
        assert table["user_id"][0].as_py() == user


@pytest.mark.parametrize("header", [b"ORCID,item_id,rating", b"ARROW1,item_id,rating"])
def test_a_column_may_be_called_like_a_format(tmp_path, header):
    [problem] = refused(tmp_path, "log.csv", header + b"\n1,2,3\n")
    assert "no column 'user_id'" in problem


def test_a_parquet_file_inside_gzip_is_told_to_be_unpacked(tmp_path):
    [problem] = refused(tmp_path, "log.parquet.gz", gzip.compress(parquet_bytes(), mtime=0))
    assert "a Parquet file inside gzip" in problem
    assert "gunzip" in problem


@pytest.mark.parametrize("data", [b"", b"\n \r\n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
@pytest.mark.parametrize("name", ["log.csv", "log.tsv", "log.jsonl", "log.parquet"])
def test_an_empty_file_is_called_empty(tmp_path, name, data):
    [problem] = refused(tmp_path, name, data)
    assert problem.startswith(f"{name}: the file is empty")


def test_an_ending_that_says_nothing_asks_for_the_format(tmp_path):
    [problem] = refused(tmp_path, "u.data", HEADER)
    assert "Set source.format" in problem


@pytest.mark.parametrize("name", ["log.csv.gz", "log.jsonl.gz"])
@pytest.mark.parametrize("cut", ["start", "middle", "checksum", "damaged"])
def test_broken_gzip_is_refused(tmp_path, name, cut):
    line = HEADER + b"1,2,3\n" * 9 if ".csv" in name else b'{"user_id": 1, "item_id": 2, "rating": 3}\n'
    whole = bytearray(gzip.compress(b"".join(line for _ in range(20_000)) + bytes(range(32, 127))))
    if cut == "damaged":
        whole[len(whole) // 2] ^= 0xFF
    data = bytes(whole[: {"start": 5, "middle": len(whole) // 2, "checksum": -6, "damaged": len(whole)}[cut]])
    problems = refused(tmp_path, name, data)
    assert any("the gzip data is cut off or damaged" in problem for problem in problems)
