"""Read JSON lines: by Arrow if it changes no value, otherwise line by line in Python, which finds what is wrong."""

import json
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as pa_json

from sdrm_core.config import SourceConfig
from sdrm_core.data.columns import may_be_an_id, may_be_another_column, shortened
from sdrm_core.data.formats import BOM, decompressed
from sdrm_core.data.raw import ITEM, RATING, TIMESTAMP, USER, RawColumn, RawFile, find_columns, wanted_columns
from sdrm_core.errors import Problem

_BLOCK_BYTES = 8 << 20
_BATCH_ROWS = 1 << 16
_ID_TYPES: dict[type, pa.DataType] = {int: pa.int64(), str: pa.string()}
_RATING_TYPES: dict[type, pa.DataType] = {int: pa.float64(), float: pa.float64(), str: pa.string()}
_TIMESTAMP_TYPES: dict[type, pa.DataType] = _ID_TYPES | {float: pa.float64()}
_ARROW_TYPES = {USER: _ID_TYPES, ITEM: _ID_TYPES, RATING: _RATING_TYPES, TIMESTAMP: _TIMESTAMP_TYPES}


def read_jsonl(path: Path, source: SourceConfig) -> tuple[RawFile | None, list[Problem]]:
    """Return the mapped keys of a JSON lines file (plain or gzip) as columns, and what is wrong with the file.

    Lines that cannot be read are left out of the columns, so that problems in the other lines are found too.
    """
    wanted = wanted_columns(source)
    table = _read_with_arrow(path, wanted)
    if table is None or table.num_rows != sum(1 for _ in _lines(path)):  # Arrow accepts several objects in one line
        return _SlowReading(path, source).result()
    columns = {role: RawColumn(name, table[name], is_untyped=False) for role, name in wanted.items()}
    return RawFile(path, columns, locate=lambda row: f"line {next(islice(_lines(path), row, None))[0]:,}"), []


def _read_with_arrow(path: Path, wanted: dict[str, str]) -> pa.Table | None:
    """Return the columns; None if a value has another type than on the first line.

    Arrow refuses values that it would have to change: a fraction or 2^63 as an integer, a number as text.
    """
    schema = _schema_of_first(path, wanted)
    if schema is None:
        return None
    with decompressed(path) as file:
        try:
            return pa_json.open_json(
                pa.PythonFile(file, mode="r"),
                read_options=pa_json.ReadOptions(block_size=_BLOCK_BYTES),
                parse_options=pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            ).read_all()
        except pa.ArrowInvalid:
            return None


