"""What the source is, before anything of it is read: a data set known by its name, or files that must be there."""

from contextlib import suppress

from sdrm_core.config import SourceConfig
from sdrm_core.data.catalogue import CATALOGUE, EMBEDDED
from sdrm_core.data.sources import local_files


def is_named_source(source: SourceConfig) -> bool:
    """Say whether the source is a data set known by its name, and no file of that name."""
    return source.uri == EMBEDDED or source.uri in CATALOGUE


def require_files(source: SourceConfig) -> None:
    """Raise a ``DataError`` if the source's files are not there or may not be read; a named data set has none yet."""
    if not is_named_source(source):
        with suppress(OSError):  # a disk that cannot be reached now: whoever reads from it tries again
            local_files(source.uri)
