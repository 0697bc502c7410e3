"""Load the interactions of a source of any kind, together with a record of their origin."""

import hashlib
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from sdrm_core.config import ColumnsConfig, SourceConfig
from sdrm_core.data.catalogue import CATALOGUE, EMBEDDED, resolve
from sdrm_core.data.formats import format_of
from sdrm_core.data.readers import problems_in, read_interactions
from sdrm_core.data.simulate import simulate_interactions
from sdrm_core.data.sources import find_files, locate, unchanged
from sdrm_core.errors import ConfigError, DataError
from sdrm_core.records import SourceFacts

_OF_TEXT = ("header", "delimiter")
_OF_A_FILE = ("format", *_OF_TEXT, "sha256")


def load_interactions(source: SourceConfig, *, cache: Path, seed: int) -> tuple[pa.Table, SourceFacts]:
    """Return the interactions of the embedded data set, a named data set or files, and their origin.

    Args:
        source: the source; a named data set has its own reading settings.
        cache: download directory.
        seed: seed of the run; only the embedded data set depends on it.

    Returns:
        A table as ``read_interactions`` returns it, and its origin (name, SHA-256, number of rows).

    Raises:
        ConfigError: settings of a file are given but no file is named, so the embedded data set would be read by
            mistake; or a setting contradicts the format of the file or the named data set.
        DataError: the source is missing, cannot be read, or contains unusable data.
        OSError: a file or a server cannot be read now; another try may succeed.
    """
    if source.uri == EMBEDDED:
        _require_no_file(source)
        table = simulate_interactions(seed=seed)
        if source.feedback == "implicit":
            table = table.drop_columns(["rating", "timestamp"])
        return table, SourceFacts(uri=EMBEDDED, sha256=_digest_of(table), rows=table.num_rows)
    source = resolve(source)
    if source.uri not in CATALOGUE:
        _require_readable(source)
    located = locate(source, cache=cache)
    _require_text(located.files[0], source)
    with unchanged(located):
        table = read_interactions(located, source)
    return table, SourceFacts(uri=source.uri, sha256=located.sha256, rows=table.num_rows)


def _require_readable(source: SourceConfig) -> None:
    """Raise a ``DataError`` if a file is missing or must not be read; it also lists the problems in the other files."""
    files, problems = find_files(source)
    if problems:
        with suppress(OSError):  # a file cannot be read now: report at least the problems found before
            problems += problems_in(files, source)
        raise DataError(problems)


def _require_no_file(source: SourceConfig) -> None:
    plain = SourceConfig()
    is_set = [name for name in _OF_A_FILE if getattr(source, name) != getattr(plain, name)]
    without_ratings = ColumnsConfig(rating=None)  # allowed: the embedded data set can be read as implicit feedback
    is_set += ["columns"] if source.columns not in (plain.columns, without_ratings) else []
    if is_set:
        names = ", ".join(f"source.{name}" for name in is_set)
        raise ConfigError(f"{names}: settings of a file, but none is named. Set source.uri, or give --source")


def _require_text(path: Path, source: SourceConfig) -> None:
    is_set = [name for name in _OF_TEXT if getattr(source, name) is not None]
    if is_set and (kind := format_of(path, source)) not in ("csv", "tsv"):
        names = ", ".join(f"source.{name}" for name in is_set)
        raise ConfigError(
            f"{names}: settings of a CSV or TSV file, but {path} is read as {kind}. Unset them, or set source.format"
        )


def _digest_of(table: pa.Table) -> str:
    """Return the SHA-256 of the table written as CSV, which depends only on the values, not on Arrow's storage."""
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(table, sink)
    return hashlib.sha256(sink.getvalue()).hexdigest()
