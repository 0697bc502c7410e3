"""Read the ids of users and items without changing them: all 64-bit integers, or all text."""

from collections.abc import Sequence
from dataclasses import dataclass
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
_MISSING_REMEDY = "Give every row an id or remove the row."
# Texts that databases and data frames write for a missing value. As ids, all missing values would be one user or item.
_MISSING = pa.array(["", "NULL", "null", "NaN", "nan", "None", r"\N", "<NA>"])
_BYTE_ORDER_MARK = "\ufeff"


def parse_ids(files: Sequence[RawFile], *, role: str, wanted: IdType) -> tuple[pa.ChunkedArray, list[Problem]]:
    """Return the ids of all files as one column (empty if there are problems), and the problems.

    The column is int64 or dictionary-encoded string; plain strings would take most of the memory of the log.

    A column without a type (CSV) becomes int64 only if every id is a canonical 64-bit integer: without leading zeros
    or plus sign, so that writing the integer gives the same characters. Otherwise the whole column is text. In formats
    with types, text stays text and integers stay integers. If a file has integers beyond 64 bits, all ids become text.

    Args:
        files: the files; those without the column are skipped.
        role: ``user_id`` or ``item_id``.
        wanted: ``integer`` or ``text`` forces this type (``text`` turns integers into their digits).
    """
    problems: list[Problem] = []
    parts: list[_Ids] = []
    for file in files:
        if role in file.columns:
            part, found = _parse_file(file, file.columns[role], role)
            problems += found
            parts += [] if part is None else [part]
    if wanted == "integer":
        problems += [problem for part in parts for problem in _not_integers(part, role)]
    if wanted == "auto":
        problems += _mixed_types(parts, role)
    if problems or not parts:
        return pa.chunked_array([], pa.int64()), problems
    is_integer = wanted == "integer" or (wanted == "auto" and all(part.may_be_integer for part in parts))
    columns = [part.as_integers() if is_integer else part.as_text() for part in parts]
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], type=columns[0].type), []


@dataclass(frozen=True, eq=False)
class _Ids:
    """The ids of one file, as int64 or as coded text; ``is_text_by_type`` if the file itself declares them as text."""

    file: RawFile
    column: RawColumn
    values: pa.ChunkedArray | CodedText
    is_text_by_type: bool

    @property
    def may_be_integer(self) -> bool:
        """Whether int64 keeps every id exactly as it is, and the file does not declare the ids as text."""
        is_canonical = not isinstance(self.values, CodedText) or bool(_is_canonical(self.values.distinct).all())
        return is_canonical and not self.is_text_by_type

    def as_integers(self) -> pa.ChunkedArray:
        """Return the ids as int64."""
        if isinstance(self.values, CodedText):
            return self.values.encoded(self.values.distinct.cast(pa.int64())).cast(pa.int64())
        return self.values

    def as_text(self) -> pa.ChunkedArray:
        """Return the ids as dictionary-encoded string."""
        if isinstance(self.values, CodedText):
            return self.values.encoded(self.values.distinct)
        return self.values.cast(pa.string()).dictionary_encode()


def _parse_file(file: RawFile, column: RawColumn, role: str) -> tuple[_Ids | None, list[Problem]]:
    """Return the ids of one file and what is wrong with them; None instead of ids if their type is unsuitable."""
    values, kind = column.values, column.values.type
    problems = found_in(file, column, null_rows(values), what=f"no {_name(role)}", remedy=_MISSING_REMEDY)
    if pa.types.is_null(kind):
        return None, problems
    if pa.types.is_integer(kind) and _fits(values):
        return _Ids(file, column, values.cast(pa.int64()), is_text_by_type=False), problems
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return _Ids(file, column, encode_text(values.cast(pa.string())), is_text_by_type=False), problems
    if is_text(kind):
        coded = encode_text(values)
        problems += _text_problems(file, column, coded, role)
        return _Ids(file, column, coded, is_text_by_type=not column.is_untyped), problems
    problems.append(
        Problem(
            where=str(file.path),
            what=f"the {_name(role)}s are of type {kind}, which is neither an integer nor text",
            remedy="Write the ids as integers or as text.",
            column=column.name,
        )
    )
    return None, problems


def _text_problems(file: RawFile, column: RawColumn, coded: CodedText, role: str) -> list[Problem]:
    is_missing = pc.is_in(pc.utf8_trim_whitespace(coded.distinct), _MISSING).to_numpy(zero_copy_only=False)
    is_broken = coded.distinct.is_null().to_numpy(zero_copy_only=False)
    is_marked = pc.starts_with(coded.distinct, _BYTE_ORDER_MARK).fill_null(False).to_numpy(zero_copy_only=False)
    return [
        *found_in(
            file,
            column,
            coded.rows_of(is_missing),
            what=f"no {_name(role)}",
            remedy=f"{_MISSING_REMEDY} Blanks and words for a missing value, such as NULL, are no ids.",
        ),
        *found_in(
            file,
            column,
            coded.rows_of(is_broken),
            what="text that is not valid UTF-8",
            remedy="Save the file in UTF-8.",
        ),
        *found_in(
            file,
            column,
            coded.rows_of(is_marked),
            what="a byte-order mark in the middle of the file",
            remedy="Remove it, with the header line after it if there is one: files put together keep theirs.",
        ),
    ]


def _not_integers(ids: _Ids, role: str) -> list[Problem]:
    """Return the problem of ids that are not canonical 64-bit integers; called if the user asks for integers."""
    if not isinstance(ids.values, CodedText):
        return []
    return found_in(
        ids.file,
        ids.column,
        ids.values.rows_of(~_is_canonical(ids.values.distinct)),
        what="not an integer of 64 bits, written without leading zeros or plus sign,",
        remedy=f"Correct the ids, or set source.{role}_type to text to keep them as they are.",
    )


def _mixed_types(parts: Sequence[_Ids], role: str) -> list[Problem]:
    texts = [part for part in parts if part.is_text_by_type]
    integers = [part for part in parts if not part.is_text_by_type]
    if not texts or not integers:
        return []
    return [
        Problem(
            where=str(texts[0].file.path.parent),
            what=f"mixed id types: integers in {len(integers):,} of {len(parts):,} files, text in {len(texts):,}",
            example=f"integers in {integers[0].file.path.name}, text in {texts[0].file.path.name}",
            remedy=f"Write all files alike, or set source.{role}_type to text to read integers as their digits.",
            column=texts[0].column.name,
        )
    ]


def _is_canonical(distinct: pa.Array) -> np.ndarray:
    """Return (n_distinct,) bool: whether the text, read as int64 and written again, is unchanged."""
    found = pc.match_substring_regex(distinct, _CANONICAL).fill_null(False)
    matches = np.array(found.to_numpy(zero_copy_only=False))
    lengths = pc.utf8_length(distinct).fill_null(0).to_numpy(zero_copy_only=False)
    for position in np.flatnonzero(matches & (lengths > _ALWAYS_FITS)):
        matches[position] = -_INT64_MAX - 1 <= int(distinct[int(position)].as_py()) <= _INT64_MAX
    return matches


def _fits(values: pa.ChunkedArray) -> bool:
    """Return whether all integers fit into int64; only an unsigned column can hold larger ones."""
    return bool(values.type != pa.uint64() or (pc.max(values).as_py() or 0) <= _INT64_MAX)


def _name(role: str) -> str:
    return role.replace("_", " ")
