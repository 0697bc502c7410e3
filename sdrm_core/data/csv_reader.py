"""Read CSV and TSV files. Arrow reads all values as text; if the file looks faulty, a strict second pass follows.

The second pass finds the errors that Arrow accepts silently, and the lines of those that Arrow cannot locate. TSV
fields may be quoted like CSV fields, as pandas and spreadsheets write them.
"""

import csv
import gzip
import io
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv

from sdrm_core.config import SourceConfig
from sdrm_core.data.formats import Format, decompressed
from sdrm_core.data.raw import TIMESTAMP, RawColumn, RawFile, find_columns
from sdrm_core.errors import DataError, Problem

_BLOCK_BYTES = 8 << 20
# Binary, not text: one bad byte must not hide the other problems. Time stamps hardly repeat, so they get no dictionary.
_FEW_VALUES = pa.dictionary(pa.int32(), pa.binary())
_MANY_VALUES = pa.binary()
# By default, the csv module refuses a field of 128 KiB. The limit holds for the whole process, so it is only raised.
csv.field_size_limit(max(csv.field_size_limit(), _BLOCK_BYTES))
_NO_HEADER = "A file without a header line needs source.header, one with other separators source.delimiter."


@dataclass(frozen=True)
class _Layout:
    """How one file is divided into fields; ``header_lines`` is 0 if the configuration gives the column names."""

    path: Path
    delimiter: str
    names: tuple[str, ...]
    header_lines: int


def read_csv(path: Path, kind: Format, source: SourceConfig) -> tuple[RawFile | None, list[Problem]]:
    """Return the mapped columns of a CSV or TSV file (plain or gzip), and what is wrong with the file.

    Rows that cannot be read are left out of the columns, so that problems in the other rows are found too.
    """
    layout = _layout(path, source.delimiter or ("\t" if kind == "tsv" else ","), source.header)
    may_be_data = layout.header_lines > 0
    advice = _NO_HEADER if may_be_data else ""
    positions, problems = find_columns(path, layout.names, source, may_be_data=may_be_data, advice=advice)
    if not positions:
        return None, problems
    kinds = {position: _MANY_VALUES if role == TIMESTAMP else _FEW_VALUES for role, position in positions.items()}
    table, is_suspect = _parse(layout, kinds)
    if is_suspect:
        problems += _strict_problems(layout, n_read=None if table is None else table.num_rows)
    if table is None:
        return None, problems
    columns = {
        role: RawColumn(layout.names[position], table[str(position)], is_untyped=True)
        for role, position in positions.items()
    }
    return RawFile(path, columns, locate=lambda row: _locate(layout, row)), problems


def _layout(path: Path, delimiter: str, header: tuple[str, ...] | None) -> _Layout:
    if header is not None:
        return _Layout(path, delimiter, header, header_lines=0)
    with _text(path) as lines:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            names = next((row for row in reader if row), [])
        except csv.Error as error:
            raise DataError(_syntax_problem(path, line=1, message=str(error))) from None
        return _Layout(path, delimiter, tuple(names), header_lines=reader.line_num)


def _parse(layout: _Layout, kinds: dict[int, pa.DataType]) -> tuple[pa.Table | None, bool]:
    """Return the columns (None if Arrow failed), and whether a strict second pass is needed.

    kinds: the Arrow type by position of each column to read.
    """
    n_skipped = 0

    def skip(_: pa_csv.InvalidRow) -> str:
        nonlocal n_skipped
        n_skipped += 1
        return "skip"

    with decompressed(layout.path) as file:
        watched = _Watched(file)
        try:
            table = pa_csv.open_csv(
                pa.PythonFile(watched, mode="r"),
                read_options=pa_csv.ReadOptions(
                    column_names=[str(position) for position in range(len(layout.names))],
                    skip_rows=layout.header_lines,
                    block_size=_BLOCK_BYTES,
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=skip
                ),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=[str(position) for position in kinds],
                    column_types={str(position): kind for position, kind in kinds.items()},
                    null_values=[],
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            ).read_all()
        except pa.ArrowInvalid:
            return None, True
    return table, bool(n_skipped or watched.is_suspect or not table.num_rows)


