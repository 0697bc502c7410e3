"""The one way in: the interactions of a source of any kind, with where they came from."""

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
    """Return the interactions of an embedded, named or file source, and where they came from.

    Args:
        source: the source; a named data set brings its own reading settings.
        cache: directory of downloads.
        seed: the run's seed; only the embedded data set depends on it.

    Returns:
        The table of ``read_interactions``, and its provenance.

    Raises:
        ConfigError: settings of a file, but no file: the embedded data set would be taken in its place; or settings
            that the file's format or the named data set leaves no room for.
        DataError: the source is missing, cannot be read, or holds what cannot be used.
        OSError: a file or a server cannot be read now; trying again may help.
    """
    if source.uri == EMBEDDED:
        _require_no_file(source)
        table = simulate_interactions(seed=seed)
        if source.feedback == "implicit":
            table = table.drop_columns(["rating"])
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
    """Raise a ``DataError`` if not every file may be read; it also tells what is wrong in those that may."""
    files, problems = find_files(source.uri)
    if problems:
        with suppress(OSError):  # of a file that cannot be read now: what was found until then is worth telling
            problems += problems_in(files, source)
        raise DataError(problems)


def _require_no_file(source: SourceConfig) -> None:
    plain = SourceConfig()
    is_set = [name for name in _OF_A_FILE if getattr(source, name) != getattr(plain, name)]
    without_ratings = ColumnsConfig(rating=None)  # of implicit feedback, which the embedded data set can be read as
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
    """Return the SHA-256 of the table written as CSV: it depends on the values, not on how Arrow keeps them."""
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(table, sink)
    return hashlib.sha256(sink.getvalue()).hexdigest()
