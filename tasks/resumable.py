"""Directories of work that takes hours: one process at a time, one question for good, nothing done twice."""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import sdrm_core
from sdrm_core.errors import ConfigError, DataError
from sdrm_core.storage import parse_json, private_directory, write_json
from tasks.preflight import unwritable

_LOCK = ".lock"
_SHOWN = 4
_MISSING = object()


def digest_of(*parts: Any) -> str:
    """Return the hexadecimal SHA-256 of JSON-compatible parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache
def code_digest(*rooms: str) -> str:
    """Return the digest of the source files of these modules and packages of ``sdrm_core``.

    A result that a changed method would not give again must not be taken for its result; a version number is
    not changed often enough to tell.
    """
    root = Path(sdrm_core.__file__).parent
    files = [
        path for room in rooms for path in ([root / room] if room.endswith(".py") else (root / room).rglob("*.py"))
    ]
    return digest_of(*((str(path.relative_to(root)), path.read_text(encoding="utf-8")) for path in sorted(files)))


@contextmanager
def claimed(out: Path, *, command: str, question: Mapping[str, Any]) -> Iterator[None]:
    """Hold the directory ``out`` while the block runs; make it if need be.

    Args:
        out: the directory, for this command alone.
        command: of ``sdrm``, e.g. ``compare``; names the file that keeps the question.
        question: the settings that decide the results, JSON-compatible.

    Raises:
        ConfigError: it holds something else, the results of other settings, or another process is at work in it.
        DataError: it cannot be written.
    """
    about = out / f"{command}.json"
    if out.is_dir() and not about.is_file() and any(path.name != _LOCK for path in out.iterdir()):
        raise ConfigError(f"--out: {out} is not empty and was not made by sdrm {command}. Name a new directory")
    if about.is_file():
        _require_same(parse_json(about)["question"], question, out=out, command=command)
    if problem := unwritable(out, name="--out"):
        raise DataError(problem)
    with (private_directory(out) / _LOCK).open("w") as lock:  # the system lets go of it however the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"--out: another process is at work in {out}. Wait for it or end it") from None
        if not about.is_file():
            write_json(about, {"question": question, "input": None})
        yield


def bind_input(out: Path, *, command: str, input_digest: str) -> None:
    """Keep which data the directory's results are about.

    Raises:
        ConfigError: they are about other data.
    """
    about = out / f"{command}.json"
    known = parse_json(about)
    if known["input"] not in (None, input_digest):
        raise ConfigError(
            f"--out: the results in {out} are about other data: the source has changed since, or the users' roles "
            "were given by another SDRM_ROLE_KEY. Name a new directory, or bring the data back"
        )
    write_json(about, {**known, "input": input_digest})


def _require_same(known: Mapping[str, Any], asked: Mapping[str, Any], *, out: Path, command: str) -> None:
    before, now = dict(_flat(known)), dict(_flat(asked))
    names = sorted(name for name in {*before, *now} if before.get(name, _MISSING) != now.get(name, _MISSING))
    if not names:
        return
    shown = ", ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise ConfigError(
        f"--out: {out} was made by sdrm {command} with another configuration: {shown}{more}. "
        "Name a new directory, or set them back"
    )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
