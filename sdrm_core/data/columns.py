"""Store a text column as codes of its distinct values, and report problems of a column.

There are far fewer distinct values than rows, so text is parsed once per distinct value, not once per row.
"""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sdrm_core.data.raw import SHOWN_CHARACTERS, USER, RawColumn, RawFile
from sdrm_core.errors import Problem

CHUNK_ROWS = 1 << 20  # rows are decoded in slices, because an Arrow text array holds at most 2 GiB
_MOST = 0.9  # of the rows are bad: the column may be another one
_MANY, _MANY_ROWS = 0.1, 10  # so is it if a tenth are bad, except in a file of few rows
_LOOKED_AT = 1000  # characters
_LIKE_AN_ID = re.compile(r"\S*@\S*|[^\W\d]\S*\d\S*|\d\S*[^\W\d]{2}\S*")


@dataclass(frozen=True, eq=False)
class CodedText:
    """A text column as codes.

    Attributes:
        codes: (n_rows,) int32, position of the row's value in ``distinct``; -1 for a null.
        distinct: the distinct values as string; null where the bytes are not UTF-8.
    """

    codes: np.ndarray
    distinct: pa.Array

    def rows_of(self, is_bad: np.ndarray) -> np.ndarray:
        """Return (n_rows,) bool: ``is_bad`` (n_distinct,) of the row's value; False for a null row."""
        return np.asarray(np.append(is_bad, False)[self.codes])

    def encoded(self, values: pa.Array) -> pa.ChunkedArray:
        """Return (n_rows,) dictionary-encoded values: ``values`` holds one value per distinct text; no row is null."""
        starts = range(0, len(self.codes), CHUNK_ROWS)
        codes = (pa.array(self.codes[start : start + CHUNK_ROWS]) for start in starts)
        chunks = [pa.DictionaryArray.from_arrays(chunk, values) for chunk in codes]
        return pa.chunked_array(chunks, type=pa.dictionary(pa.int32(), values.type))


def encode(values: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Return the (n_rows,) int32 codes of the rows (-1 for a null), and the distinct values that the codes number."""
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    chunks = encoded.unify_dictionaries().chunks
    codes = [chunk.indices.cast(pa.int32()).fill_null(-1).to_numpy(zero_copy_only=False) for chunk in chunks]
    distinct = chunks[0].dictionary if chunks else pa.array([], encoded.type.value_type)
    return np.concatenate(codes) if codes else np.empty(0, np.int32), distinct


def encode_text(values: pa.ChunkedArray) -> CodedText:
    """Return a column of text or binary (dictionary-encoded or not) as codes."""
    codes, distinct = encode(values)
    return CodedText(codes=codes, distinct=decode_text(distinct))


def decode_text(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return text or binary values as string; bytes that are not UTF-8 become null, even in a text column."""
    if isinstance(values, pa.ChunkedArray):
        return pa.chunked_array([decode_text(chunk) for chunk in values.chunks], pa.string())
    raw = values.cast(pa.binary())
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_decode_or_none(value) for value in raw.to_pylist()], pa.string())


def _decode_or_none(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _shown(values: pa.ChunkedArray, row: int) -> str:
    """Return a row's value for a message: quoted and shortened; "" if it is missing or looks like an id.

    Text is also cut at a line break: after an unclosed quote, the value contains the rows of other users.
    """
    cell = values.slice(row, 1)
    try:
        value = cell.cast(pa.binary())[0].as_py() if is_text(values.type) else cell[0].as_py()
    except (OverflowError, ValueError):  # a time beyond the years that Python knows
        return ""
    if value is None or value in ("", b""):
        return ""
    if not isinstance(value, bytes):
        return shortened(repr(value))
    first_line = value.splitlines()[0]
    text = _decode_or_none(first_line)
    if text is not None and may_be_an_id(text):
        return ""
    shown = repr(first_line if text is None else text)
    return shortened(shown, is_cut=first_line != value)


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds text (or bytes that may be text)."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    checks = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(value) for check in checks) or (pa.types.is_dictionary(kind) and pa.types.is_binary(value))


def null_rows(values: pa.ChunkedArray) -> np.ndarray:
    """Return (n_rows,) bool: whether the row has no value."""
    return np.asarray(values.is_null().to_numpy())


def may_be_another_column(n_bad: int, n_rows: int) -> bool:
    """Return whether so many rows are bad that the column may be a wrong one, which may hold user ids.

    That is 90 % of the rows, or 10 % if these are ten rows or more: some of the ids may be valid values by chance.
    """
    return n_bad >= _MOST * n_rows or n_bad >= max(_MANY * n_rows, _MANY_ROWS)


def may_be_an_id(text: str) -> bool:
    """Return whether a text looks like a user id: an address, or letters and digits mixed.

    In a row with a column too few or too many, any column may hold the user id. Only the beginning of a long text is
    looked at, because the time grows with the square of the length.
    """
    return _LIKE_AN_ID.fullmatch(text.strip()[:_LOOKED_AT]) is not None


def shortened(text: str, *, is_cut: bool = False) -> str:
    """Return the first 60 characters for a message, with "…" if characters are missing here or were cut before."""
    return text[:SHOWN_CHARACTERS] + ("…" if is_cut or len(text) > SHOWN_CHARACTERS else "")


def found_in(file: RawFile, column: RawColumn, bad_rows: np.ndarray, *, what: str, remedy: str) -> list[Problem]:
    """Return one problem that counts the bad rows and shows the first one; an empty list if no row is bad.

    Messages end up in logs, so a user id is never quoted; the message gives only its place. Other values are quoted
    unless they may be user ids by mistake: if very many rows are bad, or the value looks like an id.

    Args:
        file: gives the file name and the place of a row.
        column: gives the column name and the value of a row.
        bad_rows: (n_rows,) bool.
        what: what is wrong with a row, e.g. ``no user id``.
        remedy: what the user can do about it.
    """
    count = int(np.count_nonzero(bad_rows))
    if not count:
        return []
    first = int(np.argmax(bad_rows))
    may_be_users = column is file.columns.get(USER) or may_be_another_column(count, len(bad_rows))
    shown = "" if may_be_users else _shown(column.values, first)
    example = ": ".join(part for part in (file.locate(first), shown) if part)
    return [
        Problem(
            where=str(file.path),
            what=what,
            remedy=remedy,
            example=example,
            column=column.name,
            n_bad=count,
            n_rows=len(bad_rows),
        )
    ]
