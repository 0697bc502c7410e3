"""Ratings and time stamps: read as numbers, or refused with the first row that is not one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sdrm_core.data.columns import encode_text, found_in, is_text, null_rows
from sdrm_core.data.raw import RATING, TIMESTAMP, RawColumn, RawFile
from sdrm_core.errors import Problem

_NUMBER = r"\A[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\z"
_BLANK = r"\A\s*\z"
_NAN = r"\A[+-]?(?i:nan)\z"
_INFINITE = r"\A[+-]?(?i:inf(inity)?)\z"
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})\z"
_TICKS_PER_SECOND = 1_000_000
_INT64_BOUND = float(1 << 63)


class _Fault(IntEnum):
    """Why a value is not a finite number."""

    NONE = 0
    MISSING = 1
    NAN = 2
    INFINITE = 3
    TEXT = 4


_RATING_FAULTS = {
    _Fault.MISSING: "no rating",
    _Fault.NAN: "a rating of NaN",
    _Fault.INFINITE: "an infinite rating",
    _Fault.TEXT: "a rating that is not a number",
}


def parse_ratings(files: Sequence[RawFile]) -> tuple[pa.ChunkedArray, list[Problem]]:
    """Return the ratings of all files as one float64 column of finite numbers, and what is wrong with them.

    A text that is a number counts as one, in every format.
    """
    problems: list[Problem] = []
    chunks = []
    for file in files:
        column = file.columns.get(RATING)
        if column is not None:
            rating, found = _parse_rating(file, column)
            problems += found
            chunks.append(pa.array(rating))
    return pa.chunked_array(chunks, type=pa.float64()), problems


def parse_timestamps(files: Sequence[RawFile]) -> tuple[pa.ChunkedArray, list[Problem]]:
    """Return the time stamps of all files as one int64 column, and what is wrong with them.

    They only order the rows of one (user, item) pair. Integers stay as they are, in their own unit. Dates and times
    (ISO 8601, UTC where no zone is given) and fractional numbers of seconds become microseconds.
    """
    problems: list[Problem] = []
    stamps = []
    places: dict[str, tuple[RawFile, RawColumn]] = {}
    for file in files:
        column = file.columns.get(TIMESTAMP)
        if column is not None:
            parsed, found = _parse_stamps(file, column)
            problems += found
            stamps.append(parsed)
            places.setdefault("times" if parsed.dtype.kind == "M" else "numbers", (file, column))
    if len(places) > 1 and not problems:
        file, column = places["times"]
        problems.append(
            Problem(
                where=f"{file.path.parent}, column {column.name!r}",
                what="some files hold numbers, others dates and times",
                example=f"numbers in {places['numbers'][0].path.name}, times in {file.path.name}",
                remedy="Write the time stamps of all files alike.",
            )
        )
    return pa.chunked_array([] if problems else _ticks(stamps), type=pa.int64()), problems


def _parse_rating(file: RawFile, column: RawColumn) -> tuple[np.ndarray, list[Problem]]:
    """Return (n_rows,) float64 and what is wrong with it."""
    values, kind = column.values, column.values.type
    if is_text(kind):
        coded = encode_text(values)
        distinct, distinct_fault = _read_numbers(coded.distinct)
        rating = np.append(distinct, np.nan)[coded.codes]  # code -1: a null
        fault = np.append(distinct_fault, _Fault.MISSING)[coded.codes]
        shown = coded.shown_row
    elif _is_number(kind):
        rating = values.cast(pa.float64()).to_numpy()
        fault = np.select(
            [null_rows(values), np.isnan(rating), np.isinf(rating)], [_Fault.MISSING, _Fault.NAN, _Fault.INFINITE]
        )
        shown = lambda row: str(rating[row])  # noqa: E731 - the other way to show a row is a method
    else:
        return np.empty(0), [_wrong_type(file, column, remedy="Write the ratings as numbers.")]
    problems = []
    for wrong, what in _RATING_FAULTS.items():
        problems += found_in(file, column, fault == wrong, what=what, remedy=_rating_remedy(wrong), shown=shown)
    return rating, problems


def _rating_remedy(fault: _Fault) -> str:
    if fault is _Fault.TEXT:
        return (
            "Write ratings as numbers with a decimal point; if the first line holds column names, leave out "
            "source.header; if the rows are events without a rating, set source.feedback to implicit."
        )
    return "Correct these rows or remove them; if the rows are events, set source.feedback to implicit."


def _read_numbers(distinct: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the number each text stands for (float64, NaN if none) and its fault."""
    trimmed = pc.utf8_trim_whitespace(distinct)
    is_number = pc.match_substring_regex(trimmed, _NUMBER)
    numbers = pc.if_else(is_number, trimmed, pa.scalar(None, pa.string())).cast(pa.float64())
    numbers = numbers.to_numpy(zero_copy_only=False)
    fault = np.select(
        [
            _matches(trimmed, _BLANK),
            _matches(trimmed, _NAN),
            _matches(trimmed, _INFINITE) | np.isinf(numbers),
            np.isnan(numbers),
        ],
        [_Fault.MISSING, _Fault.NAN, _Fault.INFINITE, _Fault.TEXT],
    )
    return numbers, fault


