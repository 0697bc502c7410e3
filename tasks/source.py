"""Check the source before it is read: is it a data set known by its name, or do its files exist?"""

from contextlib import suppress

from sdrm_core.config import SourceConfig
from sdrm_core.data.catalogue import CATALOGUE, EMBEDDED
from sdrm_core.data.sources import find_files
from sdrm_core.errors import DataError


def is_named_source(source: SourceConfig) -> bool:
    """Return whether ``source.uri`` is the name of the embedded or a named data set, not a path."""
    return source.uri == EMBEDDED or source.uri in CATALOGUE


def require_files(source: SourceConfig) -> None:
    """Raise a ``DataError`` if no file of the source can be read; named data sets, downloaded later, are not checked.

    If only some files can be read, nothing is raised here: the ingest stage then reports all problems together.
    """
    if is_named_source(source):
        return
    with suppress(OSError):  # the disk cannot be reached now: the ingest stage tries again
        files, problems = find_files(source)
        if not files:
            raise DataError(problems)
