"""Read ratings and time stamps as numbers; values that are none become problems that show the first such row."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sdrm_core.data.columns import decode_text, encode, encode_text, found_in, is_text, null_rows
from sdrm_core.data.raw import RATING, TIMESTAMP, RawColumn, RawFile
from sdrm_core.errors import Problem, and_more

_NUMBER = r"\A[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\z"
_BLANK = r"\A\s*\z"
_NAN = r"\A[+-]?(?i:nan)\z"
_INFINITE = r"\A[+-]?(?i:inf(inity)?)\z"
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2}|[T ].*[+-][0-9]{2})\z"
_TIMES_AT_ONCE = 1 << 16
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
    """Return the ratings of all files as one float64 column, and what is wrong with them.

    Without problems, all ratings are finite. Text that is a number is read as a number, in every format.
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
    """Return the time stamps of all files as one int64 column (empty if there are problems), and the problems.

    Time stamps are only used to order the rows of one (user, item) pair. Integers keep their unit. Dates and times
    (ISO 8601, UTC if no zone is given) become microseconds. If any number has a fraction, all numbers are read as
    seconds and become microseconds.
    """
    problems: list[Problem] = []
    parts: list[np.ndarray] = []
    having = [file for file in files if TIMESTAMP in file.columns]
    for file in having:
        part, found = _parse_stamps(file, file.columns[TIMESTAMP])
        problems += found
        parts.append(part)
    is_fractional = any(map(_has_fractions, parts))
    if not problems:
        problems += _mixed_stamps(having, parts)
    if problems:
        return pa.chunked_array([], pa.int64()), problems
    scale = float(_TICKS_PER_SECOND) if is_fractional else 1
    ticks = [pa.array((part if scale == 1 else np.floor(part * scale)).astype(np.int64, copy=False)) for part in parts]
    return pa.chunked_array(ticks, pa.int64()), []


def _has_fractions(part: np.ndarray) -> bool:
    return part.dtype.kind == "f" and bool((part != np.floor(part)).any())


def _is_beyond_seconds(part: np.ndarray) -> bool:
    return part.dtype.kind != "M" and bool((np.abs(part) >= _INT64_BOUND / _TICKS_PER_SECOND).any())


def _mixed_stamps(files: Sequence[RawFile], parts: Sequence[np.ndarray]) -> list[Problem]:
    """Return a problem if the time stamps of the files have no common unit; otherwise an empty list."""

    def having(is_so: Callable[[np.ndarray], bool]) -> list[str]:
        return [file.path.name for file, part in zip(files, parts, strict=True) if is_so(part)]

    for kind, is_so, other, is_other in (
        ("numbers", lambda part: part.dtype.kind != "M", "dates and times", lambda part: part.dtype.kind == "M"),
        ("fractions of seconds", _has_fractions, "numbers too large to be seconds", _is_beyond_seconds),
    ):
        some = having(is_so)
        others = having(is_other) if some else []
        if others:
            return [
                Problem(
                    where=str(files[0].path.parent if len(files) > 1 else files[0].path),
                    what=f"{kind} beside {other} as time stamps",
                    remedy="Write all time stamps alike, in one unit.",
                    example=f"{kind} in {and_more(some)}, {other} in {and_more(others)}",
                    column=files[0].columns[TIMESTAMP].name,
                )
            ]
    return []


def _parse_rating(file: RawFile, column: RawColumn) -> tuple[np.ndarray, list[Problem]]:
    """Return (n_rows,) float64 and what is wrong with it."""
    values, kind = column.values, column.values.type
    if is_text(kind):
        coded = encode_text(values)
        distinct, distinct_fault = _read_numbers(coded.distinct)
        rating = np.append(distinct, np.nan)[coded.codes]  # code -1: a null
        fault = np.append(distinct_fault, np.int8(_Fault.MISSING))[coded.codes]
    elif _is_number(kind):
        rating = _nearest(values)
        fault = _first_fault(
            {_Fault.MISSING: null_rows(values), _Fault.NAN: np.isnan(rating), _Fault.INFINITE: np.isinf(rating)}
        )
    else:
        return np.empty(0), [_wrong_type(file, column, remedy="Write the ratings as numbers.")]
    problems = []
    for wrong, what in _RATING_FAULTS.items():
        problems += found_in(file, column, fault == wrong, what=what, remedy=_rating_remedy(wrong))
    return rating, problems


def _nearest(values: pa.ChunkedArray) -> np.ndarray:
    """Return (n_rows,) float64, NaN for a null: the number nearest to the digits of the value, as if read from text.

    4.1 as float32 is a little less than 4.1, and must not miss a threshold of 4.1.
    """
    is_short, is_decimal = values.type in (pa.float16(), pa.float32()), pa.types.is_decimal(values.type)
    if not is_short and not is_decimal:
        return np.asarray(values.cast(pa.float64(), safe=False))  # rounds beyond 2^53, which is an id by mistake
    codes, distinct = encode(values.cast(pa.string()) if is_decimal else values)
    if values.type == pa.float16():  # Arrow writes more digits than make it differ from its neighbours
        distinct = pa.array(np.asarray(distinct).astype(str))
    numbers = np.asarray(distinct.cast(pa.string()).cast(pa.float64()))
    return np.asarray(np.append(numbers, np.nan)[codes])  # code -1: a null


def _rating_remedy(fault: _Fault) -> str:
    if fault is _Fault.TEXT:
        return (
            "Write ratings as numbers with a decimal point; if the first line holds column names, leave out "
            "source.header; if the rows are events without a rating, set source.feedback to implicit."
        )
    return "Correct these rows or remove them; if the rows are events, set source.feedback to implicit."


