"""Where the bytes are: a source's files, found, readable and named by their digest."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from sdrm_core.config import SourceConfig
from sdrm_core.errors import DataError, Problem

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class LocatedSource:
    """The files of a source.

    Attributes:
        uri: what the configuration named.
        files: the files, in the order in which they are read.
        sha256: of all their bytes, in that order.
    """

    uri: str
    files: tuple[Path, ...]
    sha256: str


def locate(source: SourceConfig, *, cache: Path) -> LocatedSource:
    """Return the files of a source.

    Raises:
        DataError: nothing there, nothing in it, or not allowed to read it.
        OSError: a file cannot be read now; trying again may help.
    """
    files = _local_files(source.uri)
    return LocatedSource(uri=source.uri, files=files, sha256=_digest(files))


def _local_files(uri: str) -> tuple[Path, ...]:
    """Return the file, or the Parquet files of a directory, sorted by name."""
    path = Path(uri).expanduser()
    files = (path,)
    if path.is_dir():
        files = tuple(sorted(file for file in path.glob("*.parquet") if not file.name.startswith((".", "_"))))
        if not files:
            raise DataError(Problem(uri, "the directory holds no *.parquet file", "Name a file, or its directory."))
    problems = [problem for file in files if (problem := _access_problem(file))]
    if problems:
        raise DataError(problems)
    return files


def _access_problem(path: Path) -> Problem | None:
    if not path.exists():
        return Problem(
            str(path), "there is no such file", "Check source.uri; relative paths start at the current directory."
        )
    if not path.is_file():
        return Problem(str(path), "this is not a regular file", "Name a file or a directory of Parquet files.")
    if not os.access(path, os.R_OK):
        return Problem(str(path), "no permission to read it", "Grant the pipeline's user the right to read it.")
    return None


def _digest(files: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
