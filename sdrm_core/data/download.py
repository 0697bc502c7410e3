"""Download a named data set; a file is kept only if it is complete and has the expected digest."""

import shutil
import zipfile
from pathlib import Path

import httpx

from sdrm_core.data.catalogue import NamedDataset
from sdrm_core.errors import DataError, Problem, SourceUnreachableError
from sdrm_core.storage import replacing, sha256_of

_TIMEOUT = httpx.Timeout(30.0)  # longest wait for the next bytes in seconds; the whole download may take longer
_CHUNK_BYTES = 1 << 20


def cached(dataset: NamedDataset, *, cache: Path, sha256: str) -> Path | None:
    """Return the data set's file if it is in the download directory and has the expected digest, otherwise None."""
    path = _place(dataset, cache=cache, sha256=sha256)
    expected = _file_digest(dataset, sha256=sha256)
    is_whole = path.is_file() and (expected is None or sha256_of(path) == expected)
    return path if is_whole else None


def fetch(dataset: NamedDataset, *, cache: Path, sha256: str) -> Path:
    """Download the data set into the download directory, unpack it, and return its file.

    The file gets its final name only after its digests are verified, so an interrupted download leaves nothing.

    Args:
        dataset: the entry of the catalogue.
        cache: download directory; created if missing.
        sha256: expected digest of the download.

    Raises:
        DataError: a digest is wrong, the ZIP archive cannot be unpacked, or the server refuses (status 4xx, but not
            408 and 429).
        SourceUnreachableError: the connection or the server failed; another try may succeed.
        OSError: the directory cannot be written.
    """
    path = _place(dataset, cache=cache, sha256=sha256)
    with replacing(path) as file:
        if dataset.member is None:
            _download(dataset.url, file, sha256=sha256)
            return path
        archive = file.with_suffix(".zip")
        try:
            _download(dataset.url, archive, sha256=sha256)
            _extract(archive, dataset.member, file)
        finally:
            archive.unlink(missing_ok=True)
        _require_digest(f"{dataset.url}, {dataset.member}", file, expected=_file_digest(dataset, sha256=sha256))
    return path


def _place(dataset: NamedDataset, *, cache: Path, sha256: str) -> Path:
    """Return the path of the file; it contains the digest, so that each version has a path of its own."""
    return cache.expanduser() / sha256[:16] / dataset.file_name


def _file_digest(dataset: NamedDataset, *, sha256: str) -> str | None:
    """Return the expected digest of the file; None if the archive is not the version that the catalogue describes."""
    if dataset.member is None:
        return sha256
    return dataset.member_sha256 if sha256 == dataset.sha256 else None


def _download(url: str, path: Path, *, sha256: str) -> None:
    try:
        _stream(url, path)
    except httpx.HTTPError as error:
        remedy = "Try again later, or fetch it by hand and name the file in source.uri"
        raise SourceUnreachableError(Problem(url, f"could not be fetched ({error})", remedy)) from error
    _require_digest(url, path, expected=sha256)


def _stream(url: str, path: Path) -> None:
    with httpx.stream("GET", url, follow_redirects=True, timeout=_TIMEOUT) as response:
        if response.is_client_error and response.status_code not in (408, 429):
            raise DataError(
                Problem(
                    where=url,
                    what=f"the server answers {response.status_code} {response.reason_phrase}",
                    remedy="Look up where the data set lives now, fetch it by hand and name the file in source.uri.",
                )
            )
        response.raise_for_status()
        with path.open("wb") as file:
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                file.write(chunk)


def _require_digest(what: str, path: Path, *, expected: str | None) -> None:
    found = sha256_of(path)
    if expected is not None and found != expected:
        raise DataError(
            Problem(
                where=what,
                what=f"the {path.stat().st_size:,} bytes have the SHA-256 {found}, expected is {expected}",
                remedy="The data set has changed or was altered on the way; nothing was kept. "
                "If the change is known to be right, set source.sha256.",
            )
        )


def _extract(archive: Path, member: str, path: Path) -> None:
    """Copy one member of the archive to ``path``; for safety, its name in the archive is never used as a path."""
    try:
        with zipfile.ZipFile(archive) as zipped, zipped.open(member) as packed, path.open("wb") as file:
            shutil.copyfileobj(packed, file, _CHUNK_BYTES)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DataError(
            Problem(
                where=str(member),
                what=f"cannot be taken out of the ZIP archive: {error}",
                remedy="Check source.sha256: the download is not the archive the catalogue describes.",
            )
        ) from None