def _strict_problems(layout: _Layout, *, n_read: int | None) -> list[Problem]:
    """Return the problems of rows with a wrong number of fields, and of quotes or line ends that Arrow misreads.

    n_read: number of rows that Arrow read; None if it failed.
    """
    n_fields, where = len(layout.names), str(layout.path)
    lengths = _field_counts(layout)
    if set(lengths) == {n_fields}:
        return [] if lengths[n_fields] == n_read else [_unreadable(where, n_rows=lengths[n_fields], n_read=n_read or 0)]
    n_rows = n_bad = 0
    example = ""
    problems = []
    try:
        for line, fields in _records(layout, strict=True):
            n_rows += 1
            if len(fields) != n_fields:
                n_bad += 1
                example = example or f"line {line:,} has {len(fields)} field{'' if len(fields) == 1 else 's'}"
    except _SyntaxError as error:
        problems.append(_syntax_problem(layout.path, line=error.line, message=str(error)))
    if n_bad:
        problems.append(
            Problem(
                where=where,
                what=f"{n_bad:,} of {n_rows:,} rows have not the {n_fields} fields they should have",
                example=example,
                remedy="Put fields that hold the delimiter into quotes; check source.delimiter and source.header.",
            )
        )
    if not n_rows and not problems:
        problems.append(Problem(where, "there are no rows of data", "Give a file with interactions."))
    return problems


def _field_counts(layout: _Layout) -> Counter[int]:
    """Return the number of rows by number of fields (a fast count); empty if a row cannot be divided into fields."""
    with _text(layout.path) as lines:
        deque(islice(lines, layout.header_lines), maxlen=0)
        try:
            lengths = Counter(map(len, csv.reader(lines, delimiter=layout.delimiter, strict=True)))
        except csv.Error:
            return Counter()
    del lengths[0]  # blank lines
    return lengths


def _unreadable(where: str, *, n_rows: int, n_read: int) -> Problem:
    return Problem(
        where=where,
        what=f"only {n_read:,} of {n_rows:,} rows can be read",
        remedy=f"Leave out columns of long text (a row may have {_BLOCK_BYTES >> 20} MiB) and line ends in the header.",
    )


def _syntax_problem(path: Path, *, line: int, message: str) -> Problem:
    what = f"a quoted field is never closed, or a field longer than {_BLOCK_BYTES >> 20} MiB"
    remedy = "Write a quote within quotes as two quotes; leave out columns of long text."
    if "expected after" in message:
        what, remedy = "text follows a closing quote", "Write a quote within quotes as two quotes."
    elif "new-line" in message:
        what = "a carriage return stands outside quotes"
        remedy = "End lines with a line feed; put fields that hold a carriage return into quotes."
    return Problem(where=str(path), what=what, example=f"in the row that begins on line {line:,}", remedy=remedy)


def _locate(layout: _Layout, row: int) -> str:
    """Return the place of a row, e.g. ``line 17``; ``row`` counts, from 0, the rows with the right number of fields."""
    whole = (line for line, fields in _records(layout, strict=False) if len(fields) == len(layout.names))
    try:
        return f"line {next(islice(whole, row, None)):,}"
    except (_SyntaxError, StopIteration):  # wrong quotes before this row, which are a problem of their own
        return f"row {row + 1:,}"


def _records(layout: _Layout, *, strict: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield, for each record that is not blank, the line on which it begins and its fields."""
    with _text(layout.path) as lines:
        deque(islice(lines, layout.header_lines), maxlen=0)
        reader = csv.reader(lines, delimiter=layout.delimiter, strict=strict)
        line = layout.header_lines + 1
        try:
            for fields in reader:
                if fields:
                    yield line, fields
                line = layout.header_lines + reader.line_num + 1
        except csv.Error as error:
            raise _SyntaxError(str(error), line=line) from None


class _SyntaxError(Exception):
    """The record that begins on ``line`` cannot be divided into fields."""

    def __init__(self, message: str, *, line: int) -> None:
        self.line = line
        super().__init__(message)


@contextmanager
def _text(path: Path) -> Iterator[io.TextIOWrapper]:
    """Open the file as text; lines end with a line feed. Bytes that are not UTF-8 are kept and checked later."""
    with decompressed(path) as file:
        yield io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="\n")


class _Watched:
    """A file for Arrow to read. ``is_suspect`` if it has quotes or lone carriage returns: Arrow accepts wrong ones."""

    closed = False

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self._file = file
        self.is_suspect = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.is_suspect |= b'"' in data or data.count(b"\r") != data.count(b"\r\n")
        return data
