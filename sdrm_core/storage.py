"""Files between stages: a file is written completely or not at all, and read only if its digest is still the same."""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from scipy.sparse import csr_matrix

from sdrm_core.errors import ArtifactError
from sdrm_core.records import Artifact

PRIVATE = 0o700
DEAD_AFTER_SECONDS = 24 * 3600.0
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.(tmp|zip)")  # .zip: the archive of a download
_SEAL = "sha256"
_REMEDY = "the command that wrote it makes it again"


def private_directory(path: Path) -> Path:
    """Create the directory ``path``, readable by its owner only, and its parents; an existing one is not changed."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
        path.chmod(PRIVATE)  # the umask may have removed rights
    return path


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; if the block succeeds, it is renamed to ``path``.

    The bytes are flushed to disk before the renaming: a crash leaves the old file or the new one, never half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_beside(path: Path) -> Path:
    """Return a hidden path beside ``path`` for what is not complete yet."""
    return path.with_name(f".{path.name}.{uuid4().hex}.tmp")


def remove_temporary(paths: Iterable[Path], *, idle_seconds: float = 0.0) -> None:
    """Remove those of the paths, files and directories, that ``temporary_beside`` made for processes that were killed.

    idle_seconds: keep what was changed since then. Without a lock it is ``DEAD_AFTER_SECONDS``, because a process may
        be writing there now.
    """
    for path in [path for path in paths if _TEMPORARY.fullmatch(path.name)]:  # all found before the first is removed
        with suppress(OSError):  # another process has just removed it, or it belongs to another user
            changed = max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
            if time.time() - changed >= idle_seconds:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def sync(path: Path) -> None:
    """Flush a file, or the file names of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_artifact(path: Path, write: Callable[[Path], object]) -> Artifact:
    """Let ``write`` write a temporary file, rename it to ``path``, and return path and digest."""
    with replacing(path) as temporary:
        write(temporary)
        digest = sha256_of(temporary)
    return Artifact(path=path, sha256=digest)


def checked(artifact: Artifact, *, remedy: str = _REMEDY) -> Path:
    """Return the path of the artifact after checking its digest.

    Args:
        artifact: the file and its digest.
        remedy: appended to the error message; empty if the caller adds its own.

    Raises:
        ArtifactError: the file is missing, or its bytes changed since it was written.
    """
    advice = remedy and f"; {remedy}"
    if not artifact.path.is_file():
        raise ArtifactError(f"{artifact.path} is missing{advice}")
    found = sha256_of(artifact.path)
    if found != artifact.sha256:
        raise ArtifactError(
            f"{artifact.path} has digest {found[:12]}, but {artifact.sha256[:12]} was written: "
            f"it was changed or damaged{advice}"
        )
    return artifact.path


def write_json(path: Path, value: Any) -> Artifact:
    """Write ``value`` as indented JSON with sorted keys; NaN and infinity raise a ``ValueError``."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return write_text(path, text + "\n")


def write_text(path: Path, text: str) -> Artifact:
    """Write ``text`` as UTF-8."""
    return write_artifact(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(artifact: Artifact) -> Any:
    """Return the value of a JSON artifact after checking its digest."""
    return json.loads(checked(artifact).read_text(encoding="utf-8"))


def parse_json(path: Path) -> Any:
    """Return the value of a JSON file whose digest is not known.

    Raises:
        ArtifactError: the file is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ArtifactError(f"{path} is not valid JSON ({error}); it was damaged after it was written") from None


def digest_of(value: Any) -> str:
    """Return the hexadecimal SHA-256 of a JSON-compatible value; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_sealed(path: Path, values: Mapping[str, Any]) -> Artifact:
    """Write ``values``, whose keys are texts, as JSON together with their digest, under the key ``sha256``.

    Raises:
        ValueError: that key is taken.
    """
    if _SEAL in values:
        raise ValueError(f"the key {_SEAL!r} is for the digest")
    return write_json(path, {**values, _SEAL: digest_of(values)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Return the values that ``write_sealed`` wrote.

    Raises:
        ArtifactError: the file is missing, cannot be read or was changed.
    """
    values = parse_json(path)
    if not isinstance(values, dict) or values.pop(_SEAL, None) != digest_of(values):
        raise ArtifactError(f"{path} was changed after it was written")
    return values


def parse_json_files(folder: Path) -> dict[str, Any]:
    """Return the values of a folder's JSON files by file name without ``.json``, in the order of the names."""
    return {path.stem: parse_json(path) for path in sorted(folder.glob("*.json"))}


def write_arrays(path: Path, **arrays: np.ndarray) -> Artifact:
    """Write named arrays as one ``.npz`` file without pickle."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # an open file: to a file name, NumPy would append .npz
            np.savez(file, allow_pickle=False, **arrays)

    return write_artifact(path, write)


def read_arrays(artifact: Artifact) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` artifact after checking its digest."""
    with np.load(checked(artifact), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def write_user_items(path: Path, user_items: csr_matrix, **arrays: np.ndarray) -> Artifact:
    """Write the positions of the stored cells of a binary (n_users, n_items) matrix, together with further arrays."""
    return write_arrays(
        path,
        indptr=user_items.indptr.astype(np.int64),
        indices=user_items.indices.astype(np.int32),
        shape=np.asarray(user_items.shape, dtype=np.int64),
        **arrays,
    )


def read_user_items(artifact: Artifact) -> tuple[csr_matrix, dict[str, np.ndarray]]:
    """Return the binary matrix that ``write_user_items`` wrote (float32 ones), and the further arrays."""
    arrays = read_arrays(artifact)
    indptr, indices = arrays.pop("indptr"), arrays.pop("indices")
    n_users, n_items = (int(size) for size in arrays.pop("shape"))
    ones = np.ones(len(indices), dtype=np.float32)
    return csr_matrix((ones, indices, indptr), shape=(n_users, n_items)), arrays