def _parse_stamps(file: RawFile, column: RawColumn) -> tuple[np.ndarray, list[Problem]]:
    """Return (n_rows,) int64 (integers), float64 (fractions of a second) or datetime64 (times), and the problems."""
    values, kind = column.values, column.values.type
    if pa.types.is_temporal(kind) and not (pa.types.is_time(kind) or pa.types.is_duration(kind)):
        stamps = values.cast(pa.timestamp("us"), safe=False).to_numpy()
        bad, shown = null_rows(values), lambda _: ""
    elif is_text(kind):
        coded = encode_text(values)
        distinct, is_bad = _read_stamps(coded.distinct)
        stamps = distinct[coded.codes] if len(distinct) else np.empty(0, dtype=np.int64)
        bad, shown = np.append(is_bad, True)[coded.codes], coded.shown_row
    elif _is_number(kind):
        stamps, bad = _number_stamps(values)
        shown = lambda row: str(values[row].as_py())  # noqa: E731 - the other ways are a constant and a method
    else:
        return np.empty(0, dtype=np.int64), [_wrong_type(file, column, remedy="Write numbers or ISO 8601 times.")]
    return stamps, found_in(
        file,
        column,
        bad,
        what="no readable time stamp",
        remedy="Write numbers or ISO 8601 times, all alike, or leave out source.columns.timestamp.",
        shown=shown,
    )


def _number_stamps(values: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return a numeric column as int64 where all are whole, else as float64, and which rows are not usable."""
    missing = null_rows(values)
    if pa.types.is_integer(values.type) and values.type != pa.uint64():
        return pc.fill_null(values.cast(pa.int64()), 0).to_numpy(), missing
    numbers = values.cast(pa.float64(), safe=False).to_numpy()
    bad = missing | ~(np.abs(numbers) < _INT64_BOUND / _TICKS_PER_SECOND)
    whole = numbers[~bad]
    return (np.where(bad, 0, numbers).astype(np.int64) if (whole == np.floor(whole)).all() else numbers), bad


def _read_stamps(distinct: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct texts as numbers or as times, whichever most of them are, and which of them are not."""
    trimmed = pc.utf8_trim_whitespace(distinct)
    is_number = _matches(trimmed, _NUMBER)
    if 2 * np.count_nonzero(is_number) < len(distinct):
        times = _read_times(trimmed)
        return times, np.isnat(times)
    kept = pc.if_else(pa.array(is_number), trimmed, pa.scalar(None, pa.string()))
    try:
        return kept.cast(pa.int64()).fill_null(0).to_numpy(), ~is_number
    except pa.ArrowInvalid:  # fractions, an exponent, a plus sign, or beyond 64 bits
        stamps, bad = _number_stamps(pa.chunked_array([kept.cast(pa.float64())]))
        return stamps, bad


def _read_times(texts: pa.Array) -> np.ndarray:
    """Return (n,) datetime64[us] in UTC; NaT where the text is not a time."""
    has_zone = _matches(texts, _ZONE)
    times = np.full(len(texts), np.datetime64("NaT", "us"))
    for rows, kind in ((has_zone, pa.timestamp("us", "UTC")), (~has_zone, pa.timestamp("us"))):
        some = texts.filter(pa.array(rows))
        try:
            times[rows] = some.cast(kind).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:  # something Arrow cannot read, or no time at all: one by one
            times[rows] = [_time_or_nat(text) for text in some.to_pylist()]
    return times


def _time_or_nat(text: str | None) -> np.datetime64:
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return np.datetime64("NaT", "us")
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time, "us")


def _ticks(stamps: Sequence[np.ndarray]) -> list[pa.Array]:
    """Return all as int64 in one unit: microseconds as soon as one part holds fractions of a second."""
    is_fractional = any(part.dtype.kind == "f" for part in stamps)
    if not is_fractional:
        return [pa.array(part.astype(np.int64)) for part in stamps]
    return [pa.array(np.floor(part * float(_TICKS_PER_SECOND)).astype(np.int64)) for part in stamps]


def _matches(texts: pa.Array, pattern: str) -> np.ndarray:
    found = pc.match_substring_regex(texts, pattern).fill_null(False)
    return np.asarray(found.to_numpy(zero_copy_only=False))


def _is_number(kind: pa.DataType) -> bool:
    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(check(kind) for check in checks)


def _wrong_type(file: RawFile, column: RawColumn, *, remedy: str) -> Problem:
    return Problem(
        where=f"{file.path}, column {column.name!r}",
        what=f"values of type {column.values.type} where numbers are expected",
        remedy=remedy,
    )
