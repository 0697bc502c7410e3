"""What the source is, before anything of it is read: a data set known by its name, or files that must be there."""

from contextlib import suppress

from sdrm_core.config import SourceConfig
from sdrm_core.data.catalogue import CATALOGUE, EMBEDDED
from sdrm_core.data.sources import find_files
from sdrm_core.errors import DataError


def is_named_source(source: SourceConfig) -> bool:
    """Say whether the source is a data set known by its name, and no file of that name."""
    return source.uri == EMBEDDED or source.uri in CATALOGUE


def require_files(source: SourceConfig) -> None:
    """Raise a ``DataError`` if none of the source's files is there and may be read; a named data set has none yet.

    If some may be read and others not, whoever reads them tells all that is wrong at once.
    """
    if is_named_source(source):
        return
    with suppress(OSError):  # a disk that cannot be reached now: whoever reads from it tries again
        files, problems = find_files(source.uri)
        if not files:
            raise DataError(problems)