def _read_numbers(distinct: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the number (float64; NaN if there is none) and the fault of each text, both (n_distinct,)."""
    trimmed = pc.utf8_trim_whitespace(distinct)
    is_number = pc.match_substring_regex(trimmed, _NUMBER)
    numbers = np.asarray(pc.if_else(is_number, trimmed, pa.scalar(None, pa.string())).cast(pa.float64()))
    fault = _first_fault(
        {
            _Fault.MISSING: _matches(trimmed, _BLANK),
            _Fault.NAN: _matches(trimmed, _NAN),
            _Fault.INFINITE: _matches(trimmed, _INFINITE) | np.isinf(numbers),
            _Fault.TEXT: np.isnan(numbers),
        }
    )
    return numbers, fault


def _first_fault(faults: Mapping[_Fault, np.ndarray]) -> np.ndarray:
    """Return (n,) int8: the first fault, in the order of ``faults``, that each value has; 0 if it has none."""
    return np.select(list(faults.values()), [np.int8(fault) for fault in faults], default=_Fault.NONE.value)


def _parse_stamps(file: RawFile, column: RawColumn) -> tuple[np.ndarray, list[Problem]]:
    """Return (n_rows,) time stamps (int64, float64 or, for dates and times, datetime64[us]) and their problems."""
    values, kind = column.values, column.values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps, is_bad = _times_in_microseconds(values)
    elif is_text(kind) or column.is_untyped:
        stamps, is_bad = _read_stamps(pc.utf8_trim_whitespace(decode_text(values)))
    elif _is_number(kind):
        stamps, is_bad = _number_stamps(values)
    else:
        return np.empty(0, dtype=np.int64), [_wrong_type(file, column, remedy="Write numbers or ISO 8601 times.")]
    return stamps, found_in(
        file,
        column,
        is_bad,
        what="no readable time stamp",
        remedy="Write numbers or ISO 8601 times, all alike, or leave out source.columns.timestamp.",
    )


def _times_in_microseconds(values: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n_rows,) datetime64[us], and (n_rows,) bool: missing, or beyond 64 bits in microseconds."""
    seconds = np.asarray(values.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).fill_null(0))
    is_beyond = np.abs(seconds.astype(np.float64)) >= _INT64_BOUND / _TICKS_PER_SECOND
    return np.asarray(values.cast(pa.timestamp("us"), safe=False)), null_rows(values) | is_beyond


def _number_stamps(values: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n_rows,) int64 or float64 values, and (n_rows,) bool: missing, not finite or beyond 64 bits."""
    if not pa.types.is_floating(values.type):
        with suppress(pa.ArrowInvalid):  # a fraction, or beyond 64 bits
            return np.asarray(values.cast(pa.int64()).fill_null(0)), null_rows(values)
    numbers = np.asarray(values.cast(pa.float64(), safe=False))
    is_bad = ~(np.abs(numbers) < _INT64_BOUND)  # a null is NaN here, and every comparison with NaN is false
    return np.where(is_bad, 0.0, numbers), is_bad


def _read_stamps(texts: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the texts as numbers if at least half of them are numbers, otherwise as times; and which are bad."""
    is_number = _matches(texts, _NUMBER)
    if 2 * np.count_nonzero(is_number) < len(texts):
        times = _read_times(texts)
        return times, np.isnat(times)
    numbers = pc.if_else(is_number, pc.utf8_ltrim(texts, characters="+"), pa.scalar(None, pa.string()))
    try:
        numbers = numbers.cast(pa.int64())
    except pa.ArrowInvalid:  # fractions, an exponent, or beyond 64 bits
        numbers = numbers.cast(pa.float64())
    return _number_stamps(numbers)


def _read_times(texts: pa.ChunkedArray) -> np.ndarray:
    """Return (n_rows,) datetime64[us] in UTC; NaT where the text is not a time."""
    starts = range(0, len(texts), _TIMES_AT_ONCE)  # one time that Arrow cannot read makes all of its slice slow
    slices = [_read_slice(texts.slice(start, _TIMES_AT_ONCE)) for start in starts]
    return np.concatenate(slices) if slices else np.empty(0, "datetime64[us]")


def _read_slice(texts: pa.ChunkedArray) -> np.ndarray:
    has_zone = _matches(texts, _ZONE)
    times = np.full(len(texts), np.datetime64("NaT", "us"))
    for rows, kind in ((has_zone, pa.timestamp("us", "UTC")), (~has_zone, pa.timestamp("us"))):
        some = texts.filter(pa.array(rows))
        try:
            times[rows] = np.asarray(some.cast(kind))
        except pa.ArrowInvalid:  # a format that Arrow cannot read, or not a time: read one by one
            times[rows] = [_time_or_nat(text) for text in some.to_pylist()]
    return times


def _time_or_nat(text: str | None) -> np.datetime64:
    try:
        time = datetime.fromisoformat(text or "")
        return np.datetime64(time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time, "us")
    except (ValueError, OverflowError):  # OverflowError: in UTC the time is before the year 1 or after 9999
        return np.datetime64("NaT", "us")


def _matches(texts: pa.Array | pa.ChunkedArray, pattern: str) -> np.ndarray:
    """Return (n,) bool; a null matches nothing."""
    return np.asarray(pc.match_substring_regex(texts, pattern).fill_null(False))


def _is_number(kind: pa.DataType) -> bool:
    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(check(kind) for check in checks)


def _wrong_type(file: RawFile, column: RawColumn, *, remedy: str) -> Problem:
    return Problem(
        where=str(file.path),
        what=f"values of type {column.values.type} where numbers are expected",
        remedy=remedy,
        column=column.name,
    )
