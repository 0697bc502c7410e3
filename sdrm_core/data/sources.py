"""Find the files of a source, check that they can be read, and compute their digest."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sdrm_core.config import SourceConfig
from sdrm_core.data.catalogue import CATALOGUE, NamedDataset
from sdrm_core.data.download import cached, fetch
from sdrm_core.data.formats import named_format
from sdrm_core.errors import DataError, Problem, SourceChangingError, merged

_CHUNK_BYTES = 1 << 20
_HIDDEN, _CHECKSUM = (".", "_"), ".crc"  # files that Spark and other tools write beside the data


@dataclass(frozen=True)
class LocatedSource:
    """The files of a source.

    Attributes:
        uri: ``source.uri`` of the configuration.
        files: the files, in the order in which they are read.
        sha256: digest of all their bytes, in that order.
        states: inode, size and modification time of each file before it was read; ``unchanged`` compares them.
    """

    uri: str
    files: tuple[Path, ...]
    sha256: str
    states: tuple[tuple[int, ...], ...] = ()


def locate(source: SourceConfig, *, cache: Path) -> LocatedSource:
    """Return the files of a source. A named data set is downloaded if it is not in ``cache`` and the source allows it.

    Args:
        source: a file, a directory of Parquet files, or a named data set.
        cache: download directory.

    Raises:
        DataError: the source does not exist, has no files, must not be read or downloaded, or has another digest than
            expected.
        OSError: a file or a server cannot be read now, or a file was just removed; another try may succeed.
    """
    dataset = CATALOGUE.get(source.uri)
    if dataset is not None:
        return _located(source.uri, (_named_file(dataset, source, cache=cache),))
    files, problems = find_files(source)
    if problems:
        raise DataError(problems)
    located = _located(source.uri, files)
    if source.sha256 not in (None, located.sha256):
        raise DataError(
            Problem(
                where=source.uri,
                what=f"the bytes have the SHA-256 {located.sha256}, source.sha256 expects {source.sha256}",
                remedy="Give the file that was meant, or correct source.sha256.",
            )
        )
    return located


def _located(uri: str, files: tuple[Path, ...]) -> LocatedSource:
    states = tuple(map(_state, files))  # before reading, so that a change during the reading is noticed
    try:
        return LocatedSource(uri=uri, files=files, sha256=_digest(files), states=states)
    except FileNotFoundError as error:  # it was there a moment ago
        raise _changing([error.filename]) from None


@contextmanager
def unchanged(located: LocatedSource) -> Iterator[None]:
    """Check, after the ``with`` block, that the files did not change since their digest was computed.

    Raises:
        SourceChangingError: a file was changed, replaced or removed; this error replaces any other error of the block.
            Another try may succeed.
    """
    try:
        yield
    finally:
        changed = [path for path, state in zip(located.files, located.states, strict=False) if _state(path) != state]
        if changed:
            raise _changing(changed) from None


def _changing(paths: Iterable[Path]) -> SourceChangingError:
    what = "was written to while it was read"
    remedy = "Start once it is complete; write it under another name and rename it then."
    return SourceChangingError([Problem(str(path), what, remedy) for path in paths])


def _state(path: Path) -> tuple[int, ...]:
    """Return inode, size and modification time: they show that a file was changed or replaced; empty if it is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _named_file(dataset: NamedDataset, source: SourceConfig, *, cache: Path) -> Path:
    sha256 = source.sha256 or dataset.sha256
    path = cached(dataset, cache=cache, sha256=sha256)
    if path is not None:
        return path
    if not source.download:
        raise DataError(
            Problem(
                where=source.uri,
                what=f"the data set is not in {cache.expanduser()}, and source.download is false",
                remedy=f"Read its terms of use and set source.download to true to fetch it from {dataset.url}, "
                "or fetch it by hand and name the file in source.uri.",
            )
        )
    return fetch(dataset, cache=cache, sha256=sha256)


def find_files(source: SourceConfig) -> tuple[tuple[Path, ...], list[Problem]]:
    """Return the file, or the Parquet files of a directory, sorted by name, and the problems; no content is read.

    Files that do not exist or must not be read are not returned; each is a problem. So are files of other formats in
    the directory and Parquet files in its subdirectories.
    """
    uri = source.uri
    path = Path(uri).expanduser()
    try:
        is_directory = path.is_dir()
    except OSError as error:  # a directory on the way may not be entered, or the name is too long
        return (), [Problem(uri, f"cannot be read: {error.strerror}", "Check source.uri and its rights")]
    if is_directory and not os.access(path, os.R_OK | os.X_OK):
        return (), [_forbidden(uri)]
    found, problems = _files_of(path, source) if is_directory else ((path,), [])
    files = []
    for file in found:
        problem = _access_problem(file)
        if problem is None:
            files.append(file)
        else:
            problems.append(problem)
    return tuple(files), merged(problems)


def _files_of(directory: Path, source: SourceConfig) -> tuple[tuple[Path, ...], list[Problem]]:
    """Return the Parquet files of a directory, sorted by name, and its problems.

    Files of other formats, and Parquet files in subdirectories, are problems: they would not be read.
    """
    data = _data(directory, "*")
    files = tuple(file for file in data if _is_parquet(file, source))
    below = [file for file in _data(directory, "*/**/*") if _is_parquet(file, source)]
    others = [file for file in data if not _is_parquet(file, source)]
    problems = []
    if others:
        what = f"the directory holds {len(others):,} files that are not named as Parquet, which are not read"
        remedy = (
            "Write them as Parquet or keep them elsewhere; set source.format to parquet if they are Parquet without an "
            "ending of another format; to read one of them, name it in source.uri."
        )
        problems.append(Problem(str(directory), what, remedy, example=others[0].name))
    if below:
        what = f"subdirectories hold {len(below):,} more Parquet files, which are not read"
        remedy = "Put all files into one directory, with every column inside them, or keep others elsewhere."
        problems.append(Problem(str(directory), what, remedy, example=str(below[0].relative_to(directory))))
    if not files and not problems:
        what = "the directory holds no *.parquet file"
        remedy = "Name a file, or the directory that holds the files; names that begin with . or _ are ignored."
        problems.append(Problem(str(directory), what, remedy))
    return files, problems


def _data(directory: Path, pattern: str) -> list[Path]:
    """Return all that is no directory, sorted; nothing that is hidden (``_HIDDEN``) and no checksum of Hadoop."""
    found = (file.relative_to(directory) for file in directory.glob(pattern) if not file.is_dir())
    shown = (file for file in found if not any(part.startswith(_HIDDEN) for part in file.parts))
    return sorted(directory / file for file in shown if file.suffix != _CHECKSUM)


def _is_parquet(file: Path, source: SourceConfig) -> bool:
    """Return whether a file is Parquet by its name or, if that names no format, by ``source.format``."""
    return named_format(file) == "parquet" or (named_format(file) is None and source.format == "parquet")


def _access_problem(path: Path) -> Problem | None:
    if not path.exists():
        return Problem(
            str(path), "there is no such file", "Check source.uri; relative paths start at the current directory."
        )
    if not path.is_file():
        return Problem(str(path), "this is not a regular file", "Name a file or a directory of Parquet files.")
    if not os.access(path, os.R_OK):
        return _forbidden(str(path))
    return None


def _forbidden(where: str) -> Problem:
    return Problem(where, "no permission to read it", "Grant the pipeline's user the right to read it.")


def _digest(files: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
