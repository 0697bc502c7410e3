"""Rules for settings that are paths."""

import os
import re
from pathlib import Path
from typing import TypeVar

_PathOrText = TypeVar("_PathOrText", Path, str)
_URL_AS_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a Path keeps only one of a URL's two slashes


def with_home(path: _PathOrText) -> _PathOrText:
    """Return the path; raise a ``ValueError`` if it has a zero byte, is not UTF-8, or starts with ``~`` without a home.

    A path that is not UTF-8 could be neither logged nor stored in any record.
    """
    if "\0" in str(path):
        raise ValueError("a path cannot contain a zero byte")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError("a path must be text in UTF-8; choose another name") from None
    try:
        Path(path).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{path} starts at a home directory that does not exist; if ~ is part of the name, write ./~…"
        ) from None
    return path


def local_directory(path: Path) -> Path:
    """Return the path; raise a ``ValueError`` if it is a URL, or for the reasons of ``with_home``."""
    if _URL_AS_PATH.match(str(path)):
        raise ValueError("must be a local directory, not a URL; copy the result there afterwards")
    return with_home(path)


def lies_within(path: Path, directory: Path) -> bool:
    """Return whether ``path`` is ``directory`` or inside it, after resolving symbolic links and ``~``."""
    inner, outer = (os.path.realpath(one.expanduser()) for one in (path, directory))
    return Path(inner).is_relative_to(outer)
