"""Find the format of a file by its name, check its first bytes, and decompress gzip while reading."""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from sdrm_core.config import SourceConfig
from sdrm_core.errors import DataError, Problem

Format = Literal["csv", "tsv", "jsonl", "parquet"]

_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
BOM = b"\xef\xbb\xbf"
_TEXT, _JSON_LINES, _PARQUET_FILE = "plain text", "JSON lines", "a Parquet file"
_EXPECTED: dict[Format, str] = {"csv": _TEXT, "tsv": _TEXT, "jsonl": _JSON_LINES, "parquet": _PARQUET_FILE}
_JSON_OPENING = re.compile(rb'\s*(\[\s*)?\{\s*["}]')
_SIGNATURES = {
    _PARQUET: _PARQUET_FILE,
    _GZIP: "gzip inside gzip",
    b"PK\x03\x04": "a ZIP archive (or an Excel workbook)",
    **{b"BZh%d1AY&SY" % level: "a bzip2 file" for level in range(1, 10)},
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "an SQLite database",
    b"ARROW1\x00": "an Arrow (Feather) file",
    b"Obj\x01": "an Avro file",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}
_HEAD_BYTES = 1 << 16


def format_of(path: Path, source: SourceConfig) -> Format:
    """Return the configured format or, if that is ``auto``, the one that the ending of the file name means.

    Raises:
        DataError: the ending is not known.
    """
    kind = named_format(path) if source.format == "auto" else source.format
    if kind is not None:
        return kind
    raise DataError(
        Problem(
            where=str(path),
            what="the file name's ending does not tell the format",
            remedy="Set source.format if it is a CSV, TSV, JSON lines or Parquet file; no other can be read.",
        )
    )


def named_format(path: Path) -> Format | None:
    """Return the format that the ending of the file name means (``.gz`` and upper case ignored); None if unknown."""
    name = path.name.lower().removesuffix(".gz")
    return next((kind for ending, kind in _ENDINGS.items() if name.endswith(ending)), None)


@contextmanager
def decompressed(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """Open a file for reading; if its first bytes are those of gzip, it is decompressed, whatever its name.

    Raises:
        DataError: the gzip data is cut off or damaged; also raised while the ``with`` block reads.
    """
    with path.open("rb") as raw:
        is_gzip = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        if not is_gzip:
            yield raw
            return
        try:
            with gzip.open(raw) as plain:
                yield plain
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                Problem(
                    where=str(path),
                    what=f"the gzip data is cut off or damaged: {error}",
                    remedy="Fetch or write the file again; 'gzip -t' tests it.",
                )
            ) from None


def check_head(path: Path, kind: Format) -> Problem | None:
    """Return the problem if the file is empty or its first 64 KiB do not fit the format; otherwise None.

    Raises:
        DataError: the gzip data is damaged at its beginning.
    """
    with decompressed(path) as file:
        is_gzip = isinstance(file, gzip.GzipFile)
        head = file.read(_HEAD_BYTES).removeprefix(BOM)
    if not head.strip():
        return Problem(str(path), "the file is empty", "Write the interactions into it, or point source.uri elsewhere.")
    found = _describe(head)
    if found == _PARQUET_FILE and is_gzip:
        return Problem(
            where=str(path),
            what="this is a Parquet file inside gzip, which cannot be read",
            remedy="Unpack it ('gunzip'); Parquet compresses by itself.",
        )
    if found == _EXPECTED[kind]:
        return None
    return Problem(
        where=str(path),
        what=f"this is {found}, not {_EXPECTED[kind]} as expected of format {kind}",
        remedy="Give a CSV, TSV, JSON lines or Parquet file, named or declared (source.format) as what it is.",
    )


def _describe(head: bytes) -> str:
    is_text = _is_text(head)
    for signature, description in _SIGNATURES.items():
        if head.startswith(signature) and not (is_text and signature.isascii()):  # an id may be PAR1 or GIF8
            return description
    if b"\0" in head:
        return "binary data"
    opening = _JSON_OPENING.match(head)
    if not opening:
        return _TEXT
    return "a JSON array" if opening[1] else _JSON_LINES


def _is_text(head: bytes) -> bool:
    """Return whether the first bytes of a file are UTF-8, whose last character may be cut, without a NUL."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
