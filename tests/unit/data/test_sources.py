import hashlib
import os
from pathlib import Path

import pytest

from sdrm_core.config import SourceConfig
from sdrm_core.data.sources import locate
from sdrm_core.errors import DataError


def find(uri, tmp_path, **settings):
    return locate(SourceConfig(uri=str(uri), **settings), cache=tmp_path / "cache")


def problem_of(uri, tmp_path, **settings):
    with pytest.raises(DataError) as error:
        find(uri, tmp_path, **settings)
    [problem] = error.value.problems
    assert problem.remedy
    return problem.what


def test_a_file_is_named_by_the_digest_of_its_bytes(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"abc")
    located = find(path, tmp_path)
    assert located.files == (path,)
    assert located.uri == str(path)
    assert located.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_files_in_subdirectories_are_told_of_not_left_out(tmp_path):
    for name in ("a.parquet", "day=1/b.parquet", "day=2/hour=3/c.parquet", "_delta_log/d.parquet", ".cache/e.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    with pytest.raises(DataError, match=r"hold 2 more Parquet files.*day=1/b\.parquet.*into one directory"):
        find(tmp_path, tmp_path)
    (tmp_path / "a.parquet").unlink()  # partitions alone
    with pytest.raises(DataError, match="hold 2 more Parquet files"):
        find(tmp_path, tmp_path)


def test_a_directory_is_its_parquet_files_sorted_by_name(tmp_path):
    for name, content in (
        ("b.parquet", b"c"),
        ("a.parquet", b"ab"),
        ("_c.parquet", b"?"),
        (".d.parquet", b"?"),
        ("a.parquet.crc", b"?"),
    ):
        (tmp_path / name).write_bytes(content)
    located = find(tmp_path, tmp_path)
    assert [path.name for path in located.files] == ["a.parquet", "b.parquet"]
    assert located.sha256 == hashlib.sha256(b"abc").hexdigest()


def test_parquet_in_a_directory_is_told_by_its_name_as_elsewhere(tmp_path):
    for name in ("b.pq", "A.PARQUET", "c.parquet.gz", "_SUCCESS", "_metadata.json", ".crc.csv", ".b.pq.crc"):
        (tmp_path / name).write_bytes(b"?")
    assert [path.name for path in find(tmp_path, tmp_path).files] == ["A.PARQUET", "b.pq", "c.parquet.gz"]


@pytest.mark.parametrize(
    "names", [("c.json", "b.CSV.gz"), ("000000_0", "part-00001"), ("b.parq", "c.orc"), ("d.csv.bz2", "notes.txt")]
)
def test_data_of_other_formats_beside_parquet_are_told_of_not_left_out(tmp_path, names):
    for name in ("a.parquet", "_d.csv", *names):
        (tmp_path / name).write_bytes(b"?")
    what = problem_of(tmp_path, tmp_path)
    assert what == "the directory holds 2 files that are not named as Parquet, which are not read"


def test_parquet_without_its_ending_is_read_where_it_is_declared(tmp_path):
    for name in ("000001_0", "000000_0", "b.parq", "c.parquet", "_SUCCESS", "000000_0.crc"):
        (tmp_path / name).write_bytes(b"?")
    located = find(tmp_path, tmp_path, format="parquet")
    assert [path.name for path in located.files] == ["000000_0", "000001_0", "b.parq", "c.parquet"]
    (tmp_path / "d.csv").write_bytes(b"?")
    assert problem_of(tmp_path, tmp_path, format="parquet").startswith("the directory holds 1 files")
    (tmp_path / "d.csv").rename(tmp_path / "d.pq")
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=1" / "000000_0").write_bytes(b"?")
    assert "hold 1 more Parquet files" in problem_of(tmp_path, tmp_path, format="parquet")


def test_all_that_is_wrong_with_a_directory_is_told_at_once(tmp_path):
    for name in ("a.csv", "day=1/b.PQ", "day=1/c.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"?")
    os.mkfifo(tmp_path / "d.parquet")
    with pytest.raises(DataError) as error:
        find(tmp_path, tmp_path)
    assert [(problem.where.removeprefix(str(tmp_path)), problem.example) for problem in error.value.problems] == [
        ("", "a.csv"),
        ("", "day=1/b.PQ"),
        ("/d.parquet", ""),
    ]


def test_a_missing_file_is_bad_input_not_a_passing_fault(tmp_path):
    assert problem_of(tmp_path / "no.csv", tmp_path) == "there is no such file"


def test_an_empty_directory_is_bad_input(tmp_path):
    assert problem_of(tmp_path, tmp_path) == "the directory holds no *.parquet file"


def test_what_is_no_file_is_bad_input(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    assert problem_of(tmp_path / "pipe.csv", tmp_path) == "this is not a regular file"


def test_a_file_without_permission_is_bad_input(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"abc")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert problem_of(path, tmp_path) == "no permission to read it"


def test_a_directory_without_permission_is_bad_input(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0)
    try:
        if os.access(folder, os.R_OK):
            pytest.skip("this user may read every directory")
        assert problem_of(folder, tmp_path) == "no permission to read it"
        assert problem_of(folder / "log.csv", tmp_path) == "cannot be read: Permission denied"
    finally:
        folder.chmod(0o700)


def test_a_name_too_long_is_bad_input(tmp_path):
    assert problem_of(tmp_path / ("a" * 300), tmp_path) == "cannot be read: File name too long"


def test_an_unexpected_digest_is_bad_input(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"abc")
    assert "source.sha256 expects 000" in problem_of(path, tmp_path, sha256="0" * 64)
    assert find(path, tmp_path, sha256=hashlib.sha256(b"abc").hexdigest()).files == (path,)


def test_a_fault_of_the_disk_stays_an_os_error_to_be_retried(tmp_path):
    memory = Path("/proc/self/mem")  # reading its first byte is an input/output error
    if not memory.exists():
        pytest.skip("this system has no /proc/self/mem")
    (tmp_path / "log.csv").symlink_to(memory)
    with pytest.raises(OSError, match="Input/output error"):
        find(tmp_path / "log.csv", tmp_path)


def test_a_named_data_set_is_not_downloaded_unasked(tmp_path):
    what = problem_of("movielens-100k", tmp_path)
    assert "source.download is false" in what
    assert not (tmp_path / "cache").exists()
