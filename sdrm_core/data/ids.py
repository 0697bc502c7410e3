"""Ids of users and items, kept exactly as the source has them: 64-bit integers or text, never anything between."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sdrm_core.data.columns import CodedText, encode_text, found_in, is_text, null_rows
from sdrm_core.data.raw import RawColumn, RawFile
from sdrm_core.errors import Problem

IdType = Literal["auto", "integer", "text"]

_INT64_MAX = (1 << 63) - 1
_CANONICAL = r"\A(0|-?[1-9][0-9]{0,18})\z"
_ALWAYS_FITS = 18  # digits


def parse_ids(files: Sequence[RawFile], role: str, *, wanted: IdType) -> tuple[pa.ChunkedArray | None, list[Problem]]:
    """Return the ids of all files as one int64 or string column, or the problems that forbid it.

    An untyped column (CSV) is an integer column only if every id is a canonical integer of 64 bits: no leading
    zeros, no plus sign, so that writing it gives the same characters. Otherwise all of it is text. In typed
    formats text stays text and integers stay integers; integers beyond 64 bits become the text of their digits.

    Args:
        files: the files; those without the column are skipped.
        role: ``user_id`` or ``item_id``.
        wanted: forces one type; ``text`` turns integers into their digits.
    """
    problems: list[Problem] = []
    columns: list[pa.ChunkedArray | CodedText] = []
    is_untyped = False
    for file in files:
        column = file.columns.get(role)
        if column is not None:
            parsed, found = _parse_file(file, column, role)
            problems += found
            columns += [] if parsed is None else [parsed]
            is_untyped |= column.is_untyped
    if problems or not columns:
        return None, problems
    if wanted == "integer" or (wanted == "auto" and is_untyped and _all_canonical(columns)):
        problems = [problem for file in files for problem in _not_integers(file, role)]
        return (None, problems) if problems else (_chain(_as_integers(column) for column in columns), [])
    n_text = sum(isinstance(column, CodedText) for column in columns)
    if wanted == "auto" and 0 < n_text < len(columns):
        return None, [_mixed_types(files, role, n_text=n_text, n_integer=len(columns) - n_text)]
    if n_text or wanted == "text":
        return _chain(_as_text(column) for column in columns), []
    return _chain(_as_integers(column) for column in columns), []


def _parse_file(
    file: RawFile, column: RawColumn, role: str
) -> tuple[pa.ChunkedArray | CodedText | None, list[Problem]]:
    """Return one file's ids as int64 or as coded text."""
    values, kind = column.values, column.values.type
    missing = found_in(
        file,
        column,
        null_rows(values),
        what=f"no {_name(role)}",
        remedy=f"Give every row its {_name(role)} or remove the row.",
        shown=lambda _: "",
    )
    if missing or pa.types.is_null(kind):
        return None, missing
    if pa.types.is_integer(kind) and _fits(values):
        return values.cast(pa.int64()), []
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return encode_text(values.cast(pa.string())), []
    if is_text(kind):
        coded = encode_text(values)
        return coded, _text_problems(file, column, coded, role)
    return None, [
        Problem(
            where=f"{file.path}, column {column.name!r}",
            what=f"the {_name(role)}s are of type {kind}, which does not keep an id as it is",
            remedy="Write the ids as integers or as text.",
        )
    ]


def _text_problems(file: RawFile, column: RawColumn, coded: CodedText, role: str) -> list[Problem]:
    is_empty = pc.equal(coded.distinct, "").fill_null(False).to_numpy(zero_copy_only=False)
    is_broken = coded.distinct.is_null().to_numpy(zero_copy_only=False)
    return [
        *found_in(
            file,
            column,
            coded.rows_of(is_empty),
            what=f"no {_name(role)}",
            remedy=f"Give every row its {_name(role)} or remove the row.",
            shown=lambda _: "",
        ),
        *found_in(
            file,
            column,
            coded.rows_of(is_broken),
            what="text that is not valid UTF-8",
            remedy="Save the file in UTF-8.",
            shown=coded.shown_row,
        ),
    ]


def _not_integers(file: RawFile, role: str) -> list[Problem]:
    """Return the problem of ids that are not canonical 64-bit integers, in a column that must hold nothing else."""
    column = file.columns.get(role)
    if column is None or (pa.types.is_integer(column.values.type) and _fits(column.values)):
        return []
    coded = encode_text(column.values if is_text(column.values.type) else column.values.cast(pa.string()))
    return found_in(
        file,
        column,
        coded.rows_of(~_is_canonical(coded.distinct)),
        what="not an integer of 64 bits, written without leading zeros or sign",
        remedy=f"Correct the ids, or set source.{role}_type to text to keep them as they are.",
        shown=coded.shown_row,
    )


def _mixed_types(files: Sequence[RawFile], role: str, *, n_text: int, n_integer: int) -> Problem:
    first = next(file for file in files if role in file.columns)
    return Problem(
        where=f"{first.path.parent}, column {first.columns[role].name!r}",
        what=f"mixed id types: integers in {n_integer:,} files, text in {n_text:,}",
        example=f"{first.path.name} has {first.columns[role].values.type}",
        remedy=f"Write all files alike, or set source.{role}_type to text to read integers as their digits.",
    )


def _all_canonical(columns: Sequence[pa.ChunkedArray | CodedText]) -> bool:
    return all(not isinstance(column, CodedText) or _is_canonical(column.distinct).all() for column in columns)


def _is_canonical(distinct: pa.Array) -> np.ndarray:
    """Return (n_distinct,) bool: whether reading the text as int64 and writing it gives the same text."""
    matches = pc.match_substring_regex(distinct, _CANONICAL).fill_null(False).to_numpy(zero_copy_only=False).copy()
    lengths = pc.utf8_length(distinct).fill_null(0).to_numpy(zero_copy_only=False)
    for position in np.flatnonzero(matches & (lengths > _ALWAYS_FITS)):
        matches[position] = -_INT64_MAX - 1 <= int(distinct[int(position)].as_py()) <= _INT64_MAX
    return matches


def _as_integers(column: pa.ChunkedArray | CodedText) -> pa.ChunkedArray:
    return column.expand(column.distinct.cast(pa.int64())) if isinstance(column, CodedText) else column


def _as_text(column: pa.ChunkedArray | CodedText) -> pa.ChunkedArray:
    return column.expand(column.distinct) if isinstance(column, CodedText) else column.cast(pa.string())


def _chain(columns: "Sequence[pa.ChunkedArray]") -> pa.ChunkedArray:
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks])


def _fits(values: pa.ChunkedArray) -> bool:
    """Return whether all integers fit 64 bits with a sign; only an unsigned column may hold larger ones."""
    return bool(values.type != pa.uint64() or (pc.max(values).as_py() or 0) <= _INT64_MAX)


def _name(role: str) -> str:
    return role.replace("_", " ")