def _schema_of_first(path: Path, wanted: dict[str, str]) -> pa.Schema | None:
    first = next((line for _, line in _lines(path)), b"")
    try:
        record = json.loads(first.decode())
        return pa.schema([(name, _ARROW_TYPES[role][type(record[name])]) for role, name in wanted.items()])
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each line that is not blank."""
    with decompressed(path) as file:
        for number, line in enumerate(file, start=1):
            content = line.removeprefix(BOM) if number == 1 else line
            if content.strip():
                yield number, content


class _SlowReading:
    """One pass in Python over a file that Arrow could not read without changes."""

    def __init__(self, path: Path, source: SourceConfig) -> None:
        self._path = path
        self._source = source
        self._wanted = wanted_columns(source)
        self._line_of_row = array("q")
        self._keys: dict[str, None] = {}
        self._columns = {role: _SlowColumn(is_id=role in (USER, ITEM), is_secret=role == USER) for role in self._wanted}
        self._n_bad = 0
        self._first_bad = ""

    def result(self) -> tuple[RawFile | None, list[Problem]]:
        """Read the file; return the columns and what is wrong with them."""
        for number, line in _lines(self._path):
            self._read_line(number, line)
        problems = self._bad_lines()
        if not self._line_of_row:
            return None, problems
        found, missing = find_columns(self._path, tuple(self._keys), self._source, may_be_data=True)
        problems += missing
        columns = {}
        for role in found:
            column, name = self._columns[role], self._wanted[role]
            problems += column.problems(self._path, name, wanted=self._id_type(role), role=role)
            columns[role] = RawColumn(name, column.values(), is_untyped=not column.n_texts)
        return RawFile(self._path, columns, locate=lambda row: f"line {self._line_of_row[row]:,}"), problems

    def _read_line(self, number: int, line: bytes) -> None:
        try:
            record = json.loads(line.decode(), object_pairs_hook=_Object)
            if not isinstance(record, _Object):
                raise ValueError("not an object in braces")
            if record.has_key_twice:
                raise ValueError("a key occurs twice")
        except (ValueError, RecursionError) as error:  # bad UTF-8 is a ValueError, too
            self._n_bad += 1
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            self._first_bad = self._first_bad or f"line {number:,}: {reason}"
            return
        self._line_of_row.append(number)
        self._keys |= dict.fromkeys(record)
        for role, name in self._wanted.items():
            self._columns[role].add(record.get(name), line=number)

    def _bad_lines(self) -> list[Problem]:
        if not self._n_bad:
            return []
        n_lines = self._n_bad + len(self._line_of_row)
        return [
            Problem(
                where=str(self._path),
                what=f"not a JSON object in UTF-8 in {self._n_bad:,} of {n_lines:,} lines",
                example=self._first_bad,
                remedy="Write one JSON object a line, each key once.",
            )
        ]

    def _id_type(self, role: str) -> str:
        return {USER: self._source.user_id_type, ITEM: self._source.item_id_type}.get(role, "")


class _SlowColumn:
    """The values of one key as text, integers as their exact digits. Messages quote no value that may be a user id."""

    def __init__(self, *, is_id: bool, is_secret: bool) -> None:
        self._is_id, self._is_secret = is_id, is_secret
        self._chunks: list[pa.Array] = []
        self._batch: list[str | None] = []
        self._n_rows = self.n_texts = self._n_integers = self._n_others = 0
        self._first: dict[str, tuple[int, str | None]] = {}

    def add(self, value: Any, *, line: int) -> None:
        """Add the value of the next row; None if the key is missing."""
        kind, text = _kind_and_text(value)
        self._n_rows += 1
        self._n_integers += kind == "integer"
        self.n_texts += kind == "text"
        self._n_others += kind == "other"
        self._first.setdefault(kind, (line, text))
        self._batch.append(text)
        if len(self._batch) == _BATCH_ROWS:
            self._flush()

    def values(self) -> pa.ChunkedArray:
        """Return all rows as dictionary-encoded text."""
        self._flush()
        return pa.chunked_array(self._chunks).unify_dictionaries()

    def problems(self, path: Path, name: str, *, wanted: str, role: str) -> list[Problem]:
        """Return why the values cannot be ids; for ratings and time stamps nothing: they are checked later."""
        if not self._is_id:
            return []
        problems = []
        if self._n_others:
            problems.append(
                Problem(
                    where=str(path),
                    what="neither an integer nor text",
                    remedy="Write the ids as integers or as text.",
                    example=self._example("other", n_bad=self._n_others),
                    column=name,
                    n_bad=self._n_others,
                    n_rows=self._n_rows,
                )
            )
        if self._n_integers and self.n_texts and wanted != "text":
            examples = (self._example(kind, n_bad=self._n_integers + self.n_texts) for kind in ("integer", "text"))
            problems.append(
                Problem(
                    where=str(path),
                    what=f"mixed id types: integers in {self._n_integers:,} rows, text in {self.n_texts:,}",
                    example=" and ".join(examples),
                    remedy=f"Write all ids alike, or set source.{role}_type to text to read integers as their digits.",
                    column=name,
                )
            )
        return problems

    def _example(self, kind: str, *, n_bad: int) -> str:
        line, text = self._first[kind]
        may_be_users = self._is_secret or may_be_another_column(n_bad, self._n_rows) or may_be_an_id(str(text))
        return f"line {line:,}" if may_be_users else f"line {line:,}: {shortened(repr(text))}"

    def _flush(self) -> None:
        self._chunks.append(pa.array(self._batch, pa.string()).dictionary_encode())
        self._batch = []


def _kind_and_text(value: Any) -> tuple[str, str | None]:
    """Return the kind of a JSON value (missing, text, integer or other), and its text; None if it is missing."""
    if value is None:
        return "missing", None
    if isinstance(value, str):
        return ("text", value) if _is_encodable(value) else ("other", ascii(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return "integer", str(value)
    return "other", json.dumps(value)


def _is_encodable(text: str) -> bool:
    """Return whether a text is valid Unicode; a JSON escape can be half of a surrogate pair, which is not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Object(dict[str, Any]):
    """A JSON object. Keys may occur twice in one nested in another: Arrow does not look there either."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.has_key_twice = len(self) < len(pairs)
